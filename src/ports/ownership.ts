/**
 * Which shards this node may write to. Embedded stores own all for ever; a shared store hands them out by leases.
 */

export interface Ownership {
  /** The epoch under which this node may write to a shard now, or `undefined`: it may not. */
  epochOf(shard: number): number | undefined;
  /**
   * Milliseconds for which the right surely lasts; calls are started only with some of it left. Infinity = for ever.
   */
  remainingMs(): number;
  /** Says that a commit under `epoch` was fenced: the shard is lost, unless it is held under a later one. */
  lost(shard: number, epoch: number): void;
}
