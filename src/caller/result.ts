/**
 * What an answer means: the table of S-RES-1…5, for all protocols in one place.
 *
 * Whatever is not a clear yes or no is `unknown`: it is asked again and nothing is rolled back because of it. The words
 * ONGOING and FAILURE anywhere in a body decide (S-ODD-2), ONGOING first; `strict` results look at the status only.
 */
import type { Outcome } from "../core/transaction.js";
import type { Answer } from "../ports/caller.js";

/** Longest `detail` of an answer, in characters. */
export const detailMax = 1024;

/** A response as far as it was read. */
export interface HttpResponse {
  readonly status: number;
  readonly body: Buffer;
  /** The body was longer than what was read: only a status that decides by itself counts. */
  readonly cut: boolean;
  /** `content-encoding`, when there was one: words inside cannot be seen. */
  readonly encoding: string | undefined;
}

/** Answer of a plain HTTP participant (S-RES-1). */
export function judgeHttp(response: HttpResponse, strict: boolean): Answer {
  const outcome = httpOutcome(response, strict);
  const text = textOf(response.body);
  if (outcome !== "unknown") return { outcome, detail: text || `HTTP status ${response.status}` };
  return unclear(`${whyUnknown(response)}: ${text}`, response.status < 500);
}

function httpOutcome({ status, body, cut, encoding }: HttpResponse, strict: boolean): Outcome {
  if (strict) return strictOutcome(status, cut);
  const whole = !cut && encoding === undefined;
  if (status === 425) return "ongoing";
  if (status === 409) return body.includes("ONGOING") ? "ongoing" : "failure";
  if (!whole) return "unknown";
  if (body.includes("ONGOING")) return "ongoing";
  if (body.includes("FAILURE")) return "failure";
  return status === 200 ? "success" : "unknown";
}

function strictOutcome(status: number, cut: boolean): Outcome {
  if (status === 425) return "ongoing";
  if (status === 409) return "failure";
  return status >= 200 && status < 300 && !cut ? "success" : "unknown";
}

function whyUnknown({ status, cut, encoding }: HttpResponse): string {
  if (cut) return `HTTP status ${status}, the body is too long`;
  if (status >= 300 && status < 400) return `HTTP status ${status}, redirects are not followed`;
  if (encoding !== undefined)
    return `HTTP status ${status}, content-encoding '${shorten(encoding, 40)}' was not asked for`;
  return `HTTP status ${status}`;
}

/** Answer of a JSON-RPC participant: the HTTP rules first, then the codes, compared as numbers (S-RES-3, S-BUG-3). */
export function judgeJsonRpc(response: HttpResponse, strict: boolean): Answer {
  const answer = judgeHttp(response, strict);
  if (answer.outcome !== "success") return answer;
  const reply = parse(response.body);
  if (typeof reply !== "object" || reply === null || Array.isArray(reply))
    return unclear(`not a JSON-RPC reply: ${answer.detail}`, true);
  const { error } = reply as { error?: unknown };
  if (error === undefined || error === null) return answer;
  const { code } = error as { code?: unknown };
  if (code === -32902) return { ...answer, outcome: "ongoing" };
  if (code === -32901) return { ...answer, outcome: "failure" };
  return unclear(`JSON-RPC error: ${answer.detail}`, !isServerError(code));
}

/** JSON-RPC's own counterparts of 5xx. */
function isServerError(code: unknown): boolean {
  return code === -32603 || (typeof code === "number" && code <= -32000 && code > -32100);
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}

/** Answer of a gRPC participant (S-RES-2). `message` is the status message, already decoded. */
export function judgeGrpc(code: number, message: string): Answer {
  const detail = shorten(message, detailMax);
  if (code === 0) return { outcome: "success", detail };
  if (code === 9 || (code === 10 && message === "ONGOING")) return { outcome: "ongoing", detail: detail || "ONGOING" };
  if (code === 10) return { outcome: "failure", detail: detail || "gRPC status 10 (ABORTED)" };
  const why = `gRPC status ${code}${grpcNames[code] ? ` (${grpcNames[code]})` : ""}: ${message}`;
  return unclear(why, grpcNames[code] !== undefined && !grpcSick.has(code));
}

/** UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE: the participant is not well (architecture 6). */
const grpcSick: ReadonlySet<number> = new Set([2, 4, 13, 14]);

const grpcNames: Readonly<Record<number, string>> = {
  1: "CANCELLED",
  2: "UNKNOWN",
  3: "INVALID_ARGUMENT",
  4: "DEADLINE_EXCEEDED",
  5: "NOT_FOUND",
  6: "ALREADY_EXISTS",
  7: "PERMISSION_DENIED",
  8: "RESOURCE_EXHAUSTED",
  11: "OUT_OF_RANGE",
  12: "UNIMPLEMENTED",
  13: "INTERNAL",
  14: "UNAVAILABLE",
  15: "DATA_LOSS",
  16: "UNAUTHENTICATED",
};

/** The participant was not reached, or did not answer clearly; `why` is shortened. */
export function unknown(why: string): Answer {
  return { outcome: "unknown", detail: shorten(why, detailMax) };
}

/** There was no answer by the deadline. */
export function timedOut(why: string): Answer {
  return { ...unknown(why), timedOut: true };
}

/** An answer that came, but is no clear one. `isWell`: the participant itself is in good order. */
function unclear(why: string, isWell: boolean): Answer {
  return isWell ? { ...unknown(why), isWell } : unknown(why);
}

/** First characters of a body; what is no UTF-8 becomes U+FFFD. Four bytes a character are enough to look at. */
function textOf(body: Buffer): string {
  if (body.length === 0) return "";
  const text = body.toString("utf8", 0, Math.min(body.length, 4 * detailMax));
  return body.length > 4 * detailMax || text.length > detailMax ? shorten(text, detailMax) : text;
}

/** At most `max` UTF-16 units, never ending in half of a pair. */
function shorten(text: string, max: number): string {
  if (text.length <= max) return text;
  const last = text.charCodeAt(max - 1);
  return text.slice(0, last >= 0xd800 && last < 0xdc00 ? max - 1 : max);
}
