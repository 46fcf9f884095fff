/**
 * Submissions, registrations and participants for tests, with everything that a test does not care about filled in.
 */
import type { Registration, Request, Step, Submission } from "../../src/core/input.js";
import type { Options, Outcome, TransType } from "../../src/core/transaction.js";
import type { Reaction, Script } from "./driver.js";

/** Options of a client that gives none. */
export const plainOptions: Options = {
  waitResult: false,
  timeoutToFailS: undefined,
  requestTimeoutS: undefined,
  retryIntervalS: undefined,
  retryLimit: undefined,
  branchHeaders: undefined,
  concurrent: false,
};

/** What a test may say about a submission. */
export interface Wanted {
  readonly options?: Partial<Options>;
  readonly steps?: readonly Step[];
  readonly queryPrepared?: string;
  readonly customData?: string;
  readonly digest?: string;
  readonly lease?: Submission["lease"];
}

/** A submission of that type; two saga or msg steps unless told otherwise. */
export function submission(type: TransType, wanted: Wanted = {}): Submission {
  const defaultSteps =
    type === "saga" ? sagaSteps(2) : type === "msg" ? msgSteps("http://busi/a1", "http://busi/a2") : [];
  return {
    type,
    protocol: "http",
    options: { ...plainOptions, ...wanted.options },
    steps: wanted.steps ?? defaultSteps,
    queryPrepared: wanted.queryPrepared ?? "",
    customData: wanted.customData ?? "",
    digest: wanted.digest ?? "digest-1",
    lease: wanted.lease,
  };
}

/** Steps with an action, a compensation and a payload of their own. */
export function sagaSteps(count: number): readonly Step[] {
  return Array.from({ length: count }, (_, i) => ({
    action: `http://busi/a${i + 1}`,
    compensate: `http://busi/c${i + 1}`,
    payload: bytes(`{"step":${i + 1}}`),
  }));
}

/** One step per action of a msg. */
export function msgSteps(...actions: readonly string[]): readonly Step[] {
  return actions.map((action) => ({ action, compensate: "", payload: bytes("{}") }));
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function submit(type: TransType, wanted: Wanted = {}): Request {
  return { kind: "submit", submission: submission(type, wanted) };
}

export function prepare(type: TransType, wanted: Wanted = {}): Request {
  return { kind: "prepare", submission: submission(type, wanted) };
}

export function prepareWorkflow(wanted: Wanted = {}): Request {
  const { queryPrepared = "http://busi/resume", customData = `{"name":"wf","data":"e30="}` } = wanted;
  return { kind: "prepareWorkflow", submission: submission("workflow", { ...wanted, queryPrepared, customData }) };
}

export function abort(type: TransType, reason = "", waitResult = false): Request {
  return { kind: "abort", type, reason, waitResult };
}

/** Registers a tcc or xa branch with both endings, or a workflow's step. */
export function register(type: TransType, branchId: string, payload = "{}", executorId?: string): Request {
  const words: Readonly<Record<string, readonly string[]>> = { tcc: ["cancel", "confirm"], xa: ["rollback", "commit"] };
  const ops = (words[type] ?? ["action"]).map((op) => ({
    op,
    url: type === "workflow" ? "" : `http://busi/${op}${branchId}`,
    status: type === "workflow" ? ("succeed" as const) : ("prepared" as const),
  }));
  const registration: Registration = { type, branchId, ops, payload: bytes(payload), executorId };
  return { kind: "registerBranch", registration };
}

/** A participant that answers by the name of the call; a list is worked off, its last answer stays. */
export function participants(
  answers: Readonly<Record<string, Reaction | Outcome | readonly (Reaction | Outcome)[]>> = {},
): Script {
  return ({ name, attempt }) => {
    const wanted = answers[name] ?? "success";
    const one = Array.isArray(wanted) ? (wanted[Math.min(attempt, wanted.length) - 1] as Reaction | Outcome) : wanted;
    return typeof one === "string" ? { outcome: one } : (one as Reaction);
  };
}
