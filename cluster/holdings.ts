/**
 * The shards that one node holds, and what it has seen of all others: the bookkeeping below the keeper. Rows come from
 * the store only (looks and own statements), never from announcements. Tells the tenant what was gained and lost.
 */
import type { ShardRow } from "../src/ports/leases.js";
import type { Learnt } from "./judge.js";

/** Who is told. */
export interface Holder {
  gained(shards: readonly number[]): void;
  lost(shards: ReadonlySet<number>): void;
  /** Epochs of shards that were held already have risen. */
  raised?(): void;
}

export class Holdings {
  /** Under which incarnation rows count as this node's. Set when it joins. */
  incarnation = 0;
  /** Shards on their way to another node: found in the table as one's own they are not taken up again. */
  readonly leaving = new Set<number>();
  readonly #name: string;
  readonly #holder: Holder;
  readonly #nowMs: () => number;
  readonly #owned = new Map<number, number>();
  /** By number of the shard. */
  readonly #table: (Learnt | undefined)[] = [];
  /** Shard → epoch under which this node gave it up: what it has on its way to the store under it may yet land. */
  readonly #givenUp = new Map<number, number>();

  /** @param nowMs monotonic. */
  constructor(name: string, holder: Holder, nowMs: () => number) {
    this.#name = name;
    this.#holder = holder;
    this.#nowMs = nowMs;
  }

  /** Shard → epoch. */
  get owned(): ReadonlyMap<number, number> {
    return this.#owned;
  }

  /** The newest row of each shard that the store has shown, by number of the shard. */
  get table(): readonly (Learnt | undefined)[] {
    return this.#table;
  }

  isMine({ owner, incarnation }: ShardRow): boolean {
    return owner === this.#name && incarnation === this.incarnation;
  }

  /** Remembers rows that the store has shown; older ones are ignored. */
  record(rows: readonly ShardRow[]): void {
    const atMs = this.#nowMs();
    for (const row of rows)
      if (row.epoch > (this.#table[row.shard]?.row.epoch ?? -1)) this.#table[row.shard] = { row, atMs };
  }

  /** Holds what is believed to be owned against the table. */
  reconcile(): void {
    const gone: number[] = [];
    const found: ShardRow[] = [];
    for (const learnt of this.#table) {
      if (learnt === undefined) continue;
      const { row } = learnt;
      const epoch = this.#owned.get(row.shard);
      if (this.isMine(row)) {
        if ((epoch === undefined || row.epoch > epoch) && !this.leaving.has(row.shard)) found.push(row);
      } else if (epoch !== undefined && row.epoch > epoch) gone.push(row.shard);
    }
    this.drop(gone);
    this.gain(found);
  }

  /**
   * Takes up rows of this node; those of an incarnation that has ended meanwhile are nobody's. A row may be told twice,
   * by a look and by a claim's own answer, which may come when the shard has been given up again.
   */
  gain(rows: readonly ShardRow[]): void {
    const mine = rows.filter((row) => this.isMine(row) && row.epoch > (this.#givenUp.get(row.shard) ?? -1));
    const fresh = mine.filter(({ shard }) => !this.#owned.has(shard)).map(({ shard }) => shard);
    let raised = false;
    for (const { shard, epoch } of mine) {
      const held = this.#owned.get(shard);
      if (held !== undefined && held >= epoch) continue;
      this.#owned.set(shard, epoch);
      raised ||= held !== undefined;
    }
    if (raised) this.#holder.raised?.();
    if (fresh.length > 0) this.#holder.gained(fresh);
  }

  /** Drops shards for good: whatever becomes of the statement that says so, their epochs are over for this node. */
  giveUp(shards: readonly number[]): void {
    for (const shard of shards) {
      const epoch = this.#owned.get(shard);
      if (epoch !== undefined) this.#givenUp.set(shard, epoch);
    }
    this.drop(shards);
  }

  /** Rows that still name this node under an epoch that it gave up: only under the next one it may work again. */
  forsaken(): readonly ShardRow[] {
    const rows: ShardRow[] = [];
    for (const [shard, epoch] of this.#givenUp) {
      const row = this.#table[shard]?.row;
      if (row?.epoch === epoch && this.isMine(row) && !this.leaving.has(shard)) rows.push(row);
    }
    return rows;
  }

  /** Holds them no longer; those that it does not hold are ignored. */
  drop(shards: Iterable<number>): void {
    const gone = new Set([...shards].filter((shard) => this.#owned.delete(shard)));
    if (gone.size > 0) this.#holder.lost(gone);
  }
}
