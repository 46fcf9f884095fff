/**
 * What the engine lets others see: counters for metrics, lines for the log, alerts for people. Never decides anything.
 */

import type { Transaction } from "../core/transaction.js";
import type { Answer, Call } from "./caller.js";

/** One line of the log: an event word and fields; gids are fields, never part of the text. */
export interface Log {
  /** Absent unless the level lets it through: nobody gathers fields for nothing. */
  debug?(event: string, fields: Readonly<Record<string, unknown>>): void;
  info(event: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(event: string, fields?: Readonly<Record<string, unknown>>): void;
  error(event: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** A transaction stuck on a participant, for the webhook (S-RTY-10). */
export interface StuckBranch {
  readonly gid: string;
  readonly status: string;
  readonly branch: string;
  readonly error: string;
  readonly retryCount: number;
}

/** What of an ended transaction is told. */
export type Ended = Pick<Transaction, "type" | "status" | "createdAtMs" | "updatedAtMs" | "endedAtMs">;

/** What of a call is told. */
export type CallName = Pick<Call, "gid" | "type" | "branchId" | "op">;

export interface Observer {
  /** A transaction became final. */
  finished(tx: Ended): void;
  /** A call was answered; of `target` there may be any number in a process's life. */
  called(call: CallName, target: string, answer: Answer, durationMs: number): void;
  /** A flush of `commits` transitions took that long. */
  flushed(commits: number, durationMs: number): void;
  /** A participant's word came when it counted no more: its transaction had gone another way, or is elsewhere. */
  lateAnswer(call: CallName): void;
  /** A breaker opened or closed. */
  breaker(target: string, open: boolean): void;
  stuck(alert: StuckBranch): void;
}
