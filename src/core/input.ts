/**
 * What an actor can be told, and what it answers. Requests are imperative, observations are past tense.
 * Inputs are already valid in form: the wire layer has refused what has a wrong shape, size or range.
 */
import type { ErrorCode } from "./errors.js";
import type { OpStatus, Options, Outcome, Protocol, Transaction, TransType } from "./transaction.js";

/** One step as submitted: a saga's pair of URLs, or a msg's action (`topic://name` included). */
export interface Step {
  readonly action: string;
  /** Empty for a msg. */
  readonly compensate: string;
  readonly payload: Uint8Array;
  /** Go with every call of this step. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Deadline of every call of this step, over the transaction's. */
  readonly requestTimeoutS?: number | undefined;
}

/** A transaction as a client describes it in prepare, submit or prepareWorkflow. */
export interface Submission {
  readonly type: TransType;
  readonly protocol: Protocol;
  readonly options: Options;
  readonly steps: readonly Step[];
  readonly queryPrepared: string;
  readonly customData: string;
  /** Of the content as sent (D2), hex. */
  readonly digest: string;
  /** A workflow client's wish to be the only executor (C-WF-7). */
  readonly lease: { readonly executorId: string; readonly seconds: number } | undefined;
}

/**
 * A branch as a client registers it: its ops in stored order (cancel before confirm, rollback before commit,
 * S-HTTP-53).
 */
export interface Registration {
  readonly type: TransType;
  readonly branchId: string;
  readonly ops: readonly { readonly op: string; readonly url: string; readonly status: OpStatus }[];
  readonly payload: Uint8Array;
  /** Go with every call of this branch; no part of its content (as D2 has it of the transaction's). */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Deadline of every call of this branch, over the transaction's; no part of its content either. */
  readonly requestTimeoutS?: number | undefined;
  readonly executorId: string | undefined;
}

/** What clients and operators ask for. `query` and `await` change nothing by themselves. */
export type Request =
  | { readonly kind: "prepare"; readonly submission: Submission }
  /** `hold: false` (here and in abort): answer at once even with `waitResult`; the sender will `await` the end. */
  | { readonly kind: "submit"; readonly submission: Submission; readonly hold?: boolean }
  | {
      readonly kind: "abort";
      readonly type: TransType;
      readonly reason: string;
      readonly waitResult: boolean;
      readonly hold?: boolean;
    }
  | { readonly kind: "forceStop" }
  | { readonly kind: "registerBranch"; readonly registration: Registration }
  | { readonly kind: "prepareWorkflow"; readonly submission: Submission }
  | {
      readonly kind: "finishWorkflow";
      readonly status: "succeed" | "failed";
      readonly reason: string;
      readonly result: string;
    }
  /** Call what waits for a later time now. `bulk` leaves parked transactions alone (D8), and is refused where it
   * changes nothing. */
  | { readonly kind: "hasten"; readonly bulk: boolean }
  | { readonly kind: "park"; readonly by: string; readonly reason: string }
  | { readonly kind: "unpark" }
  /** The transaction as committed. */
  | { readonly kind: "query" }
  /** Answered when the transaction is final or rests (D1), as the request it stands for would be; changes nothing.
   * After `sliceMs`, when given, the answer is a refusal with `again`. */
  | { readonly kind: "await"; readonly of: "submit" | "abort"; readonly sliceMs?: number };

/** What the engine itself tells an actor. */
export type Observation =
  /** The answer to a call of `op` (or CHECK). `detail` is the body or message, shortened. */
  | { readonly kind: "answered"; readonly op: number; readonly outcome: Outcome; readonly detail: string }
  /** Time has passed, or the actor was loaded: look for what is due. */
  | { readonly kind: "woke" };

export type Input = Request | Observation;

/** A request that was not carried out, and why. */
export interface Refusal {
  readonly kind: "refused";
  readonly code: ErrorCode;
  /** For people: what was met, what was needed. */
  readonly message: string;
  /** Seconds, where the code says "later". */
  readonly retryAfterS?: number;
  /** Only of an `await` whose slice is over: nothing is decided, await on. */
  readonly again?: boolean;
  /** What stands in the place that a registration wanted (D3). */
  readonly progress?: { readonly branchId: string; readonly op: string; readonly status: OpStatus };
}

/** What the sender of a request gets. */
export type Reply =
  | Refusal
  /** `await`: with `hold: false`, what to await now. */
  | { readonly kind: "accepted"; readonly await?: "submit" | "abort" }
  | {
      readonly kind: "transaction";
      readonly transaction: Transaction | undefined;
      /** Targets that hold a call back now, by op index (not durable). */
      readonly blocked?: Readonly<Record<number, string>>;
      /** Only for a prepareWorkflow that asked for a lease. */
      readonly lease?: "granted" | "held";
    };

/** Short form of a refusal. */
export function refused(code: ErrorCode, message: string): Refusal {
  return { kind: "refused", code, message };
}
