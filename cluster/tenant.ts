/**
 * What a keeper keeps shards for, and by which times: the words between the keeper and whoever works on its shards.
 */
import type { Holder } from "./holdings.js";

/**
 * Why this node must end for good. `usurped`: another process runs under its name. `regressed`: the store has lost what
 * it had committed. `outdated`: the others write a format that this program does not know.
 */
export type Downfall = "usurped" | "regressed" | "outdated";

/** What follows from gaining and losing shards. */
export interface Tenant extends Holder {
  /** Ends the work on shards in good order: no new calls, wait for those on the wire at most `graceMs`, flush. */
  drain(shards: ReadonlySet<number>, graceMs: number): Promise<void>;
  /** The store's time, in answer to what was sent at `sentMs` (monotonic). */
  timed(storeNowMs: number, sentMs: number): void;
  /** The lease lasts until then, monotonic; -Infinity: there is none. */
  leased?(untilMs: number): void;
  /** The node owns nothing any more and will not come back: the process must end. */
  fell(why: Downfall): void;
}

/** Times in milliseconds; `renewMs` is at most a third of `leaseMs`. */
export interface KeeperSettings {
  readonly name: string;
  /** URL at which other nodes reach this one; empty: it is alone and wants no others (see `alone.ts`). */
  readonly address: string;
  readonly leaseMs: number;
  readonly renewMs: number;
  /** Shards handed over at a time, and the longest wait for their calls. */
  readonly moveMax: number;
  readonly drainMs: number;
  /** Within about this time a newcomer has its share: bounds the waits for calls of all batches together. */
  readonly shareMs: number;
  /** After this time anybody may claim an orphan that its desired owner has not claimed. */
  readonly anybodyMs: number;
}

/** Times of reliability 3 and 10. */
export const keeperDefaults = {
  leaseMs: 3000,
  renewMs: 1000,
  moveMax: 8,
  drainMs: 5000,
  shareMs: 6000,
  anybodyMs: 1000,
} as const;
