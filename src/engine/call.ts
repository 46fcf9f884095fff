/**
 * A transaction's op as a call to a participant.
 */
import type { Alert } from "../core/draft.js";
import { type BranchOp, CHECK, requestTimeoutMs, type Transaction } from "../core/transaction.js";
import { type Call, joinHeaders } from "../ports/caller.js";
import type { StuckBranch } from "../ports/observer.js";

const nothing = new Uint8Array(0);
const noHeaders: Call["headers"] = {};

/** What the participant of an op, or (CHECK) the initiator, is told. */
export function callOf(tx: Transaction, index: number): Call {
  const { branchId, op, url, payload, headers, requestTimeoutS } = index === CHECK ? checkOf(tx) : tx.ops[index]!;
  return {
    gid: tx.gid,
    type: tx.type,
    protocol: tx.protocol,
    headers: headersOf(tx, headers),
    timeoutMs: requestTimeoutMs(tx, requestTimeoutS),
    branchId,
    op,
    url,
    payload,
  };
}

function headersOf({ options }: Transaction, own: BranchOp["headers"]): Call["headers"] {
  const common = options.branchHeaders ?? noHeaders;
  return own === undefined ? common : joinHeaders(common, own);
}

type Addressed = Pick<BranchOp, "branchId" | "op" | "url" | "payload" | "headers" | "requestTimeoutS">;

function checkOf(tx: Transaction): Addressed {
  const input = tx.type === "workflow" ? workflowInput(tx.customData) : { op: "msg", payload: nothing };
  return { branchId: "00", url: tx.queryPrepared, ...input };
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
