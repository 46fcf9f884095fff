/**
 * What happened to a transaction, in the past tense: the only thing that is ever stored about it.
 * The state is the fold of these (`evolve`), so every field that a later decision needs must be in one of them.
 */
import type {
  Defaults,
  Executor,
  OpStatus,
  Options,
  Parked,
  Protocol,
  Status,
  TransType,
  Tries,
} from "./transaction.js";

/** An op as it is born: with its transaction, or by a registration. */
export interface NewOp {
  readonly branchId: string;
  readonly op: string;
  readonly url: string;
  readonly payload: Uint8Array;
  /** Other than `prepared` only for the steps that a workflow reports. */
  readonly status: OpStatus;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly requestTimeoutS?: number | undefined;
}

/** First event of every journal: the submission itself, written once and never again. */
export interface Created {
  readonly kind: "created";
  readonly atMs: number;
  readonly id: number;
  readonly gid: string;
  readonly type: TransType;
  readonly protocol: Protocol;
  readonly status: "prepared" | "submitted";
  readonly options: Options;
  readonly defaults: Defaults;
  /** Only a submit records one. */
  readonly digest: string | undefined;
  readonly queryPrepared: string;
  readonly customData: string;
  readonly ops: readonly NewOp[];
  readonly executor: Executor | undefined;
}

export type Event =
  | Created
  /** prepared → submitted. Options and custom data are there when a client's submit brought them (C-MSG-1). */
  | {
      readonly kind: "submitted";
      readonly atMs: number;
      readonly digest: string | undefined;
      readonly options: Options | undefined;
      readonly customData: string | undefined;
    }
  /** The first submit after a check-back had already decided: nothing changes but that its digest is known (D2). */
  | { readonly kind: "digestRecorded"; readonly atMs: number; readonly digest: string }
  | { readonly kind: "branchRegistered"; readonly atMs: number; readonly ops: readonly NewOp[] }
  /** Intent: these ops (or CHECK) may be on the wire from now on. Recorded once per op. */
  | { readonly kind: "started"; readonly atMs: number; readonly ops: readonly number[] }
  | { readonly kind: "settled"; readonly atMs: number; readonly op: number; readonly status: "succeed" | "failed" }
  /** An answer that settled nothing. Totals, so that this replaces the op's previous one (see `isRetryRecord`). */
  | { readonly kind: "retried"; readonly atMs: number; readonly op: number; readonly tries: Tries }
  /** Waiting ops may be called at once. */
  | { readonly kind: "hastened"; readonly atMs: number }
  | { readonly kind: "aborting"; readonly atMs: number; readonly reason: string; readonly byClient: boolean }
  | {
      readonly kind: "finished";
      readonly atMs: number;
      readonly status: Extract<Status, "succeed" | "failed">;
      readonly reason: string;
      readonly result: string;
      readonly byClient: boolean;
    }
  | { readonly kind: "overdue"; readonly atMs: number }
  | { readonly kind: "leased"; readonly atMs: number; readonly executor: Executor }
  | { readonly kind: "parked"; readonly atMs: number; readonly parked: Parked }
  | { readonly kind: "unparked"; readonly atMs: number };

/**
 * The op whose retry record these events are, or `undefined`. A commit that holds nothing but one `retried` is a record
 * that its successor replaces, so that a year of retries stays one row.
 */
export function retryRecordOf(events: readonly Event[]): number | undefined {
  const only = events.length === 1 ? events[0] : undefined;
  return only?.kind === "retried" ? only.op : undefined;
}
