// What all global transactions have in common: a gid, options in people's units, the body in DTM's names, and the state
// that a submit or a query comes back with.

import { type Api, type ApiAnswer, type ApiBody, type ApiOptions, accepted, Rejected } from "./api.js";
import { type Duration, toMs, toSeconds } from "./duration.js";
import { invalidInput } from "./errors.js";
import { idLengthMax } from "./identity.js";
import type { CallSettings } from "./step.js";

/** Settings of one global transaction; all are fixed by the first request that is sent. */
export interface GlobalOptions {
  /** Id of one's own choice, the natural key of the deed: repeating it is then harmless. Default: a new sortable id. */
  readonly gid?: string;
  /** Wait for the end up to this long; without it the answer says only that the transaction is accepted. */
  readonly wait?: Duration;
  /** When to give up and roll back (saga), or to assume that the initiator is gone (tcc, xa, msg). At least 1 s. */
  readonly timeoutToFail?: Duration;
  /** How long the coordinator waits for a participant's answer. */
  readonly requestTimeout?: Duration;
  /** Base interval of the coordinator's retries. */
  readonly retryInterval?: Duration;
  /** Headers sent to every participant, by the coordinator as by this client. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Ends this client's waiting and calling; never the transaction. */
  readonly signal?: AbortSignal;
}

/** How a transaction stands: over with or without success, or still going on (`aborting`: it is being rolled back). */
export type GlobalState =
  | { readonly gid: string; readonly status: "succeeded" }
  /** `details`: what the participant that refused gave with its `Failure`, unless it was long and got cut. */
  | { readonly gid: string; readonly status: "failed"; readonly reason: string; readonly details?: unknown }
  /** `lastError`: what a call met that settled nothing, where its coordinator tells it (ours; not over gRPC). */
  | { readonly gid: string; readonly status: "pending"; readonly aborting?: true; readonly lastError?: string };

const base32 = "0123456789abcdefghjkmnpqrstvwxyz";

/** A new id: 26 lower-case letters and digits, ascending with time, 80 random bits. */
export function newGid(nowMs: number = Date.now()): string {
  let time = "";
  for (let rest = nowMs, count = 0; count < 10; count++, rest = Math.floor(rest / 32)) time = base32[rest % 32] + time;
  const random = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => base32[byte % 32]);
  return time + random.join("");
}

const badInGid = /[\u0000-\u001f\u007f;'"`\\]|\p{Surrogate}|\s$/u;

/** Refuses ids that some database, header or query on the way could not carry; the coordinator itself takes more. */
export function checkGid(gid: string): string {
  const problem =
    gid === "" || gid.length > idLengthMax.gid
      ? `has ${gid.length} characters, 1 to ${idLengthMax.gid} are possible`
      : badInGid.test(gid) && "has a quote, semicolon, backslash, control character or trailing space";
  if (problem === false) return gid;
  throw invalidInput(`the gid ${JSON.stringify(gid.slice(0, 200))} ${problem}`, {
    hint: "use letters, digits and _ . : -",
  });
}

/** What a step says of its calls as its coordinator takes it: as texts, which DTM's server can pass over. */
export interface StepFields {
  readonly headers: string | undefined;
  readonly request_timeout: string | undefined;
}

/** Those of a reference; rejects a timeout that no coordinator takes. */
export function stepFields(step: CallSettings): StepFields {
  const { headers } = step;
  const timeoutMs = timeoutOf(step);
  return {
    headers: headers && JSON.stringify(fitHeaders(headers)),
    request_timeout: timeoutMs === undefined ? undefined : String(timeoutMs / 1_000),
  };
}

/**
 * Refuses a definition in place of its reference, and a reference without one of its addresses: no JSON would say that
 * it is missing, and the coordinator would take it for one that needs no call.
 */
export function checkReference(reference: object, of: string, addresses: readonly string[]): void {
  const given = Object(reference) as Readonly<Record<string, unknown>>;
  const missing = addresses.filter((name) => typeof given[name] !== "string");
  if (missing.length === 0) return;
  throw invalidInput(`${of} names no ${missing.join(", ")} to call`, {
    hint: 'give what step.at("http://host") returns, or the URLs; "" where nothing is to be called',
  });
}

/** How long a call of this step may take, in ms of whole seconds: this client waits as long as the coordinator. */
export function timeoutOf({ timeout }: CallSettings): number | undefined {
  if (timeout === undefined) return undefined;
  const seconds = toSeconds(timeout);
  if (seconds >= 1 && seconds <= 3_600) return seconds * 1_000;
  throw invalidInput(`a step's timeout is 1 s to 1 h, not ${JSON.stringify(timeout)}`);
}

/** Headers of a call that this client makes itself: a step's beat the transaction's, in whatever case they are. */
export const joinedHeaders = (...all: readonly GlobalOptions["headers"][]): Readonly<Record<string, string>> =>
  Object.fromEntries(all.flatMap((one = {}) => Object.entries(one).map(([name, text]) => [name.toLowerCase(), text])));

/** Headers that go along with calls, their names in lower case; rejects what a call says itself or cannot carry. */
function fitHeaders(headers: GlobalOptions["headers"]): Readonly<Record<string, string>> {
  const fit = joinedHeaders(headers);
  for (const [name, text] of Object.entries(fit)) {
    const isName = /^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name) && !/^(grpc|dtm)-/.test(name);
    if (isName && /^[\t\x20-\x7e]*$/.test(text)) continue;
    throw invalidInput(`the header ${JSON.stringify(name)} cannot go along with calls`, {
      hint: "a name is an HTTP token that does not begin with grpc- or dtm-, a value is visible ASCII",
    });
  }
  return fit;
}

const plainData = "give plain data, without BigInt, functions and cycles";

/** A payload as it is sent: bytes as they are, anything else as JSON text. */
export function payloadOf<In>(
  input: In,
  where: string,
  { encode }: { readonly encode?: (input: In) => Uint8Array } = {},
): string | Uint8Array {
  const value: unknown = encode === undefined ? input : encode(input);
  return value instanceof Uint8Array ? value : payloadText(value, where);
}

/** JSON text of a payload; names the culprit where JSON has no form for it. */
export function payloadText(payload: unknown, where: string): string {
  try {
    const text: string | undefined = payload === undefined ? "" : JSON.stringify(payload);
    if (text !== undefined) return text;
  } catch (cause) {
    throw invalidInput(`the payload of ${where} cannot be written as JSON`, {
      ...{ cause, hint: plainData },
    });
  }
  throw invalidInput(`the payload of ${where} is a ${typeof payload}, which JSON cannot hold`, {
    hint: plainData,
  });
}

/** The members of a request body that come from the options; absent ones stay absent. */
export function optionFields({ telemetry }: Pick<Api, "telemetry">, options: GlobalOptions): ApiBody {
  const fields: Record<string, unknown> = {};
  if (options.wait !== undefined && toMs(options.wait) > 0) fields.wait_result = true;
  if (options.timeoutToFail !== undefined) fields.timeout_to_fail = atLeastOne(options.timeoutToFail, "timeoutToFail");
  if (options.requestTimeout !== undefined)
    fields.request_timeout = atLeastOne(options.requestTimeout, "requestTimeout");
  if (options.retryInterval !== undefined) fields.retry_interval = atLeastOne(options.retryInterval, "retryInterval");
  const headers = { ...telemetry.headers(), ...fitHeaders(options.headers) };
  if (Object.keys(headers).length > 0) fields.branch_headers = headers;
  return fields;
}

function atLeastOne(duration: Duration, name: string): number {
  const seconds = toSeconds(duration);
  if (seconds >= 1) return seconds;
  throw invalidInput(`${name} must be at least a second`);
}

/** State of a gid as the coordinator knows it, `undefined` for an unknown gid. */
export async function queryState(api: Api, gid: string, options?: ApiOptions): Promise<GlobalState | undefined> {
  const { transaction, branches } = await accepted(api, "query", { gid }, options);
  if (typeof transaction !== "object" || transaction === null) return undefined;
  const { status, rollback_reason: reason } = transaction as { status?: unknown; rollback_reason?: unknown };
  if (status === "succeed") return { gid, status: "succeeded" };
  if (status === "failed") return { gid, status: "failed", ...refusalIn(typeof reason === "string" ? reason : "") };
  return { gid, status: "pending", ...(status === "aborting" && { aborting: true }), ...lastErrorIn(branches) };
}

function lastErrorIn(branches: unknown): { readonly lastError?: string } {
  const open = (Array.isArray(branches) ? branches : []) as readonly { status?: unknown; last_error?: unknown }[];
  const met = open.findLast(({ status, last_error: error }) => status === "prepared" && typeof error === "string");
  return met === undefined ? {} : { lastError: String(met.last_error) };
}

/** A reason is `url:… return failed:` and the participant's answer, whose details come along where it has some. */
function refusalIn(reason: string): { readonly reason: string; readonly details?: unknown } {
  const [answer] = /\{.*\}/s.exec(reason) ?? [];
  try {
    const { details } = JSON.parse(answer ?? "{}") as { readonly details?: unknown };
    return details === undefined ? { reason } : { reason, details };
  } catch {
    return { reason };
  }
}

/** Longer than the coordinator holds a reply, so that its word comes before our patience ends. */
const heldReplyMs = 30_000;
const pollMs = { first: 100, max: 1_000 } as const;

/**
 * Sends a submit and finds out how the transaction stands. Rejects only if the coordinator refuses the content, or
 * nobody can be reached; a transaction that fails is a state, not an error.
 */
export async function submitAndWait(api: Api, body: ApiBody, options: GlobalOptions): Promise<GlobalState> {
  const gid = String(body.gid);
  const { signal } = options;
  const waitMs = options.wait === undefined ? 0 : toMs(options.wait);
  const deadline = api.clock.nowMs() + waitMs;
  const timeoutMs = waitMs === 0 ? undefined : Math.min(waitMs, heldReplyMs);
  const answer = await submit(api, body, { signal, timeoutMs }, waitMs > 0);
  if (answer?.status === 200) return { gid, status: waitMs === 0 ? "pending" : "succeeded" };
  for (let poll: number = pollMs.first; ; poll = Math.min(poll * 2, pollMs.max)) {
    const state = (await queryState(api, gid, { signal })) ?? { gid, status: "pending" };
    if (state.status !== "pending" || api.clock.nowMs() + poll > deadline) return judged(state, answer);
    await api.clock.pause(poll, signal);
  }
}

/** A held reply that outlasts our patience is no loss: the state is asked for afterwards. */
async function submit(api: Api, body: ApiBody, options: ApiOptions, held: boolean): Promise<ApiAnswer | undefined> {
  let answer: ApiAnswer;
  try {
    answer = await api.call("submit", body, options);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (held && (await queryState(api, String(body.gid), { signal: options.signal })) !== undefined) return undefined;
    throw error;
  }
  if (answer.status === 200 || answer.status === 409 || answer.status === 425) return answer;
  throw new Rejected("submit", answer, String(body.gid));
}

/** A refusal tells of this transaction's end only if it is this one that ended, not another of the same gid. */
function judged(state: GlobalState, answer: ApiAnswer | undefined): GlobalState {
  if (answer?.status !== 409) return state;
  const said = String(answer.body.message ?? "");
  const stillGoing = state.status === "pending" && state.aborting !== true;
  const isWaiting = said.includes("wait result not return success");
  if (!said.includes("other content") && (!stillGoing || isWaiting)) return state;
  throw new Rejected("submit", answer, state.gid);
}
