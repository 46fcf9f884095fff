/**
 * Judges under which right a node does what it does: within its lease, under no epoch that it has given up (S2, LEASE).
 * Looked at at each deed.
 */
import { shardCount } from "../../src/core/shard.js";
import type { MemoryLeases } from "../../src/store/memory/leases.js";
import type { Coverage } from "./coverage.js";

/** Of a keeper, or of one of the engines of a node. */
export interface Right {
  readonly incarnation: number;
  epochOf(shard: number): number | undefined;
}

/** By what is judged. */
export interface Law {
  readonly leases: MemoryLeases;
  readonly coverage: Coverage;
  readonly violations: string[];
  storeNowMs(): number;
  /** The store's clock has just jumped: leases have ended that nobody sees. */
  isJumping(): boolean;
}

/** The rights of one process. `givenUp`: shards that it has asked to be nobody's, with their epochs then. */
export class Rights {
  readonly givenUp = new Map<number, number>();
  readonly #law: Law;
  readonly #name: string;
  readonly #keeper: () => Right;

  constructor(law: Law, name: string, keeper: () => Right) {
    this.#law = law;
    this.#name = name;
    this.#keeper = keeper;
  }

  /** A deed begins under a right: the keeper's own, or that which an engine has been told of. */
  judge(deed: "call" | "flush", right: Right = this.#keeper()): void {
    this.#judgeLease(deed, right);
    this.#judgeTenure();
  }

  /** Whether a shard is this node's, by what the doer knows and by the store. */
  owns(shard: number, right: Right = this.#keeper()): boolean {
    return right.epochOf(shard) === this.#law.leases.epochOf(shard);
  }

  /** S2: an epoch that a node has given up is over for it, whatever became of the statement. */
  #judgeTenure(): void {
    const { size } = this.givenUp;
    if (size === 0) return;
    this.#law.coverage.count("checked: no epoch is used after it was given up", size);
    const keeper = this.#keeper();
    for (const [shard, epoch] of this.givenUp)
      if (keeper.epochOf(shard) === epoch)
        this.#accuse(`S2: ${this.#name} works again under epoch ${epoch} of shard ${shard}, which it had given up`);
  }

  /** Neither call nor flush begins after the lease is over (reliability 3.4 and 5.5), by the store's own clock. */
  #judgeLease(deed: "call" | "flush", { incarnation }: Right): void {
    const { leases, coverage } = this.#law;
    const keeper = this.#keeper();
    coverage.count("checked: call and flush within the lease");
    if (incarnation !== keeper.incarnation)
      this.#accuse(`LEASE: ${this.#name} begins a ${deed} as its incarnation ${incarnation}, whose lease has ended`);
    const nowMs = this.#law.storeNowMs();
    const row = leases.node(this.#name);
    if (row?.incarnation !== incarnation || row.leaseUntilMs >= nowMs || this.#law.isJumping()) return;
    this.#accuse(`LEASE: ${this.#name} begins a ${deed} ${nowMs - row.leaseUntilMs} ms too late`);
  }

  #accuse(text: string): void {
    this.#law.violations.push(text);
  }
}

/** What an engine has been told to hold: an epoch that it held once and holds no longer never comes back (S2). */
export class Past {
  readonly #held = new Map<number, number>();
  readonly #over = new Map<number, number>();

  /** Looks before and after the engine is told something; what it takes up again is named. */
  look(right: Pick<Right, "epochOf">): readonly string[] {
    const again: string[] = [];
    for (let shard = 0; shard < shardCount; shard++) {
      const epoch = right.epochOf(shard);
      const held = this.#held.get(shard);
      if (epoch === held) continue;
      if (held !== undefined && (epoch === undefined || epoch < held)) this.#over.set(shard, held);
      if (epoch === undefined) this.#held.delete(shard);
      else {
        if (epoch <= (this.#over.get(shard) ?? -1)) again.push(`epoch ${epoch} of shard ${shard}`);
        this.#held.set(shard, epoch);
      }
    }
    return again;
  }
}
