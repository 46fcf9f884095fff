/**
 * The reference model of leases: two tables in memory, judged by a clock of their own, as a database judges by its own.
 * One value serves all nodes of a simulated cluster.
 */
import { shardCount } from "../../core/shard.js";
import type { Leases, NodeRow, ShardRow, Sight } from "../../ports/leases.js";
import { StoreUnavailable } from "../../ports/store.js";

/** Leases of a cluster that lives in one process. `down` makes every statement fail. */
export class MemoryLeases implements Leases {
  down = false;
  readonly #nowMs: () => number;
  readonly #nodes = new Map<string, NodeRow>();
  readonly #shards = new Map<number, ShardRow>();
  /** All rows, until one changes. */
  #rows: readonly ShardRow[] | undefined;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    for (let shard = 0; shard < shardCount; shard++)
      this.#shards.set(shard, { shard, epoch: 0, owner: "", incarnation: 0 });
  }

  /** The epoch under which a shard may be written: what a store's fence compares with. */
  epochOf(shard: number): number {
    return this.#shards.get(shard)?.epoch ?? 0;
  }

  /** The row of a shard as it stands. */
  row(shard: number): ShardRow | undefined {
    return this.#shards.get(shard);
  }

  /** The row of a node as it stands. */
  node(name: string): NodeRow | undefined {
    return this.#nodes.get(name);
  }

  async join(name: string, address: string, leaseMs: number): Promise<{ readonly incarnation: number }> {
    this.#check();
    const incarnation = (this.#nodes.get(name)?.incarnation ?? 0) + 1;
    const leaseUntilMs = this.#nowMs() + leaseMs;
    this.#nodes.set(name, { name, incarnation, state: "live", leaseUntilMs, address });
    return { incarnation };
  }

  async renew(name: string, incarnation: number, leaseMs: number, leaving: boolean): Promise<Sight> {
    this.#check();
    const own = this.#nodes.get(name);
    if (own?.incarnation === incarnation && own.state !== "fenced") {
      const state = leaving ? "leaving" : own.state;
      this.#nodes.set(name, { ...own, state, leaseUntilMs: this.#nowMs() + leaseMs });
    }
    return this.look();
  }

  async look(): Promise<Sight> {
    this.#check();
    this.#rows ??= [...this.#shards.values()];
    return { storeNowMs: this.#nowMs(), nodes: [...this.#nodes.values()], shards: this.#rows };
  }

  async fence(name: string, incarnation: number): Promise<boolean> {
    this.#check();
    const node = this.#nodes.get(name);
    const over = node?.incarnation === incarnation && node.state !== "fenced" && node.leaseUntilMs < this.#nowMs();
    if (over) this.#nodes.set(name, { ...node, state: "fenced" });
    return over;
  }

  async claim(shards: readonly ShardRow[], name: string, incarnation: number): Promise<readonly ShardRow[]> {
    this.#check();
    return shards.filter((row) => this.#isAs(row)).map((row) => this.#put(row, name, incarnation));
  }

  async release(shards: readonly ShardRow[]): Promise<readonly ShardRow[]> {
    this.#check();
    return shards.filter((row) => this.#isAs(row)).map((row) => this.#put(row, "", 0));
  }

  async leave(name: string, incarnation: number): Promise<void> {
    this.#check();
    const own = this.#nodes.get(name);
    if (own?.incarnation === incarnation) this.#nodes.set(name, { ...own, state: "fenced" });
  }

  async close(): Promise<void> {}

  #check(): void {
    if (this.down) throw new StoreUnavailable("the lease tables are away by a fault of the test");
  }

  #isAs({ shard, epoch, owner }: ShardRow): boolean {
    const row = this.#shards.get(shard);
    return row?.epoch === epoch && row.owner === owner;
  }

  #put({ shard, epoch }: ShardRow, owner: string, incarnation: number): ShardRow {
    const row = { shard, epoch: epoch + 1, owner, incarnation };
    this.#shards.set(shard, row);
    this.#rows = undefined;
    return row;
  }
}
