/**
 * Participants over NATS: one request, one reply. The transaction is told in headers, the payload is the message, a
 * `Status` header answers, else the words of S-RES-1 in the body. Whatever is no clear answer is unknown.
 */
import { ErrorCode, type Msg, headers as makeHeaders, type NatsConnection, NatsError } from "nats";
import type { Answer, Call } from "../ports/caller.js";
import type { Ending } from "./ending.js";
import { judgeHttp, timedOut, unknown } from "./result.js";
import type { NatsUrl } from "./url.js";

/** The node's connection, and which subjects are its own. */
export interface NatsAccess {
  /** `undefined` while there is none. */
  readonly connection: () => NatsConnection | undefined;
  /** Subjects below are the coordinator's own and no participants. */
  readonly prefix: string;
}

/** Why a subject is no participant's, or `undefined`. */
export function refuseSubject(subject: string, access: NatsAccess | undefined): string | undefined {
  if (access === undefined) return `this node has no NATS, which ${subject} is called by (--cluster nats://…)`;
  if (subject !== access.prefix && !subject.startsWith(`${access.prefix}.`)) return undefined;
  return `subjects below '${access.prefix}' belong to the coordinator, which is no participant`;
}

/** Makes one call. */
export async function callNats(
  access: NatsAccess | undefined,
  bodyBytesMax: number,
  url: NatsUrl,
  call: Call,
  ending: Ending,
): Promise<Answer> {
  const connection = access?.connection();
  if (connection === undefined) return unknown("NATS is away");
  let forget = () => {};
  const aborted = new Promise<Answer>((resolve) => {
    const stop = () => resolve(unknown("the call was given up"));
    if (ending.isOver) stop();
    const id = ending.add(stop);
    forget = () => ending.remove(id);
  });
  try {
    return await Promise.race([aborted, request(connection, bodyBytesMax, url.subject, call)]);
  } finally {
    forget();
  }
}

async function request(connection: NatsConnection, bodyBytesMax: number, subject: string, call: Call): Promise<Answer> {
  try {
    const options = { timeout: call.timeoutMs, headers: headersOf(call) };
    return judge(await connection.request(subject, call.payload, options), bodyBytesMax);
  } catch (error) {
    const isTimeout = error instanceof NatsError && error.code === ErrorCode.Timeout;
    return (isTimeout ? timedOut : unknown)(reason(error, subject, call.timeoutMs));
  }
}

/** Values are percent-encoded where they are more than plain printable text, as in a query. */
function headersOf({ gid, type, branchId, op, headers }: Call) {
  const all = makeHeaders();
  for (const [name, value] of Object.entries(headers)) all.set(name, value);
  all.set("gid", encodeURIComponent(gid));
  all.set("trans_type", type);
  all.set("branch_id", encodeURIComponent(branchId));
  all.set("op", encodeURIComponent(op));
  return all;
}

/** Success, failure, ongoing. */
const clearStatuses: ReadonlySet<string> = new Set(["200", "409", "425"]);

function judge(reply: Msg, bodyBytesMax: number): Answer {
  const status = reply.headers?.get("Status") || reply.headers?.get("Nats-Service-Error-Code") || "";
  const body = Buffer.from(reply.data.buffer, reply.data.byteOffset, reply.data.byteLength);
  const words = reply.headers?.get("Nats-Service-Error") ?? "";
  const shown = body.length === 0 ? Buffer.from(words) : body;
  const cut = body.length > bodyBytesMax;
  if (status === "") return judgeHttp({ status: 200, body, cut, encoding: undefined }, false);
  if (!clearStatuses.has(status)) {
    const answer = unknown(`status '${status.slice(0, 20)}': ${shown.toString("utf8")}`);
    return /^[1-4]\d\d$/.test(status) ? { ...answer, isWell: true } : answer;
  }
  return judgeHttp({ status: Number(status), body: shown, cut, encoding: undefined }, true);
}

function reason(error: unknown, subject: string, timeoutMs: number): string {
  if (!(error instanceof NatsError)) return `NATS ${subject}: ${String(error)}`;
  switch (error.code) {
    case ErrorCode.NoResponders:
      return `NATS ${subject}: nobody listens there`;
    case ErrorCode.Timeout:
      return `NATS ${subject}: no reply within ${timeoutMs} ms`;
    default:
      return `NATS ${subject}: ${error.message}`;
  }
}
