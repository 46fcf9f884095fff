/**
 * The two requests that only workflows know: prepareWorkflow opens one or hands its progress to the next executor,
 * finishWorkflow (a workflow's submit) records the end that its own code reached (S-WF-2, S-WF-5).
 */
import type { Draft } from "./draft.js";
import { type Refusal, type Reply, type Request, refused, type Submission } from "./input.js";
import { shortened } from "./pattern/pattern.js";
import { notFound, otherType } from "./refusal.js";
import type { Transaction } from "./transaction.js";

/**
 * Creates the workflow by `create`, or gives the stored one, whatever its status; other name or input is refused
 * (C-WF-10).
 */
export function prepareWorkflow(draft: Draft, submission: Submission, create: () => Refusal | undefined): Reply {
  const { tx, turn } = draft;
  if (tx === undefined) {
    const refusal = create();
    if (refusal !== undefined) return refusal;
    return { kind: "transaction", transaction: draft.tx, ...(submission.lease && { lease: "granted" }) };
  }
  if (tx.type !== "workflow") return otherType(tx, "workflow");
  if (tx.version === 0) return ofHead(tx);
  if (!sameInput(tx.customData, submission.customData))
    return refused(
      "REFUSED",
      `gid ${tx.gid}: a workflow of another name or input was prepared under it before. FAILURE`,
    );
  if (submission.lease === undefined || tx.status !== "prepared") return { kind: "transaction", transaction: tx };
  const { executorId: id, seconds } = submission.lease;
  if (tx.executor !== undefined && tx.executor.id !== id && tx.executor.untilMs > turn.nowMs)
    return { kind: "transaction", transaction: tx, lease: "held" };
  const leaseMs = seconds * 1000;
  draft.record({ kind: "leased", atMs: turn.nowMs, executor: { id, leaseMs, untilMs: turn.nowMs + leaseMs } });
  return { kind: "transaction", transaction: draft.tx, lease: "granted" };
}

/**
 * Retention took the journal, and with it name, input and result (D26). A failure can still be told, for status and
 * reason are all that its client reads; a success cannot, its client would take an empty result for the real one.
 */
function ofHead(tx: Transaction): Reply {
  if (tx.status === "failed") return { kind: "transaction", transaction: tx };
  const gone = "its name, input and result are no longer kept (Store.FinishedDataExpire)";
  return refused("EXISTS", `gid ${tx.gid}: the workflow ended as '${tx.status}', ${gone}. FAILURE`);
}

/** Same name and data, whatever the order of the keys. Both texts are JSON or empty. */
function sameInput(stored: string, sent: string): boolean {
  if (stored === sent) return true;
  if (stored === "" || sent === "") return false;
  const [a, b] = [stored, sent].map((text) => JSON.parse(text) as { name?: unknown; data?: unknown });
  return a?.name === b?.name && (a?.data ?? "") === (b?.data ?? "");
}

/** The same end again is answered as the first (whose result stays), the other one is refused (C-WF-8). */
export function finishWorkflow(draft: Draft, input: Extract<Request, { kind: "finishWorkflow" }>): Reply {
  const { tx } = draft;
  if (tx === undefined) return notFound();
  if (tx.type !== "workflow") return otherType(tx, "workflow");
  if (tx.status === "prepared") {
    const { status, result } = input;
    const reason = shortened(input.reason);
    draft.record({ kind: "finished", atMs: draft.turn.nowMs, status, reason, result, byClient: false });
    return { kind: "accepted" };
  }
  if (tx.status === input.status) return { kind: "accepted" };
  return refused("REFUSED", `current status '${tx.status}', cannot sumbmit as '${input.status}'. FAILURE`);
}
