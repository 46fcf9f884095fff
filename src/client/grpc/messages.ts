// The messages of dtmgimp.Dtm (proto/dtm.proto) from the bodies that the client makes, and answers back to what the
// HTTP API would have said. Payloads become bytes: JSON text as UTF-8, byte arrays as they are.

import { InvalidInput } from "../../wire/invalid.js";
import { ProtobufReader, ProtobufWriter } from "../../wire/protobuf.js";
import type { ApiAnswer, ApiBody, Operation } from "../api.js";

/** Methods of the service by the client's operations. */
export const methods: Readonly<Record<Operation, string>> = {
  newGid: "NewGid",
  prepare: "Prepare",
  submit: "Submit",
  abort: "Abort",
  registerBranch: "RegisterBranch",
  prepareWorkflow: "PrepareWorkflow",
  query: "Query",
  subscribe: "Subscribe",
  unsubscribe: "Unsubscribe",
  deleteTopic: "DeleteTopic",
};

/** The request of an operation. Throws `InvalidInput` for what the protocol has no place for. */
export function encodeRequest(operation: Operation, body: ApiBody): Buffer {
  switch (operation) {
    case "newGid":
      return Buffer.alloc(0);
    case "query":
      return new ProtobufWriter().text(1, text(body.gid)).finish();
    case "registerBranch":
      return branchMessage(body);
    case "subscribe":
    case "unsubscribe":
    case "deleteTopic":
      return new ProtobufWriter().text(1, text(body.topic)).text(2, text(body.url)).text(3, text(body.remark)).finish();
    case "prepare":
    case "submit":
    case "abort":
    case "prepareWorkflow":
      return transactionMessage(body);
  }
}

function transactionMessage(body: ApiBody): Buffer {
  if (body.trans_type === "msg" && body.concurrent === true) {
    throw new InvalidInput(
      "gRPC has no field for a concurrent msg: submit it over HTTP or NATS, or without concurrent",
    );
  }
  const message = new ProtobufWriter()
    .text(1, text(body.gid))
    .text(2, text(body.trans_type))
    .bytes(3, optionsMessage(body))
    .text(4, text(body.custom_data));
  // An empty payload must keep its place: payloads belong to steps by their position.
  for (const payload of list(body.payloads)) message.bytes(5, payloadBytes(payload), true);
  message.text(6, text(body.query_prepared));
  if (body.steps !== undefined) message.text(7, JSON.stringify(body.steps));
  const { lease_seconds, executor_id } = body;
  const lease = lease_seconds === undefined ? {} : { lease_seconds, executor_id };
  addEntries(message, 8, { ...Object(body.req_extra ?? {}), ...lease });
  return message.text(9, text(body.rollback_reason)).finish();
}

function optionsMessage(body: ApiBody): Buffer {
  const message = new ProtobufWriter()
    .uint(1, body.wait_result === true ? 1 : 0)
    .uint(2, number(body.timeout_to_fail))
    .uint(3, number(body.retry_interval));
  addEntries(message, 5, body.branch_headers);
  return message.uint(6, number(body.request_timeout)).uint(7, number(body.retry_limit)).finish();
}

/** All that is neither an id nor the payload stands in the map `Data`, as in HTTP it stands beside them. */
function branchMessage(body: ApiBody): Buffer {
  const { gid, trans_type, branch_id, data, ...rest } = body;
  const message = new ProtobufWriter().text(1, text(gid)).text(2, text(trans_type)).text(3, text(branch_id));
  addEntries(message, 5, rest);
  return message.bytes(6, payloadBytes(data)).finish();
}

function addEntries(message: ProtobufWriter, field: number, entries: unknown): void {
  for (const [key, value] of Object.entries(Object(entries ?? {}))) {
    if (value === undefined) continue;
    message.bytes(field, new ProtobufWriter().text(1, key).text(2, text(value)).finish(), true);
  }
}

const text = (value: unknown): string => (value === undefined || value === null ? "" : String(value));
const number = (value: unknown): number => (typeof value === "number" ? value : 0);
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const payloadBytes = (value: unknown): Uint8Array =>
  value instanceof Uint8Array ? value : Buffer.from(text(value), "utf8");

/** The body that a successful answer would have over HTTP. Throws `InvalidInput` for bytes that are no message. */
export function decodeReply(operation: Operation, bytes: Buffer): ApiBody {
  if (operation === "newGid") return { dtm_result: "SUCCESS", gid: fieldsOf(bytes).texts[1] ?? "" };
  if (operation !== "prepareWorkflow" && operation !== "query") return { dtm_result: "SUCCESS" };
  const { messages } = fieldsOf(bytes);
  const [transaction] = messages.filter(({ field }) => field === 1);
  if (transaction === undefined) return { transaction: null, progresses: [] };
  const { texts } = fieldsOf(transaction.bytes);
  return {
    transaction: { gid: texts[1], status: texts[2], rollback_reason: texts[3] ?? "", result: texts[4] ?? "" },
    progresses: messages.filter(({ field }) => field === 2).map((one) => progressOf(one.bytes)),
  };
}

function progressOf(message: Buffer): ApiBody {
  const { texts, messages } = fieldsOf(message);
  const data = messages.findLast(({ field }) => field === 2)?.bytes ?? Buffer.alloc(0);
  return { status: texts[1], bin_data: data.toString("base64"), branch_id: texts[3], op: texts[4] };
}

interface Fields {
  /** Last value of each field, as text. */
  readonly texts: Readonly<Record<number, string>>;
  readonly messages: readonly { readonly field: number; readonly bytes: Buffer }[];
}

function fieldsOf(message: Buffer): Fields {
  const reader = new ProtobufReader(message);
  const texts: Record<number, string> = {};
  const messages: { field: number; bytes: Buffer }[] = [];
  while (reader.next()) {
    const bytes = reader.bytes();
    if (bytes === undefined) continue;
    messages.push({ field: reader.field, bytes });
    texts[reader.field] = bytes.toString("utf8");
  }
  return { texts, messages };
}

/** HTTP's word for a status, so that every transport is read alike; `undefined` if no coordinator has spoken. */
export function answerOf(code: number, message: string): ApiAnswer | undefined {
  const status = statuses[code];
  return status === undefined ? undefined : { status, body: { message } };
}

/** ALREADY_EXISTS is what our server says of a workflow's step that stands with other content. */
const statuses: Readonly<Record<number, number>> = {
  2: 500,
  3: 400,
  5: 404,
  6: 409,
  7: 403,
  8: 429,
  9: 425,
  10: 409,
  12: 501,
  13: 500,
  14: 503,
  16: 401,
};
