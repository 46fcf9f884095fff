// The barrier on MySQL and MariaDB through mysql2/promise. Relies on the pool's connections for transactions of its
// own; types only are taken from the driver, so it is loaded by nobody but its user.

import type { Connection, Pool, PoolConnection, ResultSetHeader, RowDataPacket } from "mysql2/promise";
import type { Duration } from "../duration.js";
import { cleanBatch, inBatches, olderThan } from "./clean.js";
import { mysqlDefinition, mysqlResultDefinition } from "./mysqldialect.js";
import { type SqlBarrierOptions, type SqlGuard, type SqlLibrary, type SqlTx, sqlBarrier, sqlDialect } from "./sql.js";
import { defaultTable } from "./table.js";

/** A guard on a mysql2 pool; business code gets the connection that holds the open transaction. */
export interface MysqlBarrier extends SqlGuard<Connection> {
  /**
   * Creates schema and table where missing. Needs the right to create; the barrier itself needs insert and select only.
   */
  migrate(): Promise<void>;
  /**
   * Deletes rows older than `older` (at least a day, default 7 days) in small batches; resolves to their number. A row
   * is needed until its global transaction is final and no late delivery can come any more.
   */
  clean(options?: { readonly older?: Duration }): Promise<number>;
}

/** A barrier over `pool`. Opens nothing by itself; a missing table shows at the first call. */
export function mysqlBarrier(pool: Pool, options: SqlBarrierOptions = {}): MysqlBarrier {
  const { table, resultTable } = sqlDialect("mysql", options);
  const { table: name = defaultTable("mysql"), remember = false } = options;
  return {
    ...sqlBarrier(mysqlLibrary(pool), options),
    async migrate() {
      for (const statement of mysqlDefinition(name)) await pool.query(statement);
      if (remember) await pool.query(mysqlResultDefinition(name));
    },
    async clean({ older = "7d" } = {}) {
      const seconds = olderThan(older);
      if (remember) await deleteOld(pool, resultTable, seconds);
      return deleteOld(pool, table, seconds);
    },
  };
}

async function deleteOld(pool: Pool, table: string, seconds: number): Promise<number> {
  const statement = `delete from ${table} where create_time < now() - interval ? second limit ${cleanBatch}`;
  return inBatches(async () => (await pool.query<ResultSetHeader>(statement, [seconds]))[0].affectedRows);
}

/** A pool as the SQL barrier and the outbox use it. */
export function mysqlLibrary(pool: Pool): SqlLibrary<Connection> {
  return { database: "mysql", statements, transaction: (work) => inTransaction(pool, work) };
}

function statements(connection: Connection): SqlTx {
  return {
    async exec(sql, params) {
      // `set` has no prepared form worth keeping.
      const [result] =
        params.length === 0
          ? await connection.query<ResultSetHeader>(sql)
          : await connection.execute<ResultSetHeader>(sql, params as string[]);
      return { affected: result.affectedRows, warnings: result.warningStatus };
    },
    async query(sql, params) {
      const [rows] =
        params.length === 0
          ? await connection.query<RowDataPacket[]>(sql)
          : await connection.execute<RowDataPacket[]>(sql, params as string[]);
      return rows;
    },
  };
}

async function inTransaction<T>(pool: Pool, work: (connection: Connection) => Promise<T>): Promise<T> {
  const connection = await pool.getConnection();
  try {
    await connection.beginTransaction();
    const value = await work(connection);
    await connection.commit();
    connection.release();
    return value;
  } catch (error) {
    await giveBack(connection);
    throw error;
  }
}

/** After a failure: roll back and return to the pool; a connection that cannot even roll back is thrown away. */
async function giveBack(connection: PoolConnection): Promise<void> {
  try {
    await connection.rollback();
    connection.release();
  } catch {
    connection.destroy();
  }
}
