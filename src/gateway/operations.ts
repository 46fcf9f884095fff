/**
 * Every operation of the coordinator, once, in words that belong to no protocol. HTTP, JSON-RPC, gRPC and NATS are
 * codecs
 * over this and can therefore not drift apart. Requests are judged here (form by `wire`, URLs by the callers) before
 * anything is stored. Operations reject for bad input and for a store that is away; `refusalOf` says what to answer.
 */
import type { Reply } from "../core/input.js";
import { topicScheme } from "../core/pattern/msg.js";
import { textMax } from "../core/pattern/pattern.js";
import type { Protocol } from "../core/transaction.js";
import type { Callers } from "../ports/caller.js";
import type { Clock } from "../ports/clock.js";
import type { Coordinator } from "../ports/coordinator.js";
import type { Store } from "../ports/store.js";
import type { KeyValues } from "../ports/topics.js";
import type { TransactionBody } from "../wire/body.js";
import { readGid, wellFormed } from "../wire/identifier.js";
import { InvalidInput, invalid } from "../wire/invalid.js";
import type { InputLimits } from "../wire/limits.js";
import { type BranchBody, readRegistration } from "../wire/registration.js";
import { readSubmission, readTransType, readWorkflowEnd } from "../wire/submission.js";
import { type Listings, listings } from "./listings.js";
import { type TopicOperations, topicOperations } from "./topicoperations.js";

/** What the operations work with. */
export interface OperationsDeps {
  readonly coordinator: Coordinator;
  readonly store: Store;
  readonly keyValues: KeyValues;
  readonly callers: Pick<Callers, "locate">;
  readonly clock: Pick<Clock, "nowMs">;
  readonly limits: InputLimits;
  /** Whether the node has too much work for queries and lists (architecture 6, Admission). */
  readonly isSwamped: () => boolean;
  /** A fresh gid. */
  readonly newGid: () => string;
  /** Server's `TimeoutToFail`; three times of it is the default age of resetCronTime (S-CRON-9). */
  readonly timeoutToFailMs: number;
}

/** `signal` ends a client's wait for the result, never what was accepted (D1). */
export interface TransactionOperations {
  newGid(): string;
  prepare(body: TransactionBody): Promise<Reply>;
  /** Of a workflow: its end (S-WF-5). */
  submit(body: TransactionBody, signal?: AbortSignal): Promise<Reply>;
  abort(body: TransactionBody, signal?: AbortSignal): Promise<Reply>;
  registerBranch(body: BranchBody): Promise<Reply>;
  prepareWorkflow(body: TransactionBody): Promise<Reply>;
  query(gid: string): Promise<Reply>;
  forceStop(gid: string): Promise<Reply>;
  /** Due at once, also when parked: resetNextCronTime, "retry now". */
  hasten(gid: string): Promise<Reply>;
  park(gid: string, by: string, reason: string): Promise<Reply>;
  unpark(gid: string): Promise<Reply>;
}

export type Operations = TransactionOperations & TopicOperations & Listings;

/** All operations over one coordinator. */
export function createOperations(deps: OperationsDeps): Operations {
  const urls = urlCheck(deps);
  return { ...transactionOperations(deps, urls), ...topicOperations(deps, urls), ...listings(deps) };
}

/**
 * Refuses a URL that no caller of these protocols can take, the node's own addresses among them. @throws InvalidInput
 */
export type UrlCheck = (field: string, url: string, protocols: readonly Protocol[]) => void;

/** For URLs whose transaction is not known yet: any way to call them is good enough. */
export const anyProtocol: readonly Protocol[] = ["http", "grpc"];

function urlCheck({ callers }: OperationsDeps): UrlCheck {
  return (field, url, protocols) => {
    if (url === "") return;
    let first: string | undefined;
    for (const protocol of protocols) {
      const target = callers.locate(protocol, url);
      if (!("invalid" in target)) return;
      first ??= target.invalid;
    }
    throw new InvalidInput(`${field}: ${first}`);
  };
}

function transactionOperations(deps: OperationsDeps, checkUrl: UrlCheck): TransactionOperations {
  const { coordinator, limits } = deps;
  const submissionOf = (body: TransactionBody, type = readTransType(body.transType)) => {
    const submission = readSubmission(body, type, limits);
    const protocols = [submission.protocol];
    submission.steps.forEach(({ action, compensate }, i) => {
      if (type !== "msg" || !action.startsWith(topicScheme)) checkUrl(`steps[${i}].action`, action, protocols);
      checkUrl(`steps[${i}].compensate`, compensate, protocols);
    });
    if (type === "msg" || type === "workflow") checkUrl("query_prepared", submission.queryPrepared, protocols);
    return submission;
  };
  const handle: Coordinator["handle"] = (gid, request, signal) => coordinator.handle(readGid(gid), request, signal);
  return {
    newGid: deps.newGid,
    prepare: async (body) => handle(readGid(body.gid), { kind: "prepare", submission: submissionOf(body) }),
    async submit(body, signal) {
      const gid = readGid(body.gid);
      const type = readTransType(body.transType);
      if (type === "workflow") return handle(gid, { kind: "finishWorkflow", ...workflowEnd(body) });
      return handle(gid, { kind: "submit", submission: submissionOf(body, type) }, signal);
    },
    async abort(body, signal) {
      const gid = readGid(body.gid);
      const type = readTransType(body.transType);
      const { waitResult } = body.options;
      return handle(gid, { kind: "abort", type, reason: reasonOf(body.rollbackReason), waitResult }, signal);
    },
    async registerBranch(body) {
      const registration = readRegistration(body, limits);
      for (const { op, url } of registration.ops) checkUrl(op, url, anyProtocol);
      return handle(body.gid, { kind: "registerBranch", registration });
    },
    async prepareWorkflow(body) {
      const gid = readGid(body.gid);
      const type = readTransType(body.transType);
      if (type !== "workflow") throw invalid("trans_type", type, "workflow");
      if (body.customData === "") throw invalid("custom_data", "nothing", "JSON with name and data of the workflow");
      return handle(gid, { kind: "prepareWorkflow", submission: submissionOf(body, type) });
    },
    async query(gid) {
      if (gid === "") throw new InvalidInput("no gid specified");
      return handle(gid, { kind: "query" });
    },
    forceStop: async (gid) => handle(gid, { kind: "forceStop" }),
    hasten: async (gid) => handle(gid, { kind: "hasten", bulk: false }),
    park: async (gid, by, reason) => handle(gid, { kind: "park", by: reasonOf(by), reason: reasonOf(reason) }),
    unpark: async (gid) => handle(gid, { kind: "unpark" }),
  };
}

function workflowEnd(body: TransactionBody) {
  const { status, reason, result } = readWorkflowEnd(body.extra);
  return { status, reason: reasonOf(reason), result };
}

/** Words of a client as they are stored: the head of them (S-BUG-5). */
function reasonOf(text: string): string {
  return wellFormed(text.slice(0, textMax));
}
