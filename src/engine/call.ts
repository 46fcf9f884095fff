/**
 * A transaction's op as a call to a participant.
 */
import type { Alert } from "../core/draft.js";
import { CHECK, requestTimeoutMs, type Transaction } from "../core/transaction.js";
import type { Call } from "../ports/caller.js";
import type { StuckBranch } from "../ports/observer.js";

const nothing = new Uint8Array(0);

/** What the participant of an op, or (CHECK) the initiator, is told. */
export function callOf(tx: Transaction, index: number): Call {
  const common = {
    gid: tx.gid,
    type: tx.type,
    protocol: tx.protocol,
    headers: tx.options.branchHeaders ?? {},
    timeoutMs: requestTimeoutMs(tx),
  };
  if (index !== CHECK) {
    const { branchId, op, url, payload } = tx.ops[index]!;
    return { ...common, branchId, op, url, payload };
  }
  const check = { ...common, branchId: "00", url: tx.queryPrepared };
  return tx.type === "workflow"
    ? { ...check, ...workflowInput(tx.customData) }
    : { ...check, op: "msg", payload: nothing };
}

/** What people are told about an op that alerts. */
export function stuckBranchOf({ gid, status, queryPrepared, ops }: Transaction, { op, tries }: Alert): StuckBranch {
  const branch = op === CHECK ? queryPrepared : ops[op]!.url;
  return { gid, status, branch, error: tries.lastError, retryCount: tries.unknowns };
}

/** Name and input that a workflow was prepared with: `custom_data` is `{"name":…,"data":base64}` (S-WF-7). */
function workflowInput(customData: string): Pick<Call, "op" | "payload"> {
  const { name, data } = JSON.parse(customData || "{}") as { name?: string; data?: string | null };
  return { op: name ?? "", payload: Buffer.from(data ?? "", "base64") };
}
