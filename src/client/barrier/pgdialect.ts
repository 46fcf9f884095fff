// The barrier's SQL for Postgres. The table is DTM's. An insert waits for an open transaction that inserted the same
// key; under REPEATABLE READ it fails where READ COMMITTED would see the row, and is asked again.

import { BarrierError, LocksLost, Ongoing } from "../errors.js";
import type { BarrierRow } from "./core.js";
import { onConflictRows } from "./dialectrows.js";
import type { SqlDialect, SqlTx } from "./sql.js";
import { quotedTable } from "./table.js";
import { type MetTable, missingTable, noUniqueKey, otherColumns } from "./unfit.js";
import { noTransaction } from "./unopened.js";

/** Serialization failure and deadlock: the transaction is over, a new one sees the rows. */
const locksLost = new Set(["40001", "40P01"]);
const lockTimeout = "55P03";
/** And statement_timeout or a cancel while waiting. */
const askAgain = new Set([lockTimeout, "57014"]);
const outsideTransaction = "25P01";
/** No such table, schema or database. */
const tableMissing = new Set(["42P01", "3F000"]);
const columnMissing = "42703";
/** Nothing that `on conflict` could refer to. */
const keyMissing = "42P10";

/** The dialect for a table `name` or `schema.name`. */
export function postgresDialect(name: string): SqlDialect {
  const table = quotedTable(name, '"');
  const resultTable = quotedTable(`${name}_result`, '"');
  return {
    ...{ table, resultTable, current: "", underLockTimeout },
    rows: (tx) => onConflictRows(tx, table),
    takeAtOnce: (sql, seconds, row) => takeAtOnce(sql, table, seconds, row),
    explain: (cause, met = table) => explain({ database: "postgres", table, met, cause }),
    collided: (error) => [...locksLost, lockTimeout].includes(sqlState(error)),
  };
}

/**
 * Lets processes that start at the same moment make tables one after the other, in a transaction each; two `create
 * table if not exists` at once fail. The number is "tandem" in ASCII.
 */
export const migrateAlone = `select pg_advisory_xact_lock(${0x74_61_6e_64_65_6d})`;

/**
 * Statements, to be sent as one text and hence one transaction, that create schema and table where missing, with
 * `remember` the table of results too. Columns are DTM's, and so is the constraint's name: DTM's clients insert by it.
 * Its index takes the name in the whole schema, so a second barrier table there gets a name that Postgres finds.
 */
export function postgresDefinition(name: string, remember: boolean): string {
  const [schema, plain] = name.split(".");
  const table = quotedTable(name, '"');
  const index = quotedTable(`${(plain ?? schema!).slice(0, 50)}_create_time`, '"');
  const create = (unique: string) => `create table if not exists ${table} (
  id bigserial primary key,
  trans_type varchar(45) default '',
  gid varchar(128) default '',
  branch_id varchar(128) default '',
  op varchar(45) default '',
  barrier_id varchar(45) default '',
  reason varchar(45) default '',
  create_time timestamp(0) with time zone default now(),
  update_time timestamp(0) with time zone default now(),
  ${unique} (gid, branch_id, op, barrier_id)
);`;
  const createUnder = `begin ${create("constraint uniq_barrier unique")}
exception when duplicate_table then ${create("unique")} end`;
  return [
    migrateAlone,
    ...(plain === undefined ? [] : [`create schema if not exists ${quotedTable(schema!, '"')}`]),
    `do '${createUnder.replaceAll("'", "''")}'`,
    `create index if not exists ${index} on ${table} (create_time)`,
    ...(remember ? [resultDefinition(name)] : []),
  ].join(";\n");
}

const resultDefinition = (name: string) => `create table if not exists ${quotedTable(`${name}_result`, '"')} (
  gid varchar(128) not null,
  branch_id varchar(128) not null,
  op varchar(45) not null,
  barrier_id varchar(45) not null,
  result text not null,
  create_time timestamp(0) with time zone default now(),
  primary key (gid, branch_id, op, barrier_id)
)`;

/**
 * Local to the transaction and put back at once; a transaction that failed has lost the setting with everything else.
 */
async function underLockTimeout<T>(tx: SqlTx, seconds: number, work: () => Promise<T>): Promise<T> {
  const [before] = await tx.query("select current_setting('lock_timeout') as own", []);
  await tx.query("select set_config('lock_timeout', ?, true)", [`${seconds}s`]);
  const value = await work();
  await tx.query("select set_config('lock_timeout', ?, true)", [String(before?.own ?? "0")]);
  return value;
}

/**
 * The setting is made by what the row is read from, so it is made before the row is inserted, and it ends with the
 * statement. The second half of the union sees what was committed before the statement began: neither the row that the
 * first half inserts nor one that was committed while it waited.
 */
async function takeAtOnce(sql: SqlTx, table: string, seconds: number, row: BarrierRow): Promise<string | undefined> {
  const [found] = await sql.query(
    `with patience as materialized (select set_config('lock_timeout', ?, true) as own),
      taken as (insert into ${table} (trans_type, gid, branch_id, op, barrier_id, reason)
        select ?, ?, ?, ?, ?, ? from patience where own <> ''
        on conflict (gid, branch_id, op, barrier_id) do nothing returning reason)
     select reason from taken union all
     select reason from ${table} where gid = ? and branch_id = ? and op = ? and barrier_id = ?`,
    [
      ...[`${seconds}s`, row.transType, row.gid, row.branchId, row.op, row.barrierId, row.reason],
      ...[row.gid, row.branchId, row.op, row.barrierId],
    ],
  );
  return found && String(found.reason);
}

function explain(where: MetTable): unknown {
  const { cause, met } = where;
  const code = sqlState(cause);
  if (locksLost.has(code)) return new LocksLost("deliveries of one branch ran into each other", { cause });
  if (code === outsideTransaction) return noTransaction(cause);
  if (askAgain.has(code)) return new Ongoing("another delivery of this branch is still in its transaction", { cause });
  if (tableMissing.has(code)) return missingTable(where);
  if (code === columnMissing) return otherColumns(where);
  if (code === keyMissing) return noUniqueKey(met, cause, "postgres");
  return new BarrierError("the barrier's statement failed", { cause });
}

/** Libraries wrap the driver's error; its SQLSTATE is found on the way down. */
function sqlState(error: unknown): string {
  for (let current = error, depth = 0; depth < 5 && typeof current === "object" && current !== null; depth++) {
    const { code, cause, driverError } = current as { code?: unknown; cause?: unknown; driverError?: unknown };
    if (typeof code === "string" && /^[0-9A-Z]{5}$/.test(code)) return code;
    current = cause ?? driverError;
  }
  return "";
}
