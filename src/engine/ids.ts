/**
 * Ids of new transactions: strictly ascending within a shard, above every id that the store holds there, whatever the
 * clock says.
 */
import { nextId } from "../core/shard.js";
import type { Store } from "../ports/store.js";

export class Ids {
  readonly #store: Pick<Store, "lastId">;
  readonly #last = new Map<number, number>();

  constructor(store: Pick<Store, "lastId">) {
    this.#store = store;
  }

  /** Whether `next` can be asked for this shard. */
  knows(shard: number): boolean {
    return this.#last.has(shard);
  }

  /** Reads how far the shard's ids have come. Again after the shard was lost: another owner may have made some. */
  async learn(shard: number): Promise<void> {
    const last = await this.#store.lastId(shard);
    this.#last.set(shard, Math.max(last, this.#last.get(shard) ?? 0));
  }

  /** The next id. @throws when the shard was never learned. */
  next(shard: number, nowMs: number): number {
    const last = this.#last.get(shard);
    if (last === undefined) throw new Error(`shard ${shard}: ids met before they were learned`);
    const id = nextId(shard, last, nowMs);
    this.#last.set(shard, id);
    return id;
  }

  forget(shard: number): void {
    this.#last.delete(shard);
  }
}
