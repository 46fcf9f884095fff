// The barrier on SQL Server through a pool of the package mssql, which is not imported. It was run against no SQL
// Server by those who wrote it. So it runs nothing before it has seen on the user's server that rows are ignored,
// waited for and undone as the barrier needs it.

import { type Duration, toMs } from "../duration.js";
import { BarrierError, Ongoing } from "../errors.js";
import { newGid } from "../global.js";
import { cleanBatch, inBatches, olderThan } from "./clean.js";
import { barrierFrom } from "./delivery.js";
import type { Guard } from "./guard.js";
import { type SqlBarrierOptions, type SqlGuard, type SqlLibrary, type SqlTx, sqlBarrier, sqlDialect } from "./sql.js";
import { sqlServerDefinition, sqlServerResultDefinition } from "./sqlserverdialect.js";
import { defaultTable } from "./table.js";

/** What is used of mssql's `ConnectionPool`. */
export interface SqlServerPool<Tx extends SqlServerTransaction = SqlServerTransaction> {
  transaction(): Tx;
}

/** What is used of mssql's `Transaction`. */
export interface SqlServerTransaction {
  begin(): Promise<unknown>;
  commit(): Promise<unknown>;
  rollback(): Promise<unknown>;
  request(): SqlServerRequest;
}

/** What is used of mssql's `Request`. */
export interface SqlServerRequest {
  input(name: string, value: unknown): unknown;
  query(text: string): Promise<{ readonly recordset?: readonly unknown[]; readonly rowsAffected: readonly number[] }>;
}

/**
 * A guard on an mssql pool; business code gets the open transaction: `tx.request().query(…)`.
 * @experimental Tested against a stand-in only, never against a SQL Server.
 */
export interface SqlServerBarrier<Tx> extends SqlGuard<Tx> {
  /** Creates schema and table where missing. */
  migrate(): Promise<void>;
  /** Deletes rows older than `older` (at least a day, default 7 days) in small batches; resolves to their number. */
  clean(options?: { readonly older?: Duration }): Promise<number>;
}

/**
 * A barrier over `pool`, of at least two connections. The first call tries on the server what the barrier relies on,
 * which takes a second and leaves no row, and rejects with `BarrierError` for good if it is otherwise; `selfCheck()`
 * at a service's start does the same.
 * @experimental Tested against a stand-in only, never against a SQL Server.
 */
export function sqlServerBarrier<Tx extends SqlServerTransaction>(
  pool: SqlServerPool<Tx>,
  options: SqlBarrierOptions = {},
): SqlServerBarrier<Tx> {
  const { table, resultTable } = sqlDialect("sqlserver", options);
  const { table: name = defaultTable("sqlserver"), remember = false } = options;
  const library: SqlLibrary<Tx> = {
    database: "sqlserver",
    statements,
    transaction: (work) => inTransaction(pool, work),
  };
  const guard = sqlBarrier(library, options);
  const tried = once(async () => {
    await guard.selfCheck();
    await tryWaiting(sqlBarrier(library, { ...options, lockTimeout: "1s" }));
  });
  const inOwn = <T>(work: (sql: SqlTx) => Promise<T>) => library.transaction((tx) => work(statements(tx)));
  const deleteOld = (from: string, seconds: number) =>
    inBatches(() => inOwn(async (sql) => (await sql.exec(deletion(from), [seconds])).affected));
  return {
    selfCheck: tried,
    run: async (...call) => tried().then(() => guard.run(...call)),
    within: async (...call) => tried().then(() => guard.within(...call)),
    transaction: (work) => guard.transaction(work),
    queryPrepared: async (source) => tried().then(() => guard.queryPrepared(source)),
    async migrate() {
      for (const statement of sqlServerDefinition(name)) await inOwn((sql) => sql.exec(statement, []));
      if (remember) await inOwn((sql) => sql.exec(sqlServerResultDefinition(name), []));
    },
    async clean({ older = "7d" } = {}) {
      const seconds = olderThan(older);
      if (remember) await deleteOld(resultTable, seconds);
      return deleteOld(table, seconds);
    },
  };
}

const deletion = (table: string): string =>
  `delete top (${cleanBatch}) from ${table} where create_time < dateadd(second, -?, getdate())`;

/** Ends the trial's transactions; only `tryWaiting` sees it. */
class Undone extends Error {}

/** What no look at the table tells: an insert waits for the row of an open transaction, and not for ever. */
async function tryWaiting<Tx>(guard: Guard<Tx>): Promise<void> {
  const ids = { gid: `selfcheck-${newGid()}`, trans_type: "saga", branch_id: "01", op: "action" };
  const undo = async () => {
    throw new Undone();
  };
  const began = performance.now();
  const held = guard.run(barrierFrom(ids), async () => {
    const second = await guard.run(barrierFrom(ids), undo).catch((error: unknown) => error);
    if (second instanceof Ongoing && performance.now() - began > toMs("1s") / 2) return undo();
    throw new BarrierError("a second delivery did not wait for the first one's transaction", {
      cause: second,
      hint: "the unique key must ignore duplicates (ignore_dup_key = on), and the pool have two connections or more",
    });
  });
  await held.catch((error: unknown) => {
    if (!(error instanceof Undone)) throw error;
  });
}

/** The first success is kept; a failure is tried again by the next call. */
function once(check: () => Promise<void>): () => Promise<void> {
  let known: Promise<void> | undefined;
  return () => {
    known ??= check().catch((error: unknown) => {
      known = undefined;
      throw error;
    });
    return known;
  };
}

/** `?` becomes `@p0`, `@p1`, …; the barrier's statements have no other question marks. */
function statements(tx: SqlServerTransaction): SqlTx {
  const run = (text: string, params: readonly unknown[]) => {
    const request = tx.request();
    for (const [index, value] of params.entries()) request.input(`p${index}`, value);
    let count = 0;
    return request.query(text.replace(/\?/g, () => `@p${count++}`));
  };
  return {
    async exec(text, params) {
      const { rowsAffected } = await run(text, params);
      return { affected: rowsAffected.reduce((sum, rows) => sum + rows, 0) };
    },
    query: async (text, params) => ((await run(text, params)).recordset ?? []) as Readonly<Record<string, unknown>>[],
  };
}

async function inTransaction<Tx extends SqlServerTransaction, T>(
  pool: SqlServerPool<Tx>,
  work: (tx: Tx) => Promise<T>,
): Promise<T> {
  const tx = pool.transaction();
  await tx.begin();
  try {
    const value = await work(tx);
    await tx.commit();
    return value;
  } catch (error) {
    // What the server ended itself cannot be rolled back.
    await tx.rollback().catch(() => {});
    throw error;
  }
}
