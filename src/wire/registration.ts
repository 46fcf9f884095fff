/**
 * registerBranch: a flat object of texts (S-HTTP-60…64) as a branch with its ops in stored order; only `headers` may be
 * an object, only `request_timeout` a number. Over gRPC the same members come in `Data`, the payload beside them.
 */
import type { Registration } from "../core/input.js";
import type { OpStatus, TransType } from "../core/transaction.js";
import { bytesOf, checkPayload } from "./body.js";
import { textMapOf } from "./fields.js";
import { readOwnHeaders } from "./headers.js";
import { readName } from "./identifier.js";
import { invalid } from "./invalid.js";
import type { InputLimits } from "./limits.js";
import { readOwnTimeout } from "./range.js";
import { checkUrlText } from "./url.js";

/** A branch as any protocol delivers it. */
export interface BranchBody {
  readonly gid: string;
  readonly transType: string;
  readonly branchId: string;
  /** Remaining members: `confirm`, `cancel`, `url`, `op`, `status`, `executor_id`. */
  readonly data: Readonly<Record<string, string | undefined>>;
  readonly payload: Uint8Array;
  /** Not yet looked at (`readOwnHeaders`, `readOwnTimeout`). */
  readonly headers?: unknown;
  readonly requestTimeout?: unknown;
}

/** The members of a JSON body as a branch: texts, but for `data`, which may be bytes. Names are in lower case. */
export function branchBodyOf(fields: object): BranchBody {
  const { data, headers, request_timeout: requestTimeout, ...texts } = fields as Readonly<Record<string, unknown>>;
  const members: Readonly<Record<string, string | undefined>> = textMapOf(texts, "");
  return {
    gid: members.gid ?? "",
    transType: members.trans_type ?? "",
    branchId: members.branch_id ?? "",
    data: members,
    payload: bytesOf("data", data ?? ""),
    headers,
    requestTimeout,
  };
}

/** What the core registers. @throws InvalidInput; a type without registered branches in DTM's words (S-HTTP-64) */
export function readRegistration(body: BranchBody, limits: InputLimits): Registration {
  const type = registering(body.transType);
  const executorId = body.data.executor_id;
  return {
    type,
    branchId: readName("branch_id", body.branchId),
    ops: readOps(type, body.data, limits),
    payload: checkPayload("data", body.payload, limits),
    headers: readOwnHeaders(body.headers, "headers", limits),
    requestTimeoutS: readOwnTimeout(body.requestTimeout, "request_timeout", limits),
    executorId: executorId === undefined || executorId === "" ? undefined : readName("executor_id", executorId),
  };
}

function registering(word: string): Extract<TransType, "tcc" | "xa" | "workflow"> {
  if (word === "tcc" || word === "xa" || word === "workflow") return word;
  throw invalid("trans_type", "unknow trans type", "tcc, xa or workflow");
}

function readOps(type: TransType, data: BranchBody["data"], limits: InputLimits): Registration["ops"] {
  const at = (op: string, field: string) => {
    const url = data[field] ?? "";
    checkUrlText(field, url, limits);
    return { op, url, status: "prepared" as const };
  };
  if (type === "tcc") return [at("cancel", "cancel"), at("confirm", "confirm")];
  if (type === "xa") {
    if ((data.url ?? "") === "") throw invalid("url", "nothing", "URL of the branch");
    return [at("rollback", "url"), at("commit", "url")];
  }
  return [{ op: readName("op", data.op ?? ""), url: "", status: readStepStatus(data.status ?? "") }];
}

function readStepStatus(word: string): OpStatus {
  if (word === "succeed" || word === "failed") return word;
  throw invalid("status", word === "" ? "nothing" : "another word", "succeed or failed");
}
