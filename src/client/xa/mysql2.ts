// XA on MySQL and MariaDB through mysql2/promise. A branch has a connection of its own, which is closed afterwards:
// older MySQL binds a prepared xid to its session until that ends.

import type { Connection, Pool, RowDataPacket } from "mysql2/promise";
import { mysqlLibrary } from "../barrier/mysql2.js";
import { type SqlBarrierOptions, sqlDialect } from "../barrier/sql.js";
import type { XaDatabase, XaSession } from "./branch.js";
import { type GuardRows, guardRows } from "./rows.js";

/** XAER_NOTA: the xid is not known (any more). */
const unknownXid = 1397;

/** XA over a pool; `options.table` is the barrier table that guards the branches. */
export function mysqlXa(pool: Pool, options: SqlBarrierOptions = {}): XaDatabase<Connection> {
  const rows = guardRows(mysqlLibrary(pool), sqlDialect("mysql", options));
  return {
    xidBytesMax: 64,
    begin: (xid) => begin(pool, xid, rows),
    async finish(xid, op) {
      try {
        await pool.query(`xa ${op} '${xid}'`);
        return true;
      } catch (error) {
        if ((error as { errno?: unknown }).errno === unknownXid) return false;
        throw error;
      }
    },
    take: rows.take,
    reason: rows.reason,
    async prepared() {
      const [found] = await pool.query<RowDataPacket[]>("xa recover");
      // `xa start 'x'` makes format 1 without a branch qualifier; all else is another program's.
      const ours = found.filter(({ formatID, bqual_length }) => Number(formatID) === 1 && Number(bqual_length) === 0);
      return ours.map(({ data }) => String(data));
    },
  };
}

async function begin(pool: Pool, xid: string, rows: GuardRows<Connection>): Promise<XaSession<Connection>> {
  const connection = await pool.getConnection();
  try {
    await connection.query(`xa start '${xid}'`);
  } catch (error) {
    connection.destroy();
    throw error;
  }
  return {
    tx: connection,
    rows: rows.of(connection),
    async prepare() {
      await connection.query(`xa end '${xid}'`);
      await connection.query(`xa prepare '${xid}'`);
    },
    async rollback() {
      await connection.query(`xa end '${xid}'`);
      await connection.query(`xa rollback '${xid}'`);
    },
    end: async () => connection.destroy(),
  };
}
