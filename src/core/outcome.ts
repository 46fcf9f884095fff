/**
 * What a client that waits for the end is told, once there is one or nothing goes on by itself (D1).
 */
import { expects } from "./decide.js";
import type { Held } from "./draft.js";
import { type Reply, refused } from "./input.js";
import { failureText } from "./pattern/pattern.js";
import { isFinal, type Transaction } from "./transaction.js";

/** The reply to a held request in the transaction's present state; ONGOING names the branch that is waited for. */
export function heldReply(tx: Transaction, of: Held["of"], blocked: Readonly<Record<number, string>> = {}): Reply {
  if (tx.status === "succeed" || (tx.status === "failed" && of === "abort")) return { kind: "accepted" };
  if (isFinal(tx))
    return refused("REFUSED", failureText(tx.rollbackReason || "wait result not return success: FAILURE"));
  return refused("ONGOING", `gid ${tx.gid}: ${whatIsWaitedFor(tx, blocked)}, status is '${tx.status}'. ONGOING`);
}

function whatIsWaitedFor(tx: Transaction, blocked: Readonly<Record<number, string>>): string {
  if (tx.parked !== undefined) return `parked by ${tx.parked.by}: ${tx.parked.reason}`;
  const index = tx.ops.findIndex((op, i) => expects(tx, i) && (op.tries !== undefined || i in blocked));
  const op = tx.ops[index];
  if (op === undefined) return tx.check ? `asked ${tx.queryPrepared}: ${tx.check.lastError}` : "not finished";
  const held = blocked[index];
  const branch = `branch ${op.branchId} ${op.op} ${op.url}`;
  if (held !== undefined) return `${branch} is blocked by ${held}`;
  return `${branch}: ${retriedText(op.tries?.lastError ?? "", op.tries?.unknowns === 0)}`;
}

/**
 * What is said of a call that is made again: where the answer was no clear one in DTM's words, which somebody may look
 * for (S-ODD-18).
 */
export function retriedText(lastError: string, onlyOngoing: boolean): string {
  return onlyOngoing ? `is asked again: ${lastError}` : `unkown result will be retried: ${lastError}`;
}
