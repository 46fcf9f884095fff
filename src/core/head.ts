/**
 * The head row: the part of a transaction that is found without its journal. Written at creation, when the status (or
 * parking) changes and when the transaction goes to rest; everything else is in the journal (architecture 4).
 */
import { shardOf } from "./shard.js";
import { isFinal, type Options, type Protocol, type Status, type Transaction, type TransType } from "./transaction.js";

export interface Head {
  readonly id: number;
  readonly gid: string;
  readonly shard: number;
  readonly type: TransType;
  readonly protocol: Protocol;
  readonly status: Status;
  /**
   * Nobody needs to look at the transaction before this time. In the past while it runs, so that a new owner finds it
   * due; `undefined` = not by time alone (final, parked, or waiting for its client).
   */
  readonly wakeAtMs: number | undefined;
  readonly digest: string | undefined;
  readonly parked: boolean;
  readonly overdue: boolean;
  readonly rollbackReason: string;
  readonly abortedByClient: boolean;
  readonly createdAtMs: number;
  /** Of the last change of the head. */
  readonly updatedAtMs: number;
  /** When it became final; retention counts from here. */
  readonly endedAtMs: number | undefined;
}

/** The head that belongs to a transaction's present state. */
export function headOf(tx: Transaction, wakeAtMs: number | undefined): Head {
  return {
    id: tx.id,
    gid: tx.gid,
    shard: shardOf(tx.gid),
    type: tx.type,
    protocol: tx.protocol,
    status: tx.status,
    wakeAtMs: isFinal(tx) || tx.parked !== undefined ? undefined : wakeAtMs,
    digest: tx.digest,
    parked: tx.parked !== undefined,
    overdue: tx.overdue,
    rollbackReason: tx.rollbackReason,
    abortedByClient: tx.abortedByClient,
    createdAtMs: tx.createdAtMs,
    updatedAtMs: tx.updatedAtMs,
    endedAtMs: tx.endedAtMs,
  };
}

/**
 * What is left of a finished transaction when retention has removed its journal: answers to a repeated submit (S9,
 * D26).
 */
export function restoreFromHead(head: Head): Transaction {
  return {
    ...head,
    version: 0,
    options: noOptions,
    defaults: { timeoutToFailMs: 0, requestTimeoutMs: 0, retryIntervalMs: 0 },
    queryPrepared: "",
    customData: "",
    ops: [],
    check: undefined,
    checkStartedAtMs: undefined,
    result: "",
    parked: undefined,
    executor: undefined,
    submittedAtMs: undefined,
  };
}

const noOptions: Options = {
  waitResult: false,
  timeoutToFailS: undefined,
  requestTimeoutS: undefined,
  retryIntervalS: undefined,
  retryLimit: undefined,
  branchHeaders: undefined,
  concurrent: false,
};

/** Whether something that is looked up without the journal has changed. `wakeAtMs` is the actor's own matter. */
export function headChanged(stored: Head | undefined, now: Head): boolean {
  if (stored === undefined) return true;
  return (
    stored.status !== now.status ||
    stored.digest !== now.digest ||
    stored.parked !== now.parked ||
    stored.overdue !== now.overdue
  );
}

/**
 * The head to store with a commit, or `undefined`: the stored one still serves. It must be written when something that
 * is looked up has changed, when the transaction would be found too late, and when it goes to rest until later.
 * @param rests nothing is in progress after the commit
 * @param wakeAtMs when it wants to be woken then
 */
export function headToWrite(
  stored: Head | undefined,
  tx: Transaction,
  rests: boolean,
  wakeAtMs: number | undefined,
): Head | undefined {
  const nowMs = tx.updatedAtMs;
  const head = headOf(tx, rests ? wakeAtMs : nowMs);
  if (headChanged(stored, head)) return head;
  const was = stored?.wakeAtMs ?? Number.POSITIVE_INFINITY;
  const wake = head.wakeAtMs ?? Number.POSITIVE_INFINITY;
  return wake < was || (rests && wake !== was && was <= nowMs) ? head : undefined;
}
