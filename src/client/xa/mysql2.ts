// XA on MySQL and MariaDB through mysql2/promise. A branch has a connection of its own, which is closed afterwards:
// the database binds a prepared xid to its session until that ends. What the database does wrong at that moment, and
// what its locks do to the guard rows, is mended here.

import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Connection, Pool, PoolConnection, RowDataPacket } from "mysql2/promise";
import type { BarrierRow } from "../barrier/core.js";
import { mysqlLibrary } from "../barrier/mysql2.js";
import { type SqlBarrierOptions, sqlDialect } from "../barrier/sql.js";
import { Ongoing } from "../errors.js";
import type { XaDatabase, XaSession } from "./branch.js";
import { type GuardRows, guardRows } from "./rows.js";

/** XAER_NOTA: the xid is not known (any more). */
const unknownXid = 1397;
/** XAER_DUPID: a session has the xid, or it is prepared. */
const xidInUse = 1440;
/** XA_RBROLLBACK: what was asked to end is rolled back. */
const rolledBack = 1402;

/** Seconds after which the server ends the session of a prepared branch whose process is gone without a word. */
const orphanSeconds = 5;
/** Longest wait for the end of a session that was closed. */
const goodbyeMs = 1000;
/** From the moment in which nobody sees the session any more to that in which the storage engine has let go of it. */
const afterGoodbyeMs = 5;

/** XA over a pool; `options.table` is the barrier table that guards the branches. */
export function mysqlXa(pool: Pool, options: SqlBarrierOptions = {}): XaDatabase<Connection> {
  const dialect = sqlDialect("mysql", options);
  const rows = guardRows(mysqlLibrary(pool), dialect);
  return {
    xidBytesMax: 64,
    begin: (xid) => begin(pool, xid, rows),
    finish: (xid, op) => finish(pool, xid, op),
    take: (row) => take(row, rows),
    async reason(row) {
      // Sees what is committed and waits for nobody; a row of another spelling is the barrier's to complain of.
      const [[found]] = await pool.execute<RowDataPacket[]>(
        `select gid, reason from ${dialect.table} where gid = ? and branch_id = ? and op = ? and barrier_id = ?`,
        [row.gid, row.branchId, row.op, row.barrierId],
      );
      return found?.gid === row.gid ? String(found.reason) : rows.reason(row);
    },
    undoLost: (xid) => undoLost(pool, xid),
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
  let isPrepared = false;
  return {
    tx: connection,
    rows: rows.of(connection),
    async prepare() {
      // Until its session ends a prepared branch is nobody else's to end: not for as long as an idle session may last.
      await connection.query(`set session wait_timeout = ${orphanSeconds}`);
      await connection.query(`xa end '${xid}'`);
      isPrepared = true;
      await connection.query(`xa prepare '${xid}'`);
    },
    async rollback() {
      await connection.query(`xa end '${xid}'`);
      await connection.query(`xa rollback '${xid}'`);
    },
    async end() {
      connection.destroy();
      if (isPrepared) await goodbye(pool, connection).catch(() => undefined);
    },
  };
}

/**
 * Waits until the server has ended the session, for a second at most. MariaDB offers a prepared xid to others a moment
 * before InnoDB does: who asks for its end just then is told that it is done, nothing is, and the xid is forgotten.
 */
async function goodbye(pool: Pool, { threadId }: PoolConnection): Promise<void> {
  const endMs = performance.now() + goodbyeMs;
  while (performance.now() < endMs) {
    const [seen] = await pool.query<RowDataPacket[]>("select 1 from information_schema.processlist where id = ?", [
      threadId,
    ]);
    await delay(seen.length > 0 ? 1 : afterGoodbyeMs);
    if (seen.length === 0) return;
  }
}

async function finish(pool: Pool, xid: string, op: "commit" | "rollback"): Promise<boolean> {
  try {
    await pool.query(`xa ${op} '${xid}'`);
    return true;
  } catch (error) {
    if (errnoOf(error) === unknownXid) return false;
    throw error;
  }
}

/**
 * InnoDB may want to lock the row behind a new one, the next branch's: it searches for doubles on from the page's
 * border when a row of the same key was the page's first and has been rolled back. The next branch is prepared and ends
 * only after this one, so they would wait for each other for ever. A row between them, of a key that never was, ends
 * that search.
 */
async function take(row: BarrierRow, rows: GuardRows<Connection>): Promise<string | undefined> {
  try {
    return await rows.take(row);
  } catch (error) {
    if (!(error instanceof Ongoing)) throw error;
    const reason = await rows.reason(row); // `Ongoing` if it is the row itself that is held
    if (reason !== undefined) return reason;
    await rows.add({ ...row, barrierId: `${row.barrierId}/${randomUUID()}` });
    return rows.take(row);
  }
}

/**
 * Rolls back a branch that InnoDB holds and the server has forgotten (see `goodbye`). An empty branch under its xid
 * makes the server look for it again; that branch itself leads nowhere, which is what the server complains of.
 */
async function undoLost(pool: Pool, xid: string): Promise<boolean> {
  const connection = await pool.getConnection();
  try {
    for (const statement of ["start", "end", "prepare"]) await connection.query(`xa ${statement} '${xid}'`);
  } catch (error) {
    if (errnoOf(error) === xidInUse) return false;
    throw error;
  } finally {
    connection.destroy();
  }
  const endMs = performance.now() + goodbyeMs;
  while (performance.now() < endMs) {
    try {
      if (await finish(pool, xid, "rollback")) return true;
    } catch (error) {
      if (errnoOf(error) === rolledBack) return true;
      throw error;
    }
    await delay(1);
  }
  return false;
}

function errnoOf(error: unknown): unknown {
  return (error as { errno?: unknown }).errno;
}
