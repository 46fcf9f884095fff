/**
 * registerBranch: the initiator of a tcc or xa announces a branch, a workflow reports a step. Only while `prepared`, so
 * that no branch can appear after the end was decided (S-HTTP-65); repeated with the same content it changes nothing
 * (D3).
 */

import type { Draft } from "./draft.js";
import { type Registration, type Reply, refused } from "./input.js";
import { notFound, otherType } from "./refusal.js";
import type { BranchOp, Transaction } from "./transaction.js";

/** Registers all ops of one branch, or refuses them together. */
export function registerBranch(draft: Draft, registration: Registration): Reply {
  const { tx, turn } = draft;
  const { type, branchId, ops, payload, headers, requestTimeoutS } = registration;
  if (tx === undefined) return notFound();
  if (tx.type !== type) return otherType(tx, type);
  const taken = type === "workflow" ? "EXISTS" : "REFUSED";
  if (tx.status !== "prepared") return refused(taken, `no trans with gid: ${tx.gid} status: prepared found FAILURE`);
  if (isStale(tx, registration.executorId, turn.nowMs))
    return refused("EXISTS", `gid ${tx.gid}: stale executor, the lease is held by '${tx.executor?.id}' FAILURE`);
  const found = ops.map(({ op }) => tx.ops.find((other) => other.branchId === branchId && other.op === op));
  const stored = found.find((op) => op !== undefined);
  if (stored === undefined) {
    const perBranch = type === "workflow" ? 1 : 2;
    if (tx.ops.length / perBranch >= turn.branchesMax)
      return refused(
        "BAD_REQUEST",
        `branch ${branchId}: there are ${turn.branchesMax} branches already, the most allowed`,
      );
    const born = ops.map((op) => ({ ...op, branchId, payload, headers, requestTimeoutS }));
    draft.record({ kind: "branchRegistered", atMs: turn.nowMs, ops: born });
    renew(draft, tx, registration.executorId);
    return { kind: "accepted" };
  }
  if (ops.every((op, i) => found[i] !== undefined && sameContent(found[i], op, payload))) return { kind: "accepted" };
  const message = `gid ${tx.gid}: branch ${branchId} has '${stored.op}' registered with other content FAILURE`;
  const { op, status } = stored;
  return { kind: "refused", code: taken, message, progress: { branchId, op, status } };
}

/** A step renews the lease of the executor that reports it (C-WF-7), not that of one who has fallen silent. */
function renew(draft: Draft, { executor }: Transaction, executorId: string | undefined): void {
  if (executor === undefined || executor.id !== executorId) return;
  const { nowMs } = draft.turn;
  draft.record({ kind: "leased", atMs: nowMs, executor: { ...executor, untilMs: nowMs + executor.leaseMs } });
}

function isStale(tx: Transaction, executorId: string | undefined, nowMs: number): boolean {
  return (
    executorId !== undefined &&
    tx.executor !== undefined &&
    tx.executor.id !== executorId &&
    tx.executor.untilMs > nowMs
  );
}

function sameContent(stored: BranchOp, op: Registration["ops"][number], payload: Uint8Array): boolean {
  return stored.url === op.url && stored.status === op.status && sameBytes(stored.payload, payload);
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
