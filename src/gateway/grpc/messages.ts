/**
 * The messages of dtmgimp.Dtm (proto/dtm.proto) from and to what the operations take and give (S-GRPC-1, S-GRPC-10).
 * Decoding allows what protobuf allows: absent fields are empty, unknown ones are skipped, the last one counts.
 */
import type { Transaction } from "../../core/transaction.js";
import { checkPayload, type OptionsBody, readSteps, type StepBody, type TransactionBody } from "../../wire/body.js";
import { invalid } from "../../wire/invalid.js";
import { parseJson } from "../../wire/json.js";
import type { InputLimits } from "../../wire/limits.js";
import { ProtobufReader, ProtobufWriter } from "../../wire/protobuf.js";
import type { BranchBody } from "../../wire/registration.js";

/** A topic and a subscriber as sent. */
export interface TopicBody {
  readonly topic: string;
  readonly url: string;
  readonly remark: string;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** A `DtmRequest`. @throws InvalidInput */
export function readRequest(message: Buffer, limits: InputLimits): TransactionBody {
  const reader = new ProtobufReader(message);
  const payloads: Uint8Array[] = [];
  const extra: Record<string, string> = Object.create(null);
  const options = noOptions();
  const texts: Record<string, string> = {};
  while (reader.next()) {
    const name = requestTexts[reader.field];
    if (name !== undefined) texts[name] = reader.text() ?? texts[name] ?? "";
    else if (reader.field === 3) readOptions(reader.bytes(), options);
    else if (reader.field === 5) addPayload(payloads, reader.bytes(), limits);
    else if (reader.field === 8) reader.entry(extra);
    else reader.skip();
  }
  return {
    gid: texts.gid ?? "",
    transType: texts.transType ?? "",
    protocol: "grpc",
    steps: stepsOf(texts.steps ?? "", limits),
    payloads,
    queryPrepared: texts.queryPrepared ?? "",
    customData: texts.customData ?? "",
    rollbackReason: texts.rollbackReason ?? "",
    extra,
    options,
    leaseSeconds: leaseSecondsOf(extra),
    executorId: extra.executor_id ?? "",
  };
}

const requestTexts: Readonly<Record<number, string>> = {
  1: "gid",
  2: "transType",
  4: "customData",
  6: "queryPrepared",
  7: "steps",
  9: "rollbackReason",
};

/** A workflow client's wish to be the only executor has no field of its own: it comes in `ReqExtra` (C-WF-7). */
function leaseSecondsOf(extra: Readonly<Record<string, string>>): number {
  const text = extra.lease_seconds ?? "";
  if (text === "") return 0;
  if (!/^\d{1,9}$/.test(text)) throw invalid("ReqExtra.lease_seconds", "another text", "a whole number of seconds");
  return Number(text);
}

/** `Steps` is the JSON text of the array that HTTP has. `null`, an empty list of DTM's Go client, is one (D23). */
function stepsOf(text: string, limits: InputLimits): readonly StepBody[] | undefined {
  if (text === "") return undefined;
  const steps = parseJson(Buffer.from(text, "utf8"), limits, "Steps");
  if (steps === null) return [];
  if (!Array.isArray(steps)) throw invalid("Steps", "JSON that is no array", "JSON array of steps");
  return readSteps(steps, limits);
}

function addPayload(payloads: Uint8Array[], bytes: Buffer | undefined, limits: InputLimits): void {
  if (bytes === undefined) return;
  const field = `BinPayloads[${payloads.length}]`;
  if (payloads.length >= limits.branches) throw invalid("BinPayloads", "more", `at most ${limits.branches} payloads`);
  payloads.push(copyOf(checkPayload(field, bytes, limits)));
}

/** Payloads live as long as their transaction: the message they came in must not be kept for them. */
function copyOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

/** S-OPT-11: `concurrent` is not among them. */
function noOptions(): Writable<OptionsBody> {
  return {
    waitResult: false,
    timeoutToFail: 0,
    requestTimeout: 0,
    retryInterval: 0,
    retryLimit: 0,
    branchHeaders: undefined,
    concurrent: false,
  };
}

/** Adds a `DtmTransOptions`; of several in one message the later fields win. */
function readOptions(message: Buffer | undefined, options: Writable<OptionsBody>): void {
  if (message === undefined) return;
  const reader = new ProtobufReader(message);
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        options.waitResult = reader.bool() ?? options.waitResult;
        break;
      case 2:
        options.timeoutToFail = reader.int64() ?? options.timeoutToFail;
        break;
      case 3:
        options.retryInterval = reader.int64() ?? options.retryInterval;
        break;
      case 5: {
        const headers: Record<string, string> = Object.assign(Object.create(null), options.branchHeaders);
        reader.entry(headers);
        options.branchHeaders = headers;
        break;
      }
      case 6:
        options.requestTimeout = reader.int64() ?? options.requestTimeout;
        break;
      case 7:
        options.retryLimit = reader.int64() ?? options.retryLimit;
        break;
      default:
        reader.skip();
    }
  }
}

/** A `DtmBranchRequest`; its field `Op` is not looked at (S-GRPC-10). @throws InvalidInput */
export function readBranch(message: Buffer): BranchBody {
  const reader = new ProtobufReader(message);
  const data: Record<string, string> = Object.create(null);
  let [gid, transType, branchId] = ["", "", ""];
  let payload: Uint8Array = new Uint8Array(0);
  while (reader.next()) {
    if (reader.field === 1) gid = reader.text() ?? gid;
    else if (reader.field === 2) transType = reader.text() ?? transType;
    else if (reader.field === 3) branchId = reader.text() ?? branchId;
    else if (reader.field === 4) reader.text();
    else if (reader.field === 5) reader.entry(data);
    else if (reader.field === 6) payload = copyOf(reader.bytes() ?? payload);
    else reader.skip();
  }
  const { headers, request_timeout: requestTimeout } = data;
  return { gid, transType, branchId, data, payload, headers, requestTimeout };
}

/** A `DtmTopicRequest`. @throws InvalidInput */
export function readTopic(message: Buffer): TopicBody {
  const reader = new ProtobufReader(message);
  let [topic, url, remark] = ["", "", ""];
  while (reader.next()) {
    if (reader.field === 1) topic = reader.text() ?? topic;
    else if (reader.field === 2) url = reader.text() ?? url;
    else if (reader.field === 3) remark = reader.text() ?? remark;
    else reader.skip();
  }
  return { topic, url, remark };
}

/** The gid of a `DtmQueryRequest`. @throws InvalidInput */
export function readGidRequest(message: Buffer): string {
  const reader = new ProtobufReader(message);
  let gid = "";
  while (reader.next()) {
    if (reader.field === 1) gid = reader.text() ?? gid;
    else reader.skip();
  }
  return gid;
}

/** A `DtmGidReply`. */
export function gidReply(gid: string): Buffer {
  return new ProtobufWriter().text(1, gid).finish();
}

/** A `DtmProgressesReply`: the transaction with its result (S-BUG-12) and the recorded steps in their order. */
export function progressesReply(tx: Transaction): Buffer {
  const transaction = new ProtobufWriter()
    .text(1, tx.gid)
    .text(2, tx.status)
    .text(3, tx.rollbackReason)
    .text(4, tx.result);
  const reply = new ProtobufWriter().bytes(1, transaction.finish());
  for (const { status, payload, branchId, op } of tx.ops)
    reply.bytes(2, new ProtobufWriter().text(1, status).bytes(2, payload).text(3, branchId).text(4, op).finish());
  return reply.finish();
}
