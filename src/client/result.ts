// How a participant's answer looks on the wire, and how an answer is read: status 200/409/425/500 and gRPC 0/10/9/2.
// The reading order (425 or text ONGOING, 409 or text FAILURE, not 200, 200) is DTM's; callers in every language
// follow it, so a success body must not carry either word. Ours never does: the first letter is written as a JSON
// escape.

import { errorCode, type Failure, findBranded, invalidInput, messageOf } from "./errors.js";

/** What a call told its caller. `unknown` means: ask again, never roll back because of it. */
export type Outcome = "success" | "failure" | "ongoing" | "unknown";

/** An answer ready to be sent; `body` is JSON text. */
export interface HttpAnswer {
  readonly status: 200 | 400 | 409 | 425 | 500;
  readonly body: string;
}

/**
 * gRPC status of an answer: 0 OK, 10 ABORTED (failure), 9 FAILED_PRECONDITION (ongoing), 3 INVALID_ARGUMENT, 2
 * UNKNOWN.
 */
export interface GrpcStatus {
  readonly code: 0 | 2 | 3 | 9 | 10;
  readonly message: string;
}

/**
 * `text` plus one space and the word, unless it already ends with it: the form DTM's clients exchange and store as
 * reason.
 */
export function withWord(text: string, word: "FAILURE" | "ONGOING"): string {
  if (text.endsWith(word)) return text;
  return text === "" ? word : `${text} ${word}`;
}

/** JSON text with the first letter of `word` written as an escape; the value it parses to is unchanged. */
function escapeWord(json: string, word: "FAILURE" | "ONGOING"): string {
  return json.replaceAll(word, `\\u00${word.charCodeAt(0).toString(16)}${word.slice(1)}`);
}

/**
 * JSON text in which neither FAILURE nor ONGOING occurs as bytes; both can only stand inside strings, where an escape
 * is legal.
 * Throws TypeError on what JSON cannot hold (cycles, BigInt, functions).
 */
export function calmJson(value: unknown): string {
  const text: string | undefined = JSON.stringify(value);
  if (text === undefined) throw new TypeError(`a ${typeof value} cannot be answered as JSON`);
  return escapeWord(escapeWord(text, "FAILURE"), "ONGOING");
}

/**
 * The 200 answer for a value; `undefined` becomes `{"dtm_result":"SUCCESS"}`. Throws TypeError on what JSON cannot
 * hold.
 */
export function successAnswer(value?: unknown): HttpAnswer {
  return { status: 200, body: calmJson(value === undefined ? { dtm_result: "SUCCESS" } : value) };
}

/**
 * The 409 body. ONGOING anywhere in it would be read first, as "not yet"; details that JSON cannot hold are left out.
 */
function failureBody(error: unknown, text: string): string {
  const body = { dtm_result: "FAILURE", error: withWord(text, "FAILURE") };
  try {
    return escapeWord(JSON.stringify({ ...body, details: (findBranded(error) as Failure).details }), "ONGOING");
  } catch {
    return escapeWord(JSON.stringify(body), "ONGOING");
  }
}

/**
 * The answer for something thrown: Failure 409, Ongoing and NonDeterminism 425, InvalidBranch 400, anything else 500
 * (asked again).
 */
export function errorAnswer(error: unknown): HttpAnswer {
  const text = messageOf(error);
  switch (errorCode(error)) {
    case "DTX_FAILURE":
      return { status: 409, body: failureBody(error, text) };
    case "DTX_ONGOING":
    case "DTX_NON_DETERMINISM":
      return { status: 425, body: JSON.stringify({ dtm_result: "ONGOING", error: withWord(text, "ONGOING") }) };
    case "DTX_INVALID_BRANCH":
      return { status: 400, body: calmJson({ error: text, hint: hintOf(error) }) };
    default:
      return { status: 500, body: calmJson({ error: text, hint: hintOf(error) }) };
  }
}

/** What to do about it, for whoever reads the coordinator's record of the answer. */
const hintOf = (error: unknown): string | undefined => findBranded(error)?.hint;

/**
 * Runs a handler and turns whatever comes of it into an answer; never rejects. A handler that *returns* an error
 * instead of throwing it is treated as if it had thrown: answering 200 there would commit what the caller believes
 * refused. `unexpected` is told of errors that are neither a refusal nor "not yet": somebody has to look at those.
 */
export async function toHttp(handler: () => unknown, unexpected?: (error: unknown) => void): Promise<HttpAnswer> {
  try {
    const value = await handler();
    if (value instanceof Error) throw value;
    return answerOf(value);
  } catch (error) {
    const answer = errorAnswer(error);
    if (answer.status === 500 || answer.status === 400) unexpected?.(error);
    return answer;
  }
}

/**
 * The 200 answer for what a handler returned; throws DTX_INVALID_INPUT if it is no JSON. The handler's work is done,
 * and perhaps committed: its repeat will be answered without the value.
 */
export function answerOf(value: unknown): HttpAnswer {
  try {
    return successAnswer(value);
  } catch (cause) {
    throw invalidInput(`what the handler returned cannot be answered: ${messageOf(cause)}`, {
      cause,
      hint: "return plain JSON data, or nothing: no BigInt, function or cycle",
    });
  }
}

/** The gRPC status for something thrown; the message of a failure and of an ongoing answer ends in the word. */
export function toGrpc(error: unknown): GrpcStatus {
  const text = messageOf(error);
  switch (errorCode(error)) {
    case "DTX_FAILURE":
      return { code: 10, message: withWord(text, "FAILURE") };
    case "DTX_ONGOING":
    case "DTX_NON_DETERMINISM":
      return { code: 9, message: withWord(text, "ONGOING") };
    case "DTX_INVALID_BRANCH":
      return { code: 3, message: text };
    default:
      return { code: 2, message: text };
  }
}

/** Reads an HTTP answer in DTM's order. `body` is the text as received. */
export function classifyHttp(status: number, body: string): Outcome {
  if (status === 425 || body.includes("ONGOING")) return "ongoing";
  if (status === 409 || body.includes("FAILURE")) return "failure";
  return status === 200 ? "success" : "unknown";
}

/** Reads a gRPC status; ABORTED with the exact message ONGOING is the form of clients before DTM 1.10. */
export function classifyGrpc(code: number, message: string): Outcome {
  if (code === 0) return "success";
  if (code === 10) return message === "ONGOING" ? "ongoing" : "failure";
  return code === 9 ? "ongoing" : "unknown";
}
