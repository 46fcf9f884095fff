// The barrier on MySQL and MariaDB through mysql2/promise. The table is DTM's (services in other languages may share
// it), with a binary collation: DTM's default collation takes gids AbC and aBc for one. Relies on InnoDB's unique key
// lock: an insert waits for an open transaction that inserted the same key. All ids are bound parameters.

import type { Connection, Pool, PoolConnection, ResultSetHeader, RowDataPacket } from "mysql2/promise";
import { type Duration, toMs, toSeconds } from "../duration.js";
import { BarrierError, InvalidBranch, LocksLost, Ongoing, TandemError } from "../errors.js";
import type { BarrierKey, BarrierRow, BarrierRows } from "./core.js";
import { type BarrierStore, createGuard, type Guard } from "./guard.js";
import { quotedTable } from "./table.js";

/** Where the table is and how long the barrier may wait. */
export interface MysqlBarrierOptions {
  /** `table` or `schema.table`, on the same server as the business tables. Default `dtm_barrier.barrier`. */
  readonly table?: string;
  /**
   * Longest wait for another delivery's transaction, then the answer is 425 and the coordinator asks again. Whole
   * seconds, 1–3,600; default 3 s. Applies to the barrier's own statements only; the session's setting is put back.
   */
  readonly lockTimeout?: Duration;
}

/** A guard on a mysql2 pool; business code gets the connection that holds the open transaction. */
export interface MysqlBarrier extends Guard<Connection> {
  /**
   * Creates schema and table where missing. Needs the right to create; the barrier itself needs insert and select
   * only.
   */
  migrate(): Promise<void>;
  /**
   * Deletes rows older than `older` (at least a day, default 7 days) in small batches; resolves to their number. A row
   * is needed until its global transaction is final and no late delivery can come any more.
   */
  clean(options?: { readonly older?: Duration }): Promise<number>;
}

/** Lock wait timeout, row changed since the snapshot (MariaDB): the next delivery will find the rows settled. */
const askAgain = new Set([1205, 1020]);
const deadlock = 1213;
const tableMissing = new Set([1146, 1049, 1054]);
const keyColumns = "gid = ? and branch_id = ? and op = ? and barrier_id = ?";

/** Rows deleted by one statement of `clean`. */
const cleanBatch = 1_000;

/** A barrier over `pool`. Opens nothing by itself; a missing table shows at the first call. */
export function mysqlBarrier(pool: Pool, options: MysqlBarrierOptions = {}): MysqlBarrier {
  const name = options.table ?? "dtm_barrier.barrier";
  const table = quotedTable(name, "`");
  const lockSeconds = toSeconds(options.lockTimeout ?? "3s");
  if (lockSeconds < 1 || lockSeconds > 3_600) {
    throw new TandemError("DTX_INVALID_INPUT", `lockTimeout of ${lockSeconds} s is not within 1–3,600 s`);
  }
  const store = mysqlStore(pool, table, lockSeconds);
  return {
    ...createGuard(store),
    migrate: () => migrate(pool, name),
    clean: ({ older = "7d" } = {}) => clean(pool, table, older),
  };
}

function mysqlStore(pool: Pool, table: string, lockSeconds: number): BarrierStore<Connection> {
  const store: BarrierStore<Connection> = {
    async transaction(work) {
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
    },
    async guarded(connection, statements) {
      try {
        return await underLockTimeout(connection, lockSeconds, () => statements(rowsOf(connection, table)));
      } catch (error) {
        throw explain(error, table);
      }
    },
    takeCheckBack: (row) =>
      store.transaction((connection) =>
        store.guarded(connection, async (rows) => {
          await rows.insertIgnore(row);
          return rows.reason(row);
        }),
      ),
  };
  return store;
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

/**
 * The session variable is kept in a user variable, so that the wait costs no extra read and is put back whatever
 * happens.
 */
async function underLockTimeout<T>(connection: Connection, seconds: number, work: () => Promise<T>): Promise<T> {
  await connection.query(
    `set @tandem_lock_wait = @@session.innodb_lock_wait_timeout, session innodb_lock_wait_timeout = ${seconds}`,
  );
  try {
    return await work();
  } finally {
    await connection.query("set session innodb_lock_wait_timeout = @tandem_lock_wait");
  }
}

function rowsOf(connection: Connection, table: string): BarrierRows {
  return {
    async insertIgnore(row) {
      refuseTrailingSpace(row);
      const [result] = await connection.execute<ResultSetHeader>(
        `insert ignore into ${table} (trans_type, gid, branch_id, op, barrier_id, reason) values (?, ?, ?, ?, ?, ?)`,
        [row.transType, row.gid, row.branchId, row.op, row.barrierId, row.reason],
      );
      if (result.affectedRows === 1 && result.warningStatus > 0) {
        throw new BarrierError(`${table} cannot hold the id ${JSON.stringify(row.gid)} unchanged`, {
          gid: row.gid,
          hint: "the table needs the character set utf8mb4 and columns as wide as migrate() makes them",
        });
      }
      return result.affectedRows === 1;
    },
    async reason(key) {
      const [found] = await connection.execute<(RowDataPacket & StoredRow)[]>(
        // A locking read: it sees the row that made the insert a duplicate even where the snapshot is older.
        `select gid, branch_id, op, reason from ${table} where ${keyColumns} lock in share mode`,
        [key.gid, key.branchId, key.op, key.barrierId],
      );
      return found[0] && sameKey(found[0], key).reason;
    },
  };
}

interface StoredRow {
  readonly gid: string;
  readonly branch_id: string;
  readonly op: string;
  readonly reason: string;
}

/**
 * Guards against a table whose collation takes two different ids for one: skipping silently there would lose an
 * effect.
 */
function sameKey(stored: StoredRow, key: BarrierKey): StoredRow {
  if (stored.gid === key.gid && stored.branch_id === key.branchId && stored.op === key.op) return stored;
  throw new BarrierError(
    `the barrier table takes ${JSON.stringify(key.gid)} and ${JSON.stringify(stored.gid)} for one id`,
    {
      gid: key.gid,
      branchId: key.branchId,
      hint: "alter table … convert to character set utf8mb4 collate utf8mb4_bin",
    },
  );
}

/** MySQL compares text without trailing spaces in most collations, also in utf8mb4_bin. */
function refuseTrailingSpace(row: BarrierRow): void {
  if (!row.gid.endsWith(" ") && !row.branchId.endsWith(" ")) return;
  throw new InvalidBranch("an id ends in a space, which MySQL does not tell from the id without it", { gid: row.gid });
}

function explain(error: unknown, table: string): unknown {
  if (error instanceof TandemError) return error;
  const errno = (error as { errno?: unknown }).errno;
  if (errno === deadlock) return new LocksLost("deliveries of one branch waited for each other", { cause: error });
  if (typeof errno === "number" && askAgain.has(errno)) {
    return new Ongoing("another delivery of this branch is still in its transaction", { cause: error });
  }
  if (typeof errno === "number" && tableMissing.has(errno)) {
    return new BarrierError(`the barrier table ${table} is missing or has other columns`, {
      cause: error,
      hint: "create it with migrate(), or name yours with the option `table`",
    });
  }
  return new BarrierError("the barrier's statement failed", { cause: error });
}

/** Column names, widths and keys are DTM's; the collation is binary. */
function tableDefinition(table: string): string {
  return `create table if not exists ${table} (
  id bigint primary key auto_increment,
  trans_type varchar(45) default '',
  gid varchar(128) default '',
  branch_id varchar(128) default '',
  op varchar(45) default '',
  barrier_id varchar(45) default '',
  reason varchar(45) default '' comment 'the op whose delivery inserted this row',
  create_time datetime default now(),
  update_time datetime default now(),
  key (create_time),
  key (update_time),
  unique key (gid, branch_id, op, barrier_id)
) engine = InnoDB default character set utf8mb4 collate utf8mb4_bin`;
}

async function migrate(pool: Pool, name: string): Promise<void> {
  const [schema, plain] = name.split(".");
  if (plain !== undefined) await pool.query(`create database if not exists ${quotedTable(schema!, "`")}`);
  await pool.query(tableDefinition(quotedTable(name, "`")));
}

async function clean(pool: Pool, table: string, older: Duration): Promise<number> {
  if (toMs(older) < toMs("1d")) {
    throw new TandemError("DTX_INVALID_INPUT", "barrier rows younger than a day must not be deleted", {
      hint: "a late delivery whose row is gone runs again",
    });
  }
  let total = 0;
  for (;;) {
    const [result] = await pool.query<ResultSetHeader>(
      `delete from ${table} where create_time < now() - interval ? second limit ${cleanBatch}`,
      [toSeconds(older)],
    );
    total += result.affectedRows;
    if (result.affectedRows < cleanBatch) return total;
  }
}
