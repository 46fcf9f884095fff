/**
 * Which shards an engine on a thread of its own may write to: what the node's keeper has told it. It may know later
 * than the keeper that a shard is lost; then the store refuses what it writes, as it refuses any former owner (S2).
 */
import type { Clock } from "../../src/ports/clock.js";
import type { ShardRow } from "../../src/ports/leases.js";
import type { Ownership } from "../../src/ports/ownership.js";
import type { Shared } from "./shared.js";

export class Tenure implements Ownership {
  /** The node's, under which its rows are written. */
  incarnation = 0;
  readonly #shared: Shared;
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #fenced: (shard: number, epoch: number) => void;
  readonly #epochs = new Map<number, number>();
  /** Shard → epoch that the store has refused: the keeper may still believe in it. */
  readonly #refused = new Map<number, number>();

  /** @param fenced is told of a shard that the store has refused, when it is given up here. */
  constructor(shared: Shared, clock: Pick<Clock, "monotonicMs">, fenced: (shard: number, epoch: number) => void) {
    this.#shared = shared;
    this.#clock = clock;
    this.#fenced = fenced;
  }

  epochOf(shard: number): number | undefined {
    return this.#epochs.get(shard);
  }

  remainingMs(): number {
    return this.#shared.leaseUntilMs - this.#clock.monotonicMs();
  }

  lost(shard: number, epoch: number): void {
    const held = this.#epochs.get(shard);
    if (held === undefined || held > epoch) return;
    this.#epochs.delete(shard);
    this.#refused.set(shard, epoch);
    this.#fenced(shard, epoch);
  }

  /** The keeper owns these. An epoch only rises: this engine may have raised it and be ahead of the keeper. */
  take(epochs: Iterable<readonly [shard: number, epoch: number]>): void {
    for (const [shard, epoch] of epochs)
      if (epoch > (this.#epochs.get(shard) ?? this.#refused.get(shard) ?? -1)) this.#epochs.set(shard, epoch);
  }

  /** The keeper owns these no longer. */
  drop(shards: Iterable<number>): void {
    for (const shard of shards) this.#epochs.delete(shard);
  }

  /** This engine has settled commits in doubt by raising epochs; of shards given up meanwhile nothing is taken up. */
  bumped(rows: readonly ShardRow[]): void {
    this.take(rows.filter(({ shard }) => this.#epochs.has(shard)).map(({ shard, epoch }) => [shard, epoch]));
  }
}
