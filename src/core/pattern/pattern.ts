/**
 * What a pattern is: all that differs between saga, tcc, xa, msg and workflow. Four pure questions about a transaction;
 * the order in which they are asked, retries, parking and replies are the same for all and live in `decide`.
 */
import type { Event, NewOp } from "../event.js";
import type { Submission } from "../input.js";
import type { Outcome, Transaction } from "../transaction.js";

/** What should happen now. */
export type Next =
  /** These ops (or CHECK) should be in progress; what is already, or waits for its retry time, is no matter here. */
  | { readonly kind: "call"; readonly ops: readonly number[] }
  | { readonly kind: "record"; readonly event: Event }
  /** Nothing before that time (`undefined`: until a client says something). */
  | { readonly kind: "rest"; readonly untilMs: number | undefined };

/** Topic name → URLs of its subscribers, in order of subscription. */
export type Topics = ReadonlyMap<string, readonly string[]>;

export interface Pattern {
  /**
   * The ops that a submission creates, in the order in which clients see them (S-HTTP-53). Topics are known to exist.
   */
  plan(submission: Submission, topics: Topics): readonly NewOp[];
  /** Asked only while the transaction is neither final nor parked. */
  next(tx: Transaction, nowMs: number): Next;
  /** The events by which an expected answer settles something, or `undefined`: it settles nothing and is retried. */
  answered(tx: Transaction, op: number, outcome: Outcome, detail: string, nowMs: number): readonly Event[] | undefined;
  /** When time alone changes the transaction, and how. */
  deadline(tx: Transaction): { readonly atMs: number; event(nowMs: number): Event } | undefined;
}

/** A member of `custom_data`, its name in any case as Go's decoder takes it; of several the last counts (S-ODD-19). */
export function memberOf(data: object, name: string): unknown {
  return Object.entries(data).findLast(([found]) => found.toLowerCase() === name)?.[1];
}

/** Nothing to do until a client says something. */
export const rest: Next = { kind: "rest", untilMs: undefined };

/** The end of a transaction by the coordinator's own doing. */
export function finish(status: "succeed" | "failed", nowMs: number, reason = ""): Next {
  return { kind: "record", event: finished(status, nowMs, reason) };
}

/** Event of `finish`. */
export function finished(status: "succeed" | "failed", atMs: number, reason = "", byClient = false): Event {
  return { kind: "finished", atMs, status, reason, result: "", byClient };
}

/** Age at which time runs out, milliseconds: the transaction's own option, else the server's default. */
export function timeoutMs(tx: Transaction): number {
  return tx.options.timeoutToFailS === undefined ? tx.defaults.timeoutToFailMs : tx.options.timeoutToFailS * 1000;
}

/** DTM's clients match `^Timeout after \d+ seconds$` (S-RTY-9). */
export function timeoutReason(tx: Transaction): string {
  return `Timeout after ${timeoutMs(tx) / 1000} seconds`;
}

/** Indexes of the ops of that name that are not settled, in stored order. */
export function unsettled(tx: Transaction, op: string): readonly number[] {
  return tx.ops.flatMap((candidate, index) => (candidate.op === op && candidate.status === "prepared" ? [index] : []));
}

/** Branch ids of submitted steps: `01`, `02`, … `100` (S-GEN-10). */
export function branchIdOf(step: number): string {
  return String(step + 1).padStart(2, "0");
}

/** Longest text kept of a participant's words, in characters: the head of it (S-BUG-5). */
export const textMax = 1024;

/** The head of a text; never ends in half a character, which no store could give back as it was. */
export function shortened(text: string, max = textMax): string {
  if (text.length <= max) return text;
  const lastCode = text.charCodeAt(max - 1);
  return text.slice(0, lastCode >= 0xd800 && lastCode <= 0xdbff ? max - 1 : max);
}

/** A reason as it is stored: within the limit, and ending in the word that old clients look for (S-RES-14). */
export function failureText(text: string): string {
  const suffix = " FAILURE";
  return text.endsWith("FAILURE") && text.length <= textMax ? text : shortened(text, textMax - suffix.length) + suffix;
}
