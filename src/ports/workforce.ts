/**
 * What works on the transactions of a node: one engine, or several of them on threads of their own. Whoever keeps the
 * node's shards tells it which they are.
 */
import type { Reply } from "../core/input.js";
import type { Coordinator } from "./coordinator.js";
import type { EngineStats, Targets } from "./targets.js";

export interface Workforce extends Coordinator {
  /** Participants as this node sees them. */
  readonly targets: Targets;
  stats(): EngineStats;
  /** What is stored of a transaction, whoever owns it. */
  stored(gid: string): Promise<Reply>;
  /** Begins to bring back what is stored. Requests are served before. */
  start(): void;
  /** Shards were gained: brings back their transactions. */
  gained(): void;
  /** Shards are gone: the work on them ends at once. */
  lost(shards: ReadonlySet<number>): void;
  /** Ends the work on shards in good order; waits at most `graceMs` for calls on the wire. `lost` follows. */
  drain(shards: ReadonlySet<number>, graceMs: number): Promise<void>;
  /** Ends in good order, waits at most `graceMs` for calls on the wire. */
  close(graceMs: number): Promise<void>;
  /** Epochs of shards that are the node's already have risen. */
  raised?(): void;
  /** The node's lease lasts until then, monotonic milliseconds; -Infinity: it has none. */
  leased?(untilMs: number): void;
  /** The store's time is that many milliseconds ahead of the monotonic clock. */
  ahead?(aheadMs: number): void;
}
