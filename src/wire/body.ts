/**
 * The body of prepare, submit, abort, forceStop, prepareWorkflow as every protocol delivers it (section 3), typed but
 * not
 * yet judged: HTTP and JSON-RPC decode it from JSON, gRPC and NATS build it from their own messages. `submission.ts`
 * judges it, once for all.
 */
import { readArray, readBoolean, readNumber, readText, readTextMap } from "./fields.js";
import { classOf, invalid, tooLarge } from "./invalid.js";
import { type Fields, fieldsOf } from "./json.js";
import type { InputLimits } from "./limits.js";

/** A step as sent; `payload` only from old clients, which keep it in the step (S-BODY-5). */
export interface StepBody {
  readonly action: string;
  readonly compensate: string;
  readonly payload: Uint8Array | undefined;
  /** Not yet looked at (`readOwnHeaders`, `readOwnTimeout`). */
  readonly headers?: unknown;
  readonly requestTimeout?: unknown;
}

/** Options as sent; 0 = not given. */
export interface OptionsBody {
  readonly waitResult: boolean;
  readonly timeoutToFail: number;
  readonly requestTimeout: number;
  readonly retryInterval: number;
  readonly retryLimit: number;
  readonly branchHeaders: Readonly<Record<string, string>> | undefined;
  readonly concurrent: boolean;
}

/** A transaction as the bodies of prepare, submit and abort describe it; types are checked, ranges are not yet. */
export interface TransactionBody {
  readonly gid: string;
  readonly transType: string;
  /** Empty = the protocol's default. */
  readonly protocol: string;
  /** `undefined` = not given. */
  readonly steps: readonly StepBody[] | undefined;
  readonly payloads: readonly Uint8Array[];
  readonly queryPrepared: string;
  readonly customData: string;
  readonly rollbackReason: string;
  readonly extra: Readonly<Record<string, string>>;
  readonly options: OptionsBody;
  /** C-WF-7; 0 = no lease wanted. */
  readonly leaseSeconds: number;
  readonly executorId: string;
}

type BodyLimits = Pick<InputLimits, "payloadBytes" | "branches">;

const none: Readonly<Record<string, string>> = Object.freeze({});

/** Fields of a JSON body (names in lower case) as a transaction body. Server-owned and unknown members are ignored. */
export function readBody(fields: Fields, limits: BodyLimits): TransactionBody {
  return {
    gid: readText(fields, "gid"),
    transType: readText(fields, "trans_type"),
    protocol: readText(fields, "protocol"),
    steps: readSteps(readArray(fields, "steps"), limits),
    payloads: readPayloads(readArray(fields, "payloads"), limits),
    queryPrepared: readText(fields, "query_prepared"),
    customData: readText(fields, "custom_data"),
    rollbackReason: readText(fields, "rollback_reason"),
    extra: readTextMap(fields, "req_extra") ?? none,
    options: {
      waitResult: readBoolean(fields, "wait_result"),
      timeoutToFail: readNumber(fields, "timeout_to_fail"),
      requestTimeout: readNumber(fields, "request_timeout"),
      retryInterval: readNumber(fields, "retry_interval"),
      retryLimit: readNumber(fields, "retry_limit"),
      branchHeaders: readTextMap(fields, "branch_headers"),
      concurrent: readBoolean(fields, "concurrent"),
    },
    leaseSeconds: readNumber(fields, "lease_seconds"),
    executorId: readText(fields, "executor_id"),
  };
}

/** Steps of a decoded array; gRPC's `Steps` text is read by the same rule. */
export function readSteps(steps: readonly unknown[] | undefined, limits: BodyLimits): readonly StepBody[] | undefined {
  if (steps === undefined) return undefined;
  checkCount("steps", steps.length, limits);
  return steps.map((step, i) => {
    const fields = fieldsOf(step, `steps[${i}]`);
    const data = readText(fields, "data", `steps[${i}].data`);
    return {
      action: readText(fields, "action", `steps[${i}].action`),
      compensate: readText(fields, "compensate", `steps[${i}].compensate`),
      headers: fields.headers,
      requestTimeout: fields.request_timeout,
      payload: data === "" ? undefined : payloadOf(`steps[${i}].data`, data, limits),
    };
  });
}

function readPayloads(payloads: readonly unknown[] | undefined, limits: BodyLimits): readonly Uint8Array[] {
  if (payloads === undefined) return [];
  checkCount("payloads", payloads.length, limits);
  return payloads.map((payload, i) => {
    const field = `payloads[${i}]`;
    return checkPayload(field, bytesOf(field, payload), limits);
  });
}

/**
 * Bytes of a payload in JSON: text, or `{"base64": "…"}` for what is no text, a protobuf message for instance. DTM
 * knows the first only and refuses the second.
 */
export function bytesOf(field: string, payload: unknown): Uint8Array {
  if (typeof payload === "string") return Buffer.from(payload, "utf8");
  const { base64, ...others } = Object(payload) as { readonly base64?: unknown };
  if (typeof base64 !== "string" || Object.keys(others).length > 0) {
    throw invalid(field, classOf(payload), 'text, or {"base64": text}');
  }
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(base64)) {
    throw invalid(`${field}.base64`, "text that is no base64", "standard base64 with padding");
  }
  return Buffer.from(base64, "base64");
}

function checkCount(field: string, count: number, { branches }: BodyLimits): void {
  if (count > branches) throw invalid(field, `${count} entries`, `at most ${branches}`);
}

/** Bytes of a payload that came as text. @throws InvalidInput when there are too many. */
export function payloadOf(field: string, text: string, limits: Pick<InputLimits, "payloadBytes">): Uint8Array {
  return checkPayload(field, Buffer.from(text, "utf8"), limits);
}

/** The payload itself. @throws InvalidInput when it is too large. */
export function checkPayload(
  field: string,
  payload: Uint8Array,
  { payloadBytes }: Pick<InputLimits, "payloadBytes">,
): Uint8Array {
  if (payload.length > payloadBytes) throw tooLarge(field, `${payload.length} bytes`, `at most ${payloadBytes} bytes`);
  return payload;
}
