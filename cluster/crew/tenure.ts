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
  /** Shard → last epoch under which it was this engine's: what was sent to the store under it may yet arrive there. */
  readonly #over = new Map<number, number>();

  /** @param fenced is told of a shard when an epoch is over here that the keeper may still believe in. */
  constructor(shared: Shared, clock: Pick<Clock, "monotonicMs">, fenced: (shard: number, epoch: number) => void) {
    this.#shared = shared;
    this.#clock = clock;
    this.#fenced = fenced;
  }

  epochOf(shard: number): number | undefined {
    return this.#epochs.get(shard);
  }

  /** The next incarnation's lease is none for the shards of the one before, of whose end this engine may yet hear. */
  remainingMs(): number {
    const untilMs = this.#shared.leaseUntilMs;
    if (this.#shared.incarnation !== this.incarnation) return Number.NEGATIVE_INFINITY;
    return untilMs - this.#clock.monotonicMs();
  }

  lost(shard: number, epoch: number): void {
    const held = this.#epochs.get(shard);
    if (held === undefined || held > epoch) return;
    this.#epochs.delete(shard);
    this.#over.set(shard, epoch);
    this.#fenced(shard, epoch);
  }

  /**
   * The keeper owns these. An epoch only rises: this engine may have raised it and be ahead of the keeper, which then
   * may even take for new what was given up here meanwhile. `true`: some were not held.
   */
  take(epochs: Iterable<readonly [shard: number, epoch: number]>): boolean {
    let fresh = false;
    for (const [shard, epoch] of epochs) {
      const held = this.#epochs.get(shard);
      const over = this.#over.get(shard) ?? -1;
      if (held === undefined && epoch <= over) this.#fenced(shard, over);
      else if (epoch > (held ?? -1)) {
        this.#epochs.set(shard, epoch);
        fresh ||= held === undefined;
      }
    }
    return fresh;
  }

  /** The keeper owns these no longer. */
  drop(shards: Iterable<number>): void {
    for (const shard of shards) {
      const epoch = this.#epochs.get(shard);
      if (epoch === undefined) continue;
      this.#epochs.delete(shard);
      this.#over.set(shard, epoch);
    }
  }

  /** This engine has settled commits in doubt by raising epochs; of shards given up meanwhile nothing is taken up. */
  bumped(rows: readonly ShardRow[]): void {
    this.take(rows.filter(({ shard }) => this.#epochs.has(shard)).map(({ shard, epoch }) => [shard, epoch]));
  }
}
