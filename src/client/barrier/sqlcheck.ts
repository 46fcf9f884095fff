// Whether a barrier's table does what the barrier relies on, for a service's start. It is tried, not looked up: rows
// are inserted as a delivery would, in a transaction of the library that is rolled back, so that the same questions are
// asked of every database through every library, and the library's own transactions are on trial too.

import { BarrierError, reasonOf } from "../errors.js";
import { newGid } from "../global.js";
import { idLengthMax } from "../identity.js";
import type { BarrierRow, BarrierRows } from "./core.js";
import type { BarrierStore } from "./guard.js";
import type { SqlDatabase } from "./sql.js";
import { noUniqueKey } from "./unfit.js";

/** What the check needs to know of the barrier, beside its store. */
export interface CheckedBarrier<Tx> {
  readonly database: SqlDatabase;
  /** As it was configured, without quotes. */
  readonly name: string;
  /** Rejects unless rows can be told by their age, as cleaning does. */
  readAges(tx: Tx): Promise<unknown>;
}

/** Ends the transaction of the trial; only `sqlSelfCheck` sees it. */
class Undone extends Error {}

/**
 * Rejects with `BarrierError`, whose hint says what to do, if the table is missing, has other columns, too narrow ones,
 * no unique key or a collation that takes two ids for one, if this user may not use it, or if what is rolled back
 * stays. Leaves no row.
 */
export async function sqlSelfCheck<Tx>(store: BarrierStore<Tx>, barrier: CheckedBarrier<Tx>): Promise<void> {
  const row = trialRow();
  let tried = false;
  try {
    await store.transaction(async (tx) => {
      await store.requireOpen?.(tx);
      await store.guarded(tx, (rows) => tryRows(rows, row, barrier));
      await barrier.readAges(tx);
      await store.results?.keep(tx, row, "true");
      await store.results?.find(tx, row);
      tried = true;
      throw new Undone();
    });
  } catch (error) {
    if (!tried) throw explained(error, barrier);
  }
  const left = await store.transaction((tx) => store.guarded(tx, (rows) => rows.reason(row)));
  if (left === undefined) return;
  throw new BarrierError(`a row that was rolled back is still in ${barrier.name}, so the barrier could undo nothing`, {
    hint:
      barrier.database === "mysql"
        ? `alter table ${barrier.name} engine = InnoDB; if it is, the library's transaction does not roll back`
        : "the library's transaction does not roll back when its work rejects",
  });
}

/** As wide as ids may be. */
function trialRow(): BarrierRow {
  const gid = `selfcheck-${newGid()}-`.padEnd(idLengthMax.gid, "a");
  const branchId = "1".repeat(idLengthMax.branchId);
  return { gid, branchId, op: "action", barrierId: "01", transType: "saga", reason: "action" };
}

async function tryRows(rows: BarrierRows, row: BarrierRow, { database, name }: CheckedBarrier<never>): Promise<void> {
  if (!(await rows.insertIgnore(row)) || (await rows.reason(row)) !== row.reason) {
    throw new BarrierError(`${name} cannot hold ids of ${idLengthMax.gid} characters unchanged`, {
      hint: "make gid and branch_id varchar(128), op, barrier_id and reason varchar(45), as migrate() does",
    });
  }
  if (await rows.insertIgnore(row)) throw noUniqueKey(name, undefined, database);
  if (!(await rows.insertIgnore({ ...row, branchId: "02" }))) {
    throw new BarrierError(`the unique key of ${name} takes two branches of one gid for one`, {
      hint: "drop it, and let migrate() make a new table, or add uniq_barrier (gid, branch_id, op, barrier_id)",
    });
  }
  const other: BarrierRow = { ...row, gid: row.gid.replace(/a$/, "A") };
  if (await rows.insertIgnore(other)) return;
  throw new BarrierError(`${name} takes two ids for one that differ in case only: the second would be skipped`, {
    hint: collationRemedy(database, name),
  });
}

function collationRemedy(database: SqlDatabase, name: string): string {
  switch (database) {
    case "mysql":
      return `alter table ${name} convert to character set utf8mb4 collate utf8mb4_bin`;
    case "postgres":
      return "give gid, branch_id and op a deterministic collation, and the type varchar";
    case "sqlite":
    case "sqlserver":
      return "make the table and its unique key anew with a binary collation, as migrate() does";
  }
}

/** A statement that failed for a reason of its own: the user's rights, or a column that is too narrow. */
function explained(error: unknown, { name }: CheckedBarrier<never>): unknown {
  if (!(error instanceof BarrierError) || error.hint !== undefined) return error;
  return new BarrierError(`the barrier table ${name} cannot be used: ${reasonOf(error)}`, {
    cause: error,
    hint: `give this user the rights insert and select on ${name}, and the table the columns that migrate() makes`,
  });
}
