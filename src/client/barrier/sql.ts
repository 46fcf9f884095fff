// The barrier over SQL, whoever owns the transaction: a driver's pool, a query builder or an ORM. What a database
// needs besides the algorithm (its insert-ignore, its lock timeout, the meaning of its errors) is a dialect; what a
// library needs are the two methods of SqlTx and a way to open a transaction.

import { type Duration, toSeconds } from "../duration.js";
import { invalidInput, Ongoing } from "../errors.js";
import type { BarrierKey, BarrierRow, BarrierRows } from "./core.js";
import { type BarrierResults, type BarrierStore, createGuard, defaultLockTimeout, type Guard } from "./guard.js";
import { mysqlDialect } from "./mysqldialect.js";
import { postgresDialect } from "./pgdialect.js";
import { sqlSelfCheck } from "./sqlcheck.js";
import { sqliteDialect } from "./sqlitedialect.js";
import { explained, guardedRows, takeRow } from "./sqlrows.js";
import { sqlServerDialect } from "./sqlserverdialect.js";
import { defaultTable } from "./table.js";

/** Statements inside one open transaction, with `?` for each parameter. */
export interface SqlTx {
  /**
   * `affected`: rows the statement inserted, changed or deleted. `warnings`: their number, where the driver tells it.
   */
  exec(sql: string, params: readonly unknown[]): Promise<{ readonly affected: number; readonly warnings?: number }>;
  /** Rows as objects by column name. */
  query(sql: string, params: readonly unknown[]): Promise<readonly Readonly<Record<string, unknown>>[]>;
}

/** What a database does its own way. */
export interface SqlDialect {
  /** The table's name, quoted. */
  readonly table: string;
  /** The table of remembered results: `table` with `_result` behind it, quoted. */
  readonly resultTable: string;
  /** Ends a query whose row must be read as it is committed now. */
  readonly current: string;
  /** `seconds` is what `underLockTimeout` got, for a database whose setting stands in the statements themselves. */
  rows(tx: SqlTx, seconds: number): BarrierRows;
  /** Runs `work` so that its statements wait for locks at most `seconds`; the transaction's own setting is put back. */
  underLockTimeout<T>(tx: SqlTx, seconds: number, work: () => Promise<T>): Promise<T>;
  /**
   * Insert-ignores a row and gives the committed reason, in one statement that is a transaction of its own; not given
   * where there is no such statement. `undefined` if the row was committed while it ran: ask again.
   */
  takeAtOnce?(sql: SqlTx, seconds: number, row: BarrierRow): Promise<string | undefined>;
  /** `Ongoing`, `LocksLost` or `BarrierError` for an error of the driver met on `table`. */
  explain(error: unknown, table?: string): unknown;
  /** Whether the driver's error means that others' locks or changes were in the way: a new transaction may succeed. */
  collided(error: unknown): boolean;
  /** Rejects with `BarrierError` if no transaction is open in `tx`; not given where a savepoint tells it. */
  requireOpen?(tx: SqlTx): Promise<void>;
}

/** The databases there are dialects for. MariaDB is `mysql`. */
export type SqlDatabase = "mysql" | "postgres" | "sqlite" | "sqlserver";

/** Settings that all SQL barriers share. */
export interface SqlBarrierOptions {
  /**
   * `table` or `schema.table`, in the database of the business tables. Default `dtm_barrier.barrier`; in SQLite, which
   * has no schemas, `barrier`, in SQL Server `dbo.barrier`.
   */
  readonly table?: string;
  /**
   * Longest wait for another delivery's transaction; then the answer is 425 and the coordinator asks again. Whole
   * seconds, 1–3,600; default 2 s, for a coordinator hangs up after 3 s unless `requestTimeout` says otherwise. Applies
   * to the barrier's own statements only.
   */
  readonly lockTimeout?: Duration;
  /**
   * Keep what business code returns, as JSON, and answer repeated deliveries with it instead of nothing. In a table of
   * its own, `barrier_result` beside `barrier`, which `migrate` makes. Default: no, as DTM's clients.
   */
  readonly remember?: boolean;
}

/** How a library's transactions are used. `Tx` is what its users' code gets. */
export interface SqlLibrary<Tx> {
  readonly database: SqlDatabase;
  /** The barrier's statements on the library's open transaction. */
  statements(tx: Tx): SqlTx;
  /** Commits when `work` resolves, rolls back and rejects with the same error when it rejects. */
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  /** Statements that are each committed by itself, where the library has them: fewer round trips for a check-back. */
  readonly alone?: SqlTx;
}

/** The barrier of one SQL database. */
export interface SqlGuard<Tx> extends Guard<Tx> {
  /**
   * For a service's start: rejects with `BarrierError`, whose `hint` says what to do, if the table is missing, has no
   * unique key, other or too narrow columns or a collation that takes two ids for one, if this user may not use it, or
   * if transactions do not undo what is rolled back. Needs no right but those of the barrier, and leaves no row.
   */
  selfCheck(): Promise<void>;
}

/** A barrier over any library with SQL transactions. `docs/client/orm.md` shows it for five of them. */
export function sqlBarrier<Tx>(library: SqlLibrary<Tx>, options: SqlBarrierOptions = {}): SqlGuard<Tx> {
  const { database } = library;
  const { table: name = defaultTable(database) } = options;
  const dialect = sqlDialect(database, options);
  const plain = sqlStore(library, dialect, lockSeconds(options));
  const store = options.remember ? { ...plain, results: sqlResults(library, dialect) } : plain;
  const select = `select create_time from ${dialect.table} where gid = ?`;
  const readAges = (tx: Tx) => explained(dialect, () => library.statements(tx).query(select, [""]));
  return {
    ...createGuard(store),
    selfCheck: () => sqlSelfCheck(store, { database, name, readAges }),
  };
}

/** The dialect of a database for one table. */
export function sqlDialect(database: SqlDatabase, options: SqlBarrierOptions): SqlDialect {
  const { table = defaultTable(database) } = options;
  switch (database) {
    case "mysql":
      return mysqlDialect(table);
    case "postgres":
      return postgresDialect(table);
    case "sqlite":
      return sqliteDialect(table);
    case "sqlserver":
      return sqlServerDialect(table);
  }
}

function lockSeconds(options: SqlBarrierOptions): number {
  const seconds = toSeconds(options.lockTimeout ?? defaultLockTimeout);
  if (seconds >= 1 && seconds <= 3_600) return seconds;
  throw invalidInput(`lockTimeout of ${seconds} s is not within 1–3,600 s`);
}

function sqlResults<Tx>(library: SqlLibrary<Tx>, dialect: SqlDialect): BarrierResults<Tx> {
  const { resultTable: table, current } = dialect;
  const key = ({ gid, branchId, op, barrierId }: BarrierKey) => [gid, branchId, op, barrierId];
  const insert = `insert into ${table} (gid, branch_id, op, barrier_id, result) values (?, ?, ?, ?, ?)`;
  const select = `select result from ${table} where gid = ? and branch_id = ? and op = ? and barrier_id = ?${current}`;
  return {
    async keep(tx, of, json) {
      await explained(dialect, () => library.statements(tx).exec(insert, [...key(of), json]), table);
    },
    async find(tx, of) {
      const [row] = await explained(dialect, () => library.statements(tx).query(select, key(of)), table);
      return row && String(row.result);
    },
  };
}

function sqlStore<Tx>(library: SqlLibrary<Tx>, dialect: SqlDialect, seconds: number): BarrierStore<Tx> {
  /** Calls that share a connection take turns: the second's savepoint would replace the first's. */
  const probes = new WeakMap<object, Promise<void>>();
  return {
    transaction: (work) => library.transaction(work),
    requireOpen(tx) {
      const before = probes.get(Object(tx)) ?? Promise.resolve();
      const probe = before.catch(() => {}).then(() => probeTransaction(library.statements(tx), dialect));
      probes.set(Object(tx), probe);
      return probe;
    },
    guarded: (tx, statements) => guardedRows(dialect, library.statements(tx), seconds, statements),
    takeCheckBack(row) {
      const { alone } = library;
      const { takeAtOnce } = dialect;
      return alone === undefined || takeAtOnce === undefined
        ? takeRow(library, dialect, seconds, row)
        : takeTwice(dialect, () => takeAtOnce(alone, seconds, row));
    },
  };
}

/** A row that was committed while the first statement waited for it is seen by the second. */
async function takeTwice(dialect: SqlDialect, take: () => Promise<string | undefined>): Promise<string> {
  const reason = await explained(dialect, async () => (await take()) ?? (await take()));
  if (reason !== undefined) return reason;
  throw new Ongoing("the local transaction of this message was decided while it was asked for");
}

/** Outside of a transaction Postgres refuses the first, and MySQL has forgotten it when it meets the second. */
function probeTransaction(sql: SqlTx, dialect: SqlDialect): Promise<void> {
  if (dialect.requireOpen !== undefined) return dialect.requireOpen(sql);
  return explained(dialect, async () => {
    await sql.exec("savepoint tandem_barrier", []);
    await sql.exec("release savepoint tandem_barrier", []);
  });
}
