/**
 * What this node believes about the owners of shards: from its own looks at the table, its own claims, and what others
 * announce. Only ever a hint for routing; the fence decides who may write.
 */
import type { NodeRow, ShardRow, Sight } from "../src/ports/leases.js";

/** The owner of a shard as far as is known. */
export interface Owner {
  readonly name: string;
  readonly incarnation: number;
  readonly epoch: number;
}

export class View {
  readonly #shards = new Map<number, ShardRow>();
  readonly #waiting = new Set<() => void>();
  #nodes: readonly NodeRow[] = [];

  get nodes(): readonly NodeRow[] {
    return this.#nodes;
  }

  get shards(): readonly ShardRow[] {
    return [...this.#shards.values()].sort((a, b) => a.shard - b.shard);
  }

  /** Owner of a shard, `undefined` when nobody has it or its node is known to be gone. */
  ownerOf(shard: number): Owner | undefined {
    const row = this.#shards.get(shard);
    if (row === undefined || row.owner === "") return undefined;
    const node = this.#nodes.find(({ name }) => name === row.owner);
    const gone = node !== undefined && node.incarnation >= row.incarnation && node.state === "fenced";
    return gone ? undefined : { name: row.owner, incarnation: row.incarnation, epoch: row.epoch };
  }

  addressOf(name: string): string | undefined {
    return this.#nodes.find((node) => node.name === name)?.address;
  }

  see(sight: Sight): void {
    this.#nodes = sight.nodes;
    this.learn(sight.shards);
  }

  /** Takes rows that are newer than what is known; epochs never go back. */
  learn(rows: readonly ShardRow[]): void {
    let changed = false;
    for (const row of rows) {
      const known = this.#shards.get(row.shard);
      if (known !== undefined && (known.epoch > row.epoch || (known.epoch === row.epoch && known.owner === row.owner)))
        continue;
      this.#shards.set(row.shard, row);
      changed = true;
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
