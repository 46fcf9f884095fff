// The barrier's SQL for SQLite. The columns are those of DTM's table elsewhere. One transaction writes at a time, so a
// row that is there is committed, or this transaction's own; who waits for whom is settled when a transaction begins.

import { BarrierError, LocksLost, Ongoing } from "../errors.js";
import { onConflictRows } from "./dialectrows.js";
import type { SqlDialect, SqlTx } from "./sql.js";
import { quotedTable } from "./table.js";
import { type MetTable, missingTable, noUniqueKey, otherColumns } from "./unfit.js";
import { noTransaction } from "./unopened.js";

/** The dialect for a table `name`, or `name` of an attached database as `database.name`. */
export function sqliteDialect(name: string): SqlDialect {
  const table = quotedTable(name, '"');
  return {
    ...{ table, resultTable: quotedTable(`${name}_result`, '"'), current: "", requireOpen },
    rows: (tx) => onConflictRows(tx, table),
    // Whoever may write holds the one lock there is.
    underLockTimeout: (_tx, _seconds, work) => work(),
    explain: (cause, met = table) => explain({ database: "sqlite", table, met, cause }),
    // Whoever holds the lock from the beginning collides with nobody; a snapshot can be too old to be written upon.
    collided: (error) => facts(error).snapshot,
  };
}

/** Statements that create the table where it is missing. Texts are compared byte by byte unless told otherwise. */
export function sqliteDefinition(name: string): readonly string[] {
  const plain = name.split(".").at(-1)!;
  return [
    `create table if not exists ${quotedTable(name, '"')} (
  id integer primary key autoincrement,
  trans_type varchar(45) default '',
  gid varchar(128) default '',
  branch_id varchar(128) default '',
  op varchar(45) default '',
  barrier_id varchar(45) default '',
  reason varchar(45) default '',
  create_time datetime default current_timestamp,
  update_time datetime default current_timestamp,
  constraint uniq_barrier unique (gid, branch_id, op, barrier_id)
)`,
    // An index lives in its table's database, whose name stands before the index.
    `create index if not exists ${quotedTable(`${name}_create_time`, '"')} on ${quotedTable(plain, '"')} (create_time)`,
  ];
}

/** The statement that creates the table of remembered results. */
export function sqliteResultDefinition(name: string): string {
  return `create table if not exists ${quotedTable(`${name}_result`, '"')} (
  gid varchar(128) not null,
  branch_id varchar(128) not null,
  op varchar(45) not null,
  barrier_id varchar(45) not null,
  result text not null,
  create_time datetime default current_timestamp,
  primary key (gid, branch_id, op, barrier_id)
)`;
}

/** A savepoint outside of a transaction would begin one, and succeed; `begin` inside of one fails. */
async function requireOpen(tx: SqlTx): Promise<void> {
  try {
    await tx.exec("begin", []);
  } catch (error) {
    if (isInTransaction(error)) return;
    throw new BarrierError("the connection cannot be used", { cause: error });
  }
  await tx.exec("rollback", []);
  throw noTransaction(undefined);
}

/** True for the refusal to begin a transaction where one is open. */
export const isInTransaction = (error: unknown): boolean => /within a transaction/.test(facts(error).message);

/** True for the refusal of a lock that another connection holds. Nothing was done; the transaction is as it was. */
export function isBusy(error: unknown): boolean {
  const { primary, message } = facts(error);
  return primary === "BUSY" || primary === "LOCKED" || /database (table )?is locked/.test(message);
}

function explain(where: MetTable): unknown {
  const { cause, met } = where;
  const { message, snapshot } = facts(cause);
  if (snapshot) return new LocksLost("what this transaction has read was changed by another one", { cause });
  if (isBusy(cause)) return new Ongoing("another transaction is writing to this database", { cause });
  if (/no such table|unknown database/.test(message)) return missingTable(where);
  if (/no such column|has no column named/.test(message)) return otherColumns(where);
  if (/ON CONFLICT clause does not match/.test(message)) return noUniqueKey(met, cause, "sqlite");
  return new BarrierError("the barrier's statement failed", { cause });
}

interface Facts {
  /** Name of the primary result code, without `SQLITE_`; empty where the driver tells none. */
  readonly primary: string;
  /** The transaction's snapshot is too old to write upon: it must begin anew. */
  readonly snapshot: boolean;
  readonly message: string;
}

/**
 * Drivers tell a result code as a name (`code`) or a number (`errcode`, `rawCode`, `errno`), or the message only;
 * libraries wrap the driver's error.
 */
function facts(error: unknown): Facts {
  let message = "";
  for (let current = error, depth = 0; depth < 5 && typeof current === "object" && current !== null; depth++) {
    const found = current as Readonly<Record<string, unknown>>;
    message += ` ${String(found.message)}`;
    const name = /^SQLITE_([A-Z]+)/.exec(String(found.code));
    const number = [found.errcode, found.rawCode, found.errno].find((one) => typeof one === "number");
    if (name !== null && name[1] !== "ERROR") {
      return { primary: name[1]!, snapshot: String(found.code) === "SQLITE_BUSY_SNAPSHOT", message };
    }
    if (typeof number === "number" && number > 1) {
      return { primary: primaries[number & 0xff] ?? "", snapshot: number === busySnapshot, message };
    }
    current = found.cause ?? found.driverError;
  }
  return { primary: "", snapshot: false, message };
}

const primaries: Readonly<Record<number, string>> = { 5: "BUSY", 6: "LOCKED" };
const busySnapshot = 517;
