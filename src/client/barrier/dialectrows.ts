// What dialects of SQL have in common about the barrier's rows.

import { BarrierError, InvalidBranch } from "../errors.js";
import type { BarrierKey, BarrierRow, BarrierRows } from "./core.js";
import type { SqlTx } from "./sql.js";

/**
 * Rows of a database that knows `on conflict`. Naming the key refuses a table without it, into which an insert that
 * only ignores what fails (`insert or ignore`) would put every repeat, and say nothing.
 */
export function onConflictRows(tx: SqlTx, table: string): BarrierRows {
  return {
    async insertIgnore(row) {
      const { affected } = await tx.exec(
        `insert into ${table} (trans_type, gid, branch_id, op, barrier_id, reason) values (?, ?, ?, ?, ?, ?)
         on conflict (gid, branch_id, op, barrier_id) do nothing`,
        [row.transType, row.gid, row.branchId, row.op, row.barrierId, row.reason],
      );
      return affected === 1;
    },
    async reason(key) {
      const [found] = await tx.query(
        `select reason from ${table} where gid = ? and branch_id = ? and op = ? and barrier_id = ?`,
        [key.gid, key.branchId, key.op, key.barrierId],
      );
      return found && String(found.reason);
    },
  };
}

/**
 * The reason of a row that was found by `key`. A table whose collation takes two different ids for one is refused, with
 * `hint`: skipping silently there would lose an effect.
 */
export function reasonOfSame(stored: Readonly<Record<string, unknown>>, key: BarrierKey, hint: string): string {
  if (stored.gid === key.gid && stored.branch_id === key.branchId && stored.op === key.op) return String(stored.reason);
  const [asked, met] = [key.gid, stored.gid].map((id) => JSON.stringify(id));
  throw new BarrierError(`the barrier table takes ${asked} and ${met} for one id`, {
    ...{ gid: key.gid, branchId: key.branchId, hint },
  });
}

/** For databases that compare text without trailing spaces, in binary collations too. */
export function refuseTrailingSpace(row: BarrierRow, database: string): void {
  if (!row.gid.endsWith(" ") && !row.branchId.endsWith(" ")) return;
  const why = `an id ends in a space, which ${database} does not tell from the id without it`;
  throw new InvalidBranch(why, { gid: row.gid });
}
