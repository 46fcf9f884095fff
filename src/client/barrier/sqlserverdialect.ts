// The barrier's SQL for SQL Server. The table is that of DTM's C# and Java clients: a plain insert into a unique index
// with IGNORE_DUP_KEY adds nothing for a key that is there, and waits for an open transaction that inserted it. Written
// from the vendor's documentation and run against no server of ours: `sqlServerBarrier` tries all of it on the user's.

import { BarrierError, LocksLost, Ongoing } from "../errors.js";
import type { BarrierRows } from "./core.js";
import { reasonOfSame, refuseTrailingSpace } from "./dialectrows.js";
import type { SqlDialect, SqlTx } from "./sql.js";
import { quotedTable } from "./table.js";
import { type MetTable, missingTable, noUniqueKey, otherColumns } from "./unfit.js";
import { noTransaction } from "./unopened.js";

/** Deadlock victim, and a row changed since the snapshot: the transaction is over, a new one sees the rows. */
const locksLost = new Set([1205, 3960]);
const lockTimeout = 1222;
const tableMissing = new Set([208, 2760]);
const columnMissing = 207;
/** The unique key refuses instead of ignoring. */
const duplicateKey = new Set([2601, 2627]);

/** The dialect for a table `name` or `schema.name`. */
export function sqlServerDialect(name: string): SqlDialect {
  const table = quotedTable(name, '"');
  return {
    ...{ table, resultTable: quotedTable(`${name}_result`, '"'), current: "", requireOpen },
    rows: (tx, seconds) => rowsOf(tx, table, seconds),
    // The setting stands in the insert's own batch: drivers send that to sp_executesql, at whose end it is put back.
    underLockTimeout: (_tx, _seconds, work) => work(),
    explain: (cause, met = table) => explain({ database: "sqlserver", table, met, cause }),
    collided: (error) => [...locksLost, lockTimeout].includes(numberOf(error)),
  };
}

/** Statements that create schema and table where missing. Texts are Unicode and compared by their code points. */
export function sqlServerDefinition(name: string): readonly string[] {
  const [schema, plain] = name.split(".");
  const text = (column: string, length: number) =>
    `${column} nvarchar(${length}) collate Latin1_General_100_BIN2 not null default ''`;
  const create = `if object_id(N'${name}', N'U') is null create table ${quotedTable(name, '"')} (
  id bigint identity primary key,
  ${text("trans_type", 45)},
  ${text("gid", 128)},
  ${text("branch_id", 128)},
  ${text("op", 45)},
  ${text("barrier_id", 45)},
  ${text("reason", 45)},
  create_time datetime not null default getdate(),
  update_time datetime not null default getdate(),
  index barrier_create_time (create_time),
  unique (gid, branch_id, op, barrier_id) with (ignore_dup_key = on)
)`;
  if (plain === undefined) return [create];
  return [`if schema_id(N'${schema}') is null exec(N'create schema ${quotedTable(schema!, '"')}')`, create];
}

/** The statement that creates the table of remembered results. */
export function sqlServerResultDefinition(name: string): string {
  const text = (column: string, length: number) =>
    `${column} nvarchar(${length}) collate Latin1_General_100_BIN2 not null`;
  return `if object_id(N'${name}_result', N'U') is null create table ${quotedTable(`${name}_result`, '"')} (
  ${text("gid", 128)},
  ${text("branch_id", 128)},
  ${text("op", 45)},
  ${text("barrier_id", 45)},
  result nvarchar(max) not null,
  create_time datetime not null default getdate(),
  primary key (gid, branch_id, op, barrier_id)
)`;
}

function rowsOf(tx: SqlTx, table: string, seconds: number): BarrierRows {
  return {
    async insertIgnore(row) {
      refuseTrailingSpace(row, "SQL Server");
      const { affected } = await tx.exec(
        `set lock_timeout ${seconds * 1_000};
insert into ${table} (trans_type, gid, branch_id, op, barrier_id, reason) values (?, ?, ?, ?, ?, ?)`,
        [row.transType, row.gid, row.branchId, row.op, row.barrierId, row.reason],
      );
      return affected === 1;
    },
    async reason(key) {
      const [found] = await tx.query(
        // Locking, so that it sees what made the insert a duplicate, also where reads come from versions.
        `set lock_timeout ${seconds * 1_000};
select gid, branch_id, op, reason from ${table} with (readcommittedlock)
where gid = ? and branch_id = ? and op = ? and barrier_id = ?`,
        [key.gid, key.branchId, key.op, key.barrierId],
      );
      return found && reasonOfSame(found, key, binaryHint);
    },
  };
}

/** Mends a table of DTM's other clients that takes two ids for one. */
const binaryHint = "make a table with migrate(): nvarchar columns with a binary collation";

async function requireOpen(tx: SqlTx): Promise<void> {
  const [found] = await tx.query("select @@trancount as depth", []);
  if (!(Number(found?.depth) > 0)) throw noTransaction(undefined);
}

function explain(where: MetTable): unknown {
  const { cause, met } = where;
  const number = numberOf(cause);
  if (locksLost.has(number)) return new LocksLost("deliveries of one branch ran into each other", { cause });
  if (number === lockTimeout) {
    return new Ongoing("another delivery of this branch is still in its transaction", { cause });
  }
  if (tableMissing.has(number)) return missingTable(where);
  if (number === columnMissing) return otherColumns(where);
  if (duplicateKey.has(number)) return noUniqueKey(met, cause, "sqlserver");
  return new BarrierError("the barrier's statement failed", { cause });
}

/** Libraries wrap the driver's error; its number is found on the way down. */
function numberOf(error: unknown): number {
  for (let current = error, depth = 0; depth < 5 && typeof current === "object" && current !== null; depth++) {
    const { number, cause, originalError } = current as Readonly<Record<string, unknown>>;
    if (typeof number === "number") return number;
    current = cause ?? originalError;
  }
  return 0;
}
