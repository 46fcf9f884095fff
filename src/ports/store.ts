/**
 * Persistence of transactions. Stores are dumb: they keep and compare, they never decide. The memory store is the
 * reference model; all pass one conformance suite (test/conformance/store.ts).
 */
import type { JournalRow } from "../core/evolve.js";
import type { Head } from "../core/head.js";
import type { Status, Transaction, TransType } from "../core/transaction.js";

/** One transition of one transaction: a journal row and, where it must change, the head. */
export interface Commit {
  readonly gid: string;
  readonly id: number;
  readonly shard: number;
  /**
   * The owner's right to write to the shard, proven by the store against its own record (S2). Embedded stores ignore
   * it.
   */
  readonly epoch: number;
  /**
   * A numbered row is inserted and must be the successor of the newest one. A retry record (`retryOf` set) must carry
   * the
   * newest version and takes the place of the op's previous record.
   */
  readonly row: JournalRow;
  /** To be inserted when `row.version` is 1 (and then required), else to be updated. */
  readonly head: Head | undefined;
}

/**
 * What became of one commit. `conflict`: the gid, id or version is not as the commit supposes, so its actor's picture
 * is wrong. `fenced`: somebody else owns the shard.
 */
export type Verdict = "ok" | "conflict" | "fenced";

/** A transaction as it is stored. `wakeAtMs` is that of its head. */
export interface Stored {
  readonly tx: Transaction;
  readonly wakeAtMs: number | undefined;
}

/** Place in the order of `due`: everything up to and including it has been read. */
export interface DueCursor {
  readonly wakeAtMs: number;
  readonly id: number;
}

/** What `due` gives: enough to decide who is to be woken. */
export interface DueEntry extends DueCursor {
  readonly gid: string;
}

/** All given conditions must hold. Times are of creation, inclusive, milliseconds. */
export interface Filter {
  readonly status?: Status | undefined;
  readonly type?: TransType | undefined;
  readonly createdFromMs?: number | undefined;
  readonly createdToMs?: number | undefined;
  readonly unfinished?: boolean | undefined;
  readonly parked?: boolean | undefined;
}

/** Newest first. `next` is opaque and absent on the last page. */
export interface Page {
  readonly heads: readonly Head[];
  readonly next: string | undefined;
}

export interface Store {
  /**
   * Stores every commit of the batch that can be stored, durably, in one go; verdicts in input order. At most one
   * commit
   * per gid in a batch. Either all commits with verdict `ok` are durable when it resolves, or it rejects and none is:
   * @throws StoreUnavailable nothing was written, the same batch may be tried again later
   * @throws StoreRefused nothing was written, some row of the batch cannot be stored ever
   * @throws StoreInDoubt it is unknown whether the batch was written; `settle` finds out
   * Any other error counts as a refusal: only what may pass by itself is StoreUnavailable.
   */
  commit(batch: readonly Commit[]): Promise<readonly Verdict[]>;
  /**
   * Decides a batch whose `commit` threw StoreInDoubt: afterwards each commit is durably there (`ok`) or never will be.
   * @throws as `commit`; the batch is still to be settled then
   */
  settle(batch: readonly Commit[]): Promise<readonly Verdict[]>;
  /** Folded transactions in input order, `undefined` for unknown gids. @throws StoreUnavailable */
  load(gids: readonly string[]): Promise<readonly (Stored | undefined)[]>;
  /** The journal of a transaction in order of time; empty for unknown gids or after retention removed it. */
  history(gid: string): Promise<readonly JournalRow[]>;
  /** Unfinished transactions of a shard whose `wakeAtMs` is not after `untilMs`, earliest first, after the cursor. */
  due(shard: number, untilMs: number, after: DueCursor | undefined, limit: number): Promise<readonly DueEntry[]>;
  /**
   * The earliest `wakeAtMs` of each shard that has one; one cheap look at the index, so that idle shards cost nothing.
   * Shards without a waiting transaction are absent.
   */
  earliest(): Promise<ReadonlyMap<number, number>>;
  /** Heads that match, newest id first. @throws StoreUnavailable; RangeError when `cursor` is none of its own */
  list(filter: Filter, cursor: string | undefined, limit: number): Promise<Page>;
  /** The unfinished one with the lowest id, by an index: cheap however many there are. @throws StoreUnavailable */
  oldestUnfinished(): Promise<Head | undefined>;
  /** Highest id stored in a shard, 0 when there is none: new ids must be above. */
  lastId(shard: number): Promise<number>;
  /** Numbers of transactions by type and status, for metrics and pages; may lag by seconds where counting is dear. */
  count(): Promise<readonly { readonly type: TransType; readonly status: Status; readonly transactions: number }[]>;
  /**
   * Removes journals of transactions that ended before `journalsBeforeMs`, and whole transactions that ended before
   * `headsBeforeMs`, at most `limit` of each. Resolves to how many it touched: 0 = nothing is left to do.
   */
  purge(journalsBeforeMs: number, headsBeforeMs: number, limit: number): Promise<number>;
  close(): Promise<void>;
}

/** Nothing was written: the store cannot be reached, is full, or is read-only. */
export class StoreUnavailable extends Error {
  override readonly name = "StoreUnavailable";
}

/** Nothing was written: the store refuses what some row holds, and always will. */
export class StoreRefused extends Error {
  override readonly name = "StoreRefused";
}

/** The connection was lost between sending a commit and its answer. */
export class StoreInDoubt extends Error {
  override readonly name = "StoreInDoubt";
}
