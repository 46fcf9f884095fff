// The barrier's SQL for MySQL and MariaDB (InnoDB). The table is DTM's, with a binary collation: DTM's default
// collation takes gids AbC and aBc for one. An insert waits for an open transaction that inserted the same key.

import { BarrierError, LocksLost, Ongoing } from "../errors.js";
import type { BarrierRows } from "./core.js";
import { reasonOfSame, refuseTrailingSpace } from "./dialectrows.js";
import type { SqlDialect, SqlTx } from "./sql.js";
import { quotedTable } from "./table.js";
import { type MetTable, missingTable, otherColumns } from "./unfit.js";
import { noTransaction } from "./unopened.js";

/** Lock wait timeout, row changed since the snapshot (MariaDB): the next delivery will find the rows settled. */
const askAgain = new Set([1205, 1020]);
const deadlock = 1213;
const noSavepoint = 1305;
const tableMissing = new Set([1146, 1049]);
const columnMissing = 1054;

/** The dialect for a table `name` or `schema.name`. */
export function mysqlDialect(name: string): SqlDialect {
  const table = quotedTable(name, "`");
  const resultTable = quotedTable(`${name}_result`, "`");
  return {
    ...{ table, resultTable, current: " lock in share mode", underLockTimeout },
    rows: (tx) => rowsOf(tx, table),
    explain: (cause, met = table) => explain({ database: "mysql", table, met, cause }),
    collided: (error) => [deadlock, ...askAgain].includes(errnoOf(error)),
  };
}

/** Statements that create schema and table where missing. Column names, widths and keys are DTM's. */
export function mysqlDefinition(name: string): readonly string[] {
  const [schema, plain] = name.split(".");
  const create = `create table if not exists ${quotedTable(name, "`")} (
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
  return plain === undefined ? [create] : [`create database if not exists ${quotedTable(schema!, "`")}`, create];
}

/** The statement that creates the table of remembered results. */
export function mysqlResultDefinition(name: string): string {
  return `create table if not exists ${quotedTable(`${name}_result`, "`")} (
  gid varchar(128) not null,
  branch_id varchar(128) not null,
  op varchar(45) not null,
  barrier_id varchar(45) not null,
  result longtext not null,
  create_time datetime default now(),
  primary key (gid, branch_id, op, barrier_id),
  key (create_time)
) engine = InnoDB default character set utf8mb4 collate utf8mb4_bin`;
}

/**
 * A user variable keeps the session's setting, so that it costs no extra read and is put back whatever happens; also
 * when two barrier calls share a connection at the same time and the second finds the first one's setting.
 */
async function underLockTimeout<T>(tx: SqlTx, seconds: number, work: () => Promise<T>): Promise<T> {
  const name = "innodb_lock_wait_timeout";
  const kept = `cast(coalesce(@tandem_lock_wait, @@session.${name}) as unsigned)`;
  await tx.exec(`set @tandem_lock_wait = ${kept}, session ${name} = ${seconds}`, []);
  try {
    return await work();
  } finally {
    await tx.exec(`set session ${name} = ${kept}, @tandem_lock_wait = null`, []);
  }
}

function rowsOf(tx: SqlTx, table: string): BarrierRows {
  return {
    async insertIgnore(row) {
      refuseTrailingSpace(row, "MySQL"); // in most collations, also in utf8mb4_bin
      const { affected, warnings } = await tx.exec(
        `insert ignore into ${table} (trans_type, gid, branch_id, op, barrier_id, reason) values (?, ?, ?, ?, ?, ?)`,
        [row.transType, row.gid, row.branchId, row.op, row.barrierId, row.reason],
      );
      if (affected === 1 && warnings !== undefined && warnings > 0) {
        throw new BarrierError(`${table} cannot hold the id ${JSON.stringify(row.gid)} unchanged`, {
          gid: row.gid,
          hint: "the table needs the character set utf8mb4 and columns as wide as migrate() makes them",
        });
      }
      return affected === 1;
    },
    async reason(key) {
      const [found] = await tx.query(
        // A locking read: it sees the row that made the insert a duplicate even where the snapshot is older.
        `select gid, branch_id, op, reason from ${table}
         where gid = ? and branch_id = ? and op = ? and barrier_id = ? lock in share mode`,
        [key.gid, key.branchId, key.op, key.barrierId],
      );
      return found && reasonOfSame(found, key, binaryHint);
    },
  };
}

/** Mends a table whose collation takes two different ids for one. */
const binaryHint = "alter table … convert to character set utf8mb4 collate utf8mb4_bin";

function explain(where: MetTable): unknown {
  const { cause } = where;
  const errno = errnoOf(cause);
  if (errno === deadlock) return new LocksLost("deliveries of one branch waited for each other", { cause });
  if (errno === noSavepoint) return noTransaction(cause);
  if (askAgain.has(errno)) return new Ongoing("another delivery of this branch is still in its transaction", { cause });
  if (tableMissing.has(errno)) return missingTable(where);
  if (errno === columnMissing) return otherColumns(where);
  return new BarrierError("the barrier's statement failed", { cause });
}

/** Libraries wrap the driver's error; its number is found on the way down. */
function errnoOf(error: unknown): number {
  for (let current = error, depth = 0; depth < 5 && typeof current === "object" && current !== null; depth++) {
    const { errno, cause, driverError } = current as { errno?: unknown; cause?: unknown; driverError?: unknown };
    if (typeof errno === "number") return errno;
    current = cause ?? driverError;
  }
  return 0;
}
