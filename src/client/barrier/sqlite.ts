// The barrier on SQLite, over the connection its user opened: better-sqlite3's, node:sqlite's, libsql's, or that of an
// asynchronous driver behind two methods. No driver is imported. Transactions take turns on the connection, and hold
// the database's one write lock from their beginning; waiting for that lock never stops the process.

import { type Duration, toMs } from "../duration.js";
import { BarrierError, Ongoing } from "../errors.js";
import { cleanBatch, inBatches, olderThan } from "./clean.js";
import { defaultLockTimeout } from "./guard.js";
import { type SqlBarrierOptions, type SqlGuard, type SqlLibrary, type SqlTx, sqlBarrier, sqlDialect } from "./sql.js";
import { isBusy, isInTransaction, sqliteDefinition, sqliteResultDefinition } from "./sqlitedialect.js";
import { defaultTable } from "./table.js";
import { inTurn } from "./turns.js";

/** A synchronous driver's connection, as better-sqlite3, libsql and node:sqlite have it. */
export interface SqliteDatabase {
  exec(sql: string): unknown;
  prepare(sql: string): SqliteStatement;
}

/** A prepared statement of a synchronous driver. */
export interface SqliteStatement {
  run(...params: (string | number)[]): { readonly changes: number | bigint };
  all(...params: (string | number)[]): readonly unknown[];
}

/**
 * What the barrier works on: **one connection**, not a pool. `SqlTx` is for asynchronous drivers: `exec` and `query`
 * on that connection; its own busy timeout should be short.
 */
export type SqliteConnection = SqliteDatabase | SqlTx;

/**
 * A guard on a SQLite connection; business code gets that connection, in an open transaction. Statements that other
 * code makes on the same connection in the meantime would be part of the transaction: let only the guard have it.
 */
export interface SqliteBarrier<Db extends SqliteConnection> extends SqlGuard<Db> {
  /** Creates table and index where missing. */
  migrate(): Promise<void>;
  /** Deletes rows older than `older` (at least a day, default 7 days) in small batches; resolves to their number. */
  clean(options?: { readonly older?: Duration }): Promise<number>;
}

/**
 * A barrier over `database`, a connection that nothing else uses. A delivery that has not got the connection and the
 * write lock within `lockTimeout` is answered 425.
 */
export function sqliteBarrier<Db extends SqliteConnection>(
  database: Db,
  options: SqlBarrierOptions = {},
): SqliteBarrier<Db> {
  const { table: name = defaultTable("sqlite"), remember = false } = options;
  const { table, resultTable } = sqlDialect("sqlite", options);
  const library = sqliteLibrary(database, options);
  const inTransaction = <T>(work: (sql: SqlTx) => Promise<T>) => library.transaction((tx) => work(statements(tx)));
  const deleteOld = (from: string, seconds: number) =>
    inBatches(() => inTransaction(async (sql) => (await sql.exec(deletion(from), [seconds])).affected));
  return {
    ...sqlBarrier(library, options),
    async migrate() {
      const all = [...sqliteDefinition(name), ...(remember ? [sqliteResultDefinition(name)] : [])];
      await inTransaction(async (sql) => {
        for (const statement of all) await sql.exec(statement, []);
      });
    },
    async clean({ older = "7d" } = {}) {
      const seconds = olderThan(older);
      if (remember) await deleteOld(resultTable, seconds);
      return deleteOld(table, seconds);
    },
  };
}

const deletion = (table: string): string => `delete from ${table} where rowid in (select rowid from ${table}
  where create_time < datetime('now', '-' || ? || ' seconds') limit ${cleanBatch})`;

/** A connection as the SQL barrier uses it. `lockTimeout` is the patience of each transaction. */
export function sqliteLibrary<Db extends SqliteConnection>(
  database: Db,
  { lockTimeout = defaultLockTimeout }: Pick<SqlBarrierOptions, "lockTimeout"> = {},
): SqlLibrary<Db> {
  const patienceMs = toMs(lockTimeout);
  return {
    database: "sqlite",
    statements,
    async transaction(work) {
      const until = performance.now() + patienceMs;
      return inTurn(database, patienceMs, async () => {
        await patiently(until, () => hastily(database, "begin immediate"));
        try {
          const value = await work(database);
          await patiently(performance.now() + patienceMs, () => hastily(database, "commit"));
          return value;
        } catch (error) {
          // What fails gravely has been rolled back already.
          await statements(database)
            .exec("rollback", [])
            .catch(() => {});
          throw ended(error);
        }
      });
    },
  };
}

function statements(database: SqliteConnection): SqlTx {
  if (!("prepare" in database)) return database;
  return {
    async exec(sql, params) {
      return { affected: Number(database.prepare(sql).run(...(params as string[])).changes) };
    },
    async query(sql, params) {
      return database.prepare(sql).all(...(params as string[])) as Readonly<Record<string, unknown>>[];
    },
  };
}

/**
 * Without the connection's own patience. A synchronous driver would wait on the thread on which the holder of the
 * lock, another connection of this process, is to go on: for nothing, and everybody with it.
 */
async function hastily(database: SqliteConnection, sql: string): Promise<void> {
  if ("prepare" in database) hastilySync(database, sql);
  else await database.exec(sql, []);
}

function hastilySync(database: SqliteDatabase, sql: string): void {
  const [own] = database.prepare("pragma busy_timeout").all() as readonly { readonly timeout: number }[];
  database.exec("pragma busy_timeout = 0");
  try {
    database.exec(sql);
  } finally {
    database.exec(`pragma busy_timeout = ${Number(own?.timeout ?? 0)}`);
  }
}

/** Longest pause between two attempts to get a lock. */
const pauseMsMax = 20;

/** Again and again while another connection, or somebody's own transaction on this one, is in the way. */
async function patiently(until: number, attempt: () => Promise<void>): Promise<void> {
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, pauseMsMax)) {
    try {
      return await attempt();
    } catch (error) {
      if (!isBusy(error) && !isInTransaction(error)) throw error;
      if (performance.now() + pauseMs > until) {
        throw new Ongoing("another transaction has this database locked", { cause: error });
      }
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/** Business code that ends the transaction itself, or passes over an error that has ended it, has broken the guard. */
function ended(error: unknown): unknown {
  if (!/no transaction is active/.test(String((error as Error | undefined)?.message))) return error;
  return new BarrierError("the barrier's transaction was ended while business code ran in it", {
    cause: error,
    hint: "leave commit and rollback to the guard, and do not pass over a failed statement: throw",
  });
}
