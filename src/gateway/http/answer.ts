/**
 * What a route answers, and how refusals look over HTTP (S-HTTP-1…3): DTM's words in DTM's shape, codes from the one
 * table. Bodies are finished texts, so that sending one costs no further work.
 */
import { errors } from "../../core/errors.js";
import type { Refusal, Reply } from "../../core/input.js";

/** A whole answer, ready to be written. */
export interface HttpAnswer {
  readonly status: number;
  /** Content type, JSON when not given. */
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Content type of JSON, in the spelling that DTM sends (S-HTTP-3). */
export const jsonType = "application/json; charset=utf-8";
/** Content type of plain text, in the spelling that DTM sends (S-HTTP-5). */
export const textType = "text/plain; charset=utf-8";

/** Answer to everything that was accepted and says no more. */
export const success: HttpAnswer = { status: 200, body: '{"dtm_result":"SUCCESS"}' };

/** 200 with a value as it is. */
export function valueAnswer(value: unknown): HttpAnswer {
  return { status: 200, body: JSON.stringify(value) };
}

/** Makes the body of a refusal; routes whose clients need more than DTM's members have their own. */
export type RefusalBody = (refusal: Refusal) => Readonly<Record<string, unknown>>;

/** `dtm_result` where DTM has one, `message`, and what stands in the place that a registration wanted (D3). */
export const refusalBody: RefusalBody = ({ code, message, progress }) => ({
  dtm_result: errors[code].result,
  message,
  progress: progress && { branch_id: progress.branchId, op: progress.op, status: progress.status },
});

/**
 * DTM's Go client ignores the status of prepareWorkflow: a text in place of the transaction is an error to it (D20).
 */
export const workflowRefusalBody: RefusalBody = (refusal) => ({
  ...refusalBody(refusal),
  transaction: refusal.message,
});

/** A refusal as an answer, with Retry-After where asking again helps. */
export function refusalAnswer(refusal: Refusal, body: RefusalBody = refusalBody): HttpAnswer {
  const { http } = errors[refusal.code];
  const answer = { status: http, body: JSON.stringify(body(refusal)) };
  if (http !== 503 && http !== 429 && refusal.retryAfterS === undefined) return answer;
  return { ...answer, headers: { "retry-after": String(refusal.retryAfterS ?? 1) } };
}

/** Answer to a request that carries no value of its own. */
export function replyAnswer(reply: Reply): HttpAnswer {
  return reply.kind === "refused" ? refusalAnswer(reply) : success;
}
