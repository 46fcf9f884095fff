/**
 * What a global transaction is: the state that an actor holds in memory and that the fold of its journal gives back.
 * Plain readonly data: it can be cloned, stored and sent to another node as it is. Times are milliseconds since the
 * epoch.
 */

/** How the branches of a transaction are tied together. DTM's words. */
export type TransType = "saga" | "tcc" | "xa" | "msg" | "workflow";

/** All types, for validation and for tables over them. */
export const transTypes: readonly TransType[] = ["saga", "tcc", "xa", "msg", "workflow"];

/** The durable state. `succeed` and `failed` are final: they never change again (S3). */
export type Status = "prepared" | "submitted" | "aborting" | "succeed" | "failed";

/** All statuses, unfinished ones first. */
export const statuses: readonly Status[] = ["prepared", "submitted", "aborting", "succeed", "failed"];

/** What one op of a branch has come to. Only a saga's action and a workflow's step can be `failed`. */
export type OpStatus = "prepared" | "succeed" | "failed";

/** The protocol the transaction was submitted by; it decides how its URLs are read (S-BR-2). */
export type Protocol = "http" | "grpc" | "json-rpc";

/** What a call told us. `unknown` means ask again: nothing may be rolled back because of it. */
export type Outcome = "success" | "failure" | "ongoing" | "unknown";

/**
 * Options as the submitter gave them; `undefined` = not given, the server's default counts.
 * Kept in whole seconds where DTM's wire has seconds, so that a query shows what was sent.
 */
export interface Options {
  readonly waitResult: boolean;
  readonly timeoutToFailS: number | undefined;
  readonly requestTimeoutS: number | undefined;
  readonly retryIntervalS: number | undefined;
  readonly retryLimit: number | undefined;
  readonly branchHeaders: Readonly<Record<string, string>> | undefined;
  readonly concurrent: boolean;
}

/**
 * The calls of one op so far: totals, so that the newest record of a retry replaces the one before it.
 * `attempts` counts answered calls since the op's first; `unknowns` those without a clear answer (retry limit, alerts);
 * `refusals` those where a participant said FAILURE although its op must not (contract violation, D9).
 */
export interface Tries {
  readonly attempts: number;
  readonly unknowns: number;
  readonly refusals: number;
  /** Base of the next wait, before jitter; doubles with every `unknown`, stays with `ongoing`. */
  readonly intervalMs: number;
  /** Not called before this time. */
  readonly nextAtMs: number;
  /** The last answer that settled nothing, shortened. */
  readonly lastError: string;
}

/** One callable operation of a branch. Its place in `Transaction.ops` is its address and never changes. */
export interface BranchOp {
  readonly branchId: string;
  /** `action compensate confirm cancel commit rollback`, or whatever word a workflow registered. */
  readonly op: string;
  /** Empty: there is nothing to call, the op succeeds at once (S-BR-1). */
  readonly url: string;
  readonly payload: Uint8Array;
  /** Of this branch alone, over those of the transaction (`Options.branchHeaders`). */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Of this branch alone, over that of the transaction (`Options.requestTimeoutS`). */
  readonly requestTimeoutS?: number | undefined;
  readonly status: OpStatus;
  /** When the intent of the first call became durable: from then on the participant may have seen the call (S5). */
  readonly startedAtMs: number | undefined;
  readonly tries: Tries | undefined;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  readonly finishedAtMs: number | undefined;
}

/** An operator's (or the server's) halt beside the status: no call starts, no timeout fires (D8). */
export interface Parked {
  readonly sinceMs: number;
  readonly by: string;
  readonly reason: string;
}

/** The executor that holds a workflow's lease (C-WF-7); only for clients that ask for one. */
export interface Executor {
  readonly id: string;
  readonly leaseMs: number;
  readonly untilMs: number;
}

/**
 * Server-wide times that a transaction fell back on when it was created; recorded with it, so a restart with others
 * changes nothing.
 */
export interface Defaults {
  readonly timeoutToFailMs: number;
  readonly requestTimeoutMs: number;
  readonly retryIntervalMs: number;
}

/** A global transaction: the fold of its journal. */
export interface Transaction {
  /** Made by the shard's owner; ascending within a shard, below 2^53; key of the stored rows. */
  readonly id: number;
  readonly gid: string;
  readonly type: TransType;
  readonly protocol: Protocol;
  readonly status: Status;
  /** Journal rows so far (records of retries, which replace one another, do not count). */
  readonly version: number;
  readonly options: Options;
  readonly defaults: Defaults;
  /** Digest of the first submit (D2); `undefined` while there was none. */
  readonly digest: string | undefined;
  /** URL asked about an undecided msg, or called to resume a workflow. */
  readonly queryPrepared: string;
  /** JSON text as it was sent; empty when there was none. */
  readonly customData: string;
  readonly ops: readonly BranchOp[];
  /** Calls of `queryPrepared`: check-backs of a msg, callbacks of a workflow. */
  readonly check: Tries | undefined;
  /** Since when the first check may have been sent. */
  readonly checkStartedAtMs: number | undefined;
  readonly rollbackReason: string;
  /** A client's abort decided the end (a repeated abort is then answered as the first, D27). */
  readonly abortedByClient: boolean;
  readonly result: string;
  readonly parked: Parked | undefined;
  /** A workflow past its timeout whose recorded steps only its own code can undo (D10). */
  readonly overdue: boolean;
  readonly executor: Executor | undefined;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  readonly submittedAtMs: number | undefined;
  /** When it reached `succeed` or `failed`. */
  readonly endedAtMs: number | undefined;
}

/** Address of the pseudo-op that calls `queryPrepared`, beside the indexes of `Transaction.ops`. */
export const CHECK = -1;

/** No further change of status is possible. */
export function isFinal(tx: Transaction): boolean {
  return tx.status === "succeed" || tx.status === "failed";
}

/** `retry_interval` of the transaction, else the default that counted when it was created (S-RTY-2). Milliseconds. */
export function retryBaseMs(tx: Pick<Transaction, "options" | "defaults">): number {
  if (tx.options.retryIntervalS !== undefined) return tx.options.retryIntervalS * 1000;
  const timeoutMs = (tx.options.timeoutToFailS ?? 0) * 1000;
  return timeoutMs > 0 && timeoutMs < tx.defaults.retryIntervalMs ? timeoutMs : tx.defaults.retryIntervalMs;
}

/** Deadline of each call to a participant, milliseconds: the branch's own, else the transaction's. */
export function requestTimeoutMs(tx: Transaction, ownS: BranchOp["requestTimeoutS"]): number {
  const seconds = ownS ?? tx.options.requestTimeoutS;
  return seconds === undefined ? tx.defaults.requestTimeoutMs : seconds * 1000;
}
