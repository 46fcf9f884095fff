/**
 * What this node believes about the owners of shards: from its own looks at the table, its own claims, and what others
 * announce. Only ever a hint for routing; the fence decides who may write. A hint that the table does not confirm in
 * two looks is dropped, so that no wrong announcement misleads for long.
 */
import { shardCount } from "../src/core/shard.js";
import type { NodeRow, ShardRow, Sight } from "../src/ports/leases.js";

/** The owner of a shard as far as is known. */
export interface Owner {
  readonly name: string;
  readonly incarnation: number;
  readonly epoch: number;
}

export class View {
  /** By number of the shard. */
  readonly #shards: ({ row: ShardRow; look: number } | undefined)[] = [];
  readonly #waiting = new Set<() => void>();
  #nodes: readonly NodeRow[] = [];
  #nodesByName = new Map<string, NodeRow>();
  #storeNowMs = 0;
  #looks = 0;

  /** As of the last look, in the order of the table. */
  get nodes(): readonly NodeRow[] {
    return this.#nodes;
  }

  /** The store's time at the last look. */
  get storeNowMs(): number {
    return this.#storeNowMs;
  }

  /** By number of the shard. */
  get shards(): readonly ShardRow[] {
    return this.#shards.flatMap((known) => known?.row ?? []);
  }

  /** Owner of a shard, `undefined` when nobody has it or its node is known to be gone. */
  ownerOf(shard: number): Owner | undefined {
    const row = this.#shards[shard]?.row;
    if (row === undefined || row.owner === "") return undefined;
    const node = this.#nodesByName.get(row.owner);
    const gone = node !== undefined && node.incarnation >= row.incarnation && node.state === "fenced";
    return gone ? undefined : { name: row.owner, incarnation: row.incarnation, epoch: row.epoch };
  }

  addressOf(name: string): string | undefined {
    return this.#nodesByName.get(name)?.address;
  }

  /** Takes a look at the tables: nodes as they are, shards unless something newer was heard since the last look. */
  see(sight: Sight): void {
    this.#looks++;
    this.#nodes = sight.nodes;
    this.#nodesByName = new Map(sight.nodes.map((node) => [node.name, node]));
    this.#storeNowMs = sight.storeNowMs;
    this.#take(sight.shards, true);
  }

  /** Takes rows that are newer than what is known. */
  learn(rows: readonly ShardRow[]): void {
    this.#take(rows, false);
  }

  #take(rows: readonly ShardRow[], seen: boolean): void {
    let changed = false;
    for (const row of rows) {
      if (row.shard >= shardCount) continue; // announced, but there is no such shard
      const known = this.#shards[row.shard];
      const fresh = known !== undefined && known.look >= this.#looks - 1;
      if (known !== undefined && known.row.epoch > row.epoch && (!seen || fresh)) continue;
      const same = known?.row.epoch === row.epoch && known.row.owner === row.owner;
      if (!same) changed = true;
      if (known === undefined) this.#shards[row.shard] = { row, look: this.#looks };
      else if (!same || seen) {
        known.row = row;
        known.look = this.#looks;
      }
    }
    if (!changed) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  /** Calls `wake` once at the next change; the returned function gives up. */
  onChange(wake: () => void): () => void {
    this.#waiting.add(wake);
    return () => void this.#waiting.delete(wake);
  }
}
