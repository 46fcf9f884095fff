/**
 * Workflow: the steps run in the client's own code, which reports each one and the end. The coordinator keeps the
 * progress, and calls the client back when it has given no sign of life for a retry interval (D10).
 */
import { CHECK, retryBaseMs, type Transaction } from "../transaction.js";
import { finished, type Next, type Pattern, rest, timeoutMs, timeoutReason } from "./pattern.js";

/** When the executor was last heard of: creation, or the newest step. Milliseconds. */
function lastSignMs(tx: Transaction): number {
  return Math.max(tx.createdAtMs, tx.ops.at(-1)?.createdAtMs ?? 0);
}

function next(tx: Transaction, nowMs: number): Next {
  if (tx.status !== "prepared" || tx.queryPrepared === "") return rest;
  const callAtMs = Math.max(tx.check?.nextAtMs ?? lastSignMs(tx) + retryBaseMs(tx), tx.executor?.untilMs ?? 0);
  return nowMs < callAtMs ? { kind: "rest", untilMs: callAtMs } : { kind: "call", ops: [CHECK] };
}

/** With recorded steps only the workflow's own code can undo them: it is marked, and called back as before. */
function deadline(tx: Transaction): ReturnType<Pattern["deadline"]> {
  if (tx.status !== "prepared" || tx.overdue) return undefined;
  const reason = timeoutReason(tx);
  return {
    atMs: tx.createdAtMs + timeoutMs(tx),
    event: (nowMs) => (tx.ops.length === 0 ? finished("failed", nowMs, reason) : { kind: "overdue", atMs: nowMs }),
  };
}

/** A callback's answer settles nothing: the executor reports by `registerBranch` and `submit`. */
export const workflow: Pattern = { plan: () => [], next, answered: () => undefined, deadline };
