/**
 * A transaction body judged: types, ranges, counts and texts, for every protocol alike. What comes out is valid in form
 * and may be stored; only its URLs are still to be shown to the callers. Nothing here does I/O.
 */
import type { Step, Submission } from "../core/input.js";
import { topicScheme } from "../core/pattern/msg.js";
import { type Options, type Protocol, type TransType, transTypes } from "../core/transaction.js";
import type { OptionsBody, TransactionBody } from "./body.js";
import { readCustomData } from "./customdata.js";
import { digestOf } from "./digest.js";
import { readHeaders, readOwnHeaders } from "./headers.js";
import { readName } from "./identifier.js";
import { InvalidInput, invalid } from "./invalid.js";
import { type InputLimits, leaseMaxS } from "./limits.js";
import { inRange, readOwnTimeout } from "./range.js";
import { checkUrlText } from "./url.js";

/** The type that a word names. @throws InvalidInput */
export function readTransType(word: string): TransType {
  const type = transTypes.find((known) => known === word);
  if (type === undefined)
    throw invalid("trans_type", word === "" ? "nothing" : "unknown type", `one of ${transTypes.join(", ")}`);
  return type;
}

/** The protocol that a word names, `http` when empty (S-GEN-6). */
export function readProtocol(word: string): Protocol {
  switch (word) {
    case "":
    case "http":
      return "http";
    case "grpc":
    case "json-rpc":
      return word;
  }
  throw invalid("protocol", "unknown protocol", "http, grpc or json-rpc");
}

/** What prepare, submit and prepareWorkflow bring. @throws InvalidInput */
export function readSubmission(body: TransactionBody, type: TransType, limits: InputLimits): Submission {
  const steps = type === "saga" || type === "msg" ? readSteps(body, type, limits) : [];
  const customData = readCustomData(type, body.customData, steps.length, limits);
  if (type === "msg" || type === "workflow") checkUrlText("query_prepared", body.queryPrepared, limits);
  const options = readOptions(body.options, limits);
  const { queryPrepared } = body;
  return {
    type,
    options,
    steps,
    queryPrepared,
    protocol: readProtocol(body.protocol),
    customData: body.customData,
    digest: digestOf({ type, options, steps, queryPrepared, customData }),
    lease: readLease(body),
  };
}

function readSteps(body: TransactionBody, type: "saga" | "msg", limits: InputLimits): readonly Step[] {
  if (body.steps === undefined && type === "saga") throw invalid("steps", "nothing", "array of steps");
  const steps = body.steps ?? []; // DTM's Go client leaves an empty list of a msg out
  const own = steps.map(({ payload }) => payload).filter((payload) => payload !== undefined);
  const payloads = own.length === 0 ? body.payloads : [...body.payloads, ...own];
  if (payloads.length !== steps.length)
    throw invalid("payloads", `${payloads.length} payloads for ${steps.length} steps`, "one for each step");
  return steps.map(({ action, compensate, ...sent }, i) => {
    checkAction(`steps[${i}].action`, action, type, limits);
    if (type === "saga") checkUrlText(`steps[${i}].compensate`, compensate, limits);
    const headers = readOwnHeaders(sent.headers, `steps[${i}].headers`, limits);
    const requestTimeoutS = readOwnTimeout(sent.requestTimeout, `steps[${i}].request_timeout`, limits);
    return { action, compensate: type === "saga" ? compensate : "", payload: payloads[i]!, headers, requestTimeoutS };
  });
}

function checkAction(field: string, action: string, type: "saga" | "msg", limits: InputLimits): void {
  if (type === "msg" && action.startsWith(topicScheme)) readName(`${field} topic`, action.slice(topicScheme.length));
  else checkUrlText(field, action, limits);
}

/** Options in range, 0 as "not given" (D23, D25). @throws InvalidInput */
export function readOptions(options: OptionsBody, limits: InputLimits): Options {
  const max = limits.options;
  return {
    waitResult: options.waitResult,
    timeoutToFailS: inRange("timeout_to_fail", options.timeoutToFail, max.timeoutToFailS),
    requestTimeoutS: inRange("request_timeout", options.requestTimeout, max.requestTimeoutS),
    retryIntervalS: inRange("retry_interval", options.retryInterval, max.retryIntervalS),
    retryLimit: inRange("retry_limit", options.retryLimit, max.retryLimit),
    branchHeaders: readHeaders(options.branchHeaders, limits),
    concurrent: options.concurrent,
  };
}

function readLease(body: TransactionBody): Submission["lease"] {
  const seconds = inRange("lease_seconds", body.leaseSeconds, leaseMaxS);
  if (seconds === undefined) return undefined;
  return { executorId: readName("executor_id", body.executorId), seconds };
}

/** End of a workflow as its submit tells it. `result` is padded base64 (D20). @throws InvalidInput (S-BUG-7) */
export function readWorkflowEnd(extra: Readonly<Record<string, string>>): {
  readonly status: "succeed" | "failed";
  readonly reason: string;
  readonly result: string;
} {
  const { status = "", rollback_reason: reason = "", result = "" } = extra;
  if (status !== "succeed" && status !== "failed")
    throw invalid("req_extra.status", status === "" ? "nothing" : "another word", "succeed or failed");
  return { status, reason, result: paddedBase64("req_extra.result", result) };
}

/** Base64 of any flavour as the one that DTM's Go client decodes. */
function paddedBase64(field: string, text: string): string {
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(text)) throw new InvalidInput(`${field}: other text met, base64 needed`);
  return Buffer.from(text, "base64").toString("base64");
}
