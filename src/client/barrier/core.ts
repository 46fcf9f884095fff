// The barrier: one insert-ignore per delivery that makes an op run at most once, makes a compensation that comes
// before its action a no-op (null compensation), and keeps the late action from running afterwards (suspension). Pure:
// the rules below are the same for every database; an adapter only inserts, reads and commits. The rows are DTM's, so
// services in Go, Java or Python may share the table.

import { BarrierError, Duplicated } from "../errors.js";
import type { BranchIdentity } from "../identity.js";

/** The unique key of a row. `transType` is payload, not key. */
export interface BarrierKey {
  readonly gid: string;
  readonly branchId: string;
  readonly op: string;
  /** Two digits or more, "01" for the first barrier call of a delivery. */
  readonly barrierId: string;
}

/** A row to insert. `reason` is the op whose delivery inserts it. */
export interface BarrierRow extends BarrierKey {
  readonly transType: string;
  readonly reason: string;
}

/** The table inside one transaction. */
export interface BarrierRows {
  /**
   * True if the row was inserted, false if a row with its key exists; never overwrites. While another open transaction
   * has inserted the key it waits for that one's end. Rejects on anything else.
   */
  insertIgnore(row: BarrierRow): Promise<boolean>;
  /** Reason of the committed (or own) row; must not read an older snapshot. */
  reason(key: BarrierKey): Promise<string | undefined>;
}

/** What the rows say about a delivery: run the business code, or why not. */
export type BarrierVerdict = "execute" | "duplicate" | "null-compensation" | "suspended";

/** Outcome of a barrier call. Everything but `executed` had no effect, and is answered as success all the same. */
export type BarrierResult<T> =
  | { readonly kind: "executed"; readonly value: T }
  /** `value` is what the first delivery gave, on a barrier that remembers. */
  | { readonly kind: "duplicate"; readonly value?: T }
  | { readonly kind: "null-compensation" }
  | { readonly kind: "suspended" };

/**
 * The op that an op undoes. `rollback` undoes a workflow's `action`; DTM's own clients for Redis and MongoDB forget
 * it.
 */
const originOps: Readonly<Record<string, string>> = { cancel: "try", compensate: "action", rollback: "action" };

/** The op whose row a compensation takes in order to suspend it; `undefined` for ops that undo nothing. */
export function originOp(op: string): string | undefined {
  return Object.hasOwn(originOps, op) ? originOps[op] : undefined;
}

/** Barrier id as the wire and the table write it: at least two digits. */
export function barrierIdText(id: number): string {
  return String(id).padStart(2, "0");
}

/**
 * Inserts the rows of one delivery and says whether its business code may run in this transaction.
 * The origin's row goes first: all clients of a table must take the two keys in the same order.
 * Rejects with `Duplicated` for a message's local transaction that was decided before; then the transaction must be
 * rolled back.
 */
export async function passBarrier(
  rows: BarrierRows,
  branch: BranchIdentity,
  barrierId: string,
): Promise<BarrierVerdict> {
  const { transType, gid, branchId, op } = branch;
  const own: BarrierRow = { transType, gid, branchId, op, barrierId, reason: op };
  const origin = originOp(op);
  const originWasFree = origin !== undefined && (await rows.insertIgnore({ ...own, op: origin }));
  const ownWasFree = await rows.insertIgnore(own);
  if (op === "msg" && !ownWasFree) {
    throw new Duplicated("the local transaction of this message was committed or given up before", { gid, branchId });
  }
  if (originWasFree) return "null-compensation";
  if (ownWasFree) return "execute";
  return whySkipped(await rows.reason(own), own);
}

/** An own row written by the op itself is a repeat; written by another op, that one has undone us in advance. */
function whySkipped(reason: string | undefined, row: BarrierRow): BarrierVerdict {
  if (reason === undefined) {
    throw new BarrierError(`a barrier row of ${row.gid}/${row.branchId}/${row.op} vanished while it was read`, {
      gid: row.gid,
      branchId: row.branchId,
      hint: "is the barrier table being cleaned of rows that are still in use?",
    });
  }
  return reason === row.op ? "duplicate" : "suspended";
}

/** The row that a check-back takes, so that a local transaction not yet committed can never commit later. */
export function checkBackRow(gid: string, transType: string): BarrierRow {
  return { transType, gid, branchId: "00", op: "msg", barrierId: "01", reason: "rollback" };
}

/** What a check-back found out about a message's local transaction; final, it never changes afterwards. */
export type CheckBack = "committed" | "rolled-back";

/** Reads the reason of the check-back's row. No row at all proves nothing and is an error, never success. */
export function checkBackVerdict(reason: string | undefined, gid: string): CheckBack {
  if (reason !== undefined) return reason === "rollback" ? "rolled-back" : "committed";
  throw new BarrierError(`the barrier row of message ${gid} could not be read back`, {
    gid,
    hint: "the check-back must read from the primary, outside any transaction",
  });
}
