/**
 * Keeps this node's lease, and with it its shards: renews, fences the dead, claims orphans, hands over to those who
 * should own, gives everything up at the end (reliability 3 and 10). Renewing never waits for anything else.
 * Knows no transaction: what losing and gaining a shard means is the engine's business.
 */
import { shardCount } from "../src/core/shard.js";
import type { Cancel, Clock } from "../src/ports/clock.js";
import type { Leases, NodeRow, ShardRow, Sight } from "../src/ports/leases.js";
import type { Log } from "../src/ports/observer.js";
import type { Ownership } from "../src/ports/ownership.js";
import { desiredOwner } from "./assign.js";
import type { View } from "./view.js";

/** What follows from gaining and losing shards. */
export interface Tenant {
  gained(shards: readonly number[]): void;
  lost(shards: ReadonlySet<number>): void;
  /** Ends the work on shards in good order: no new calls, wait for those on the wire at most `graceMs`, flush. */
  drain(shards: ReadonlySet<number>, graceMs: number): Promise<void>;
  /** Another process runs under this node's name: this one must end (exit 4). */
  usurped(): void;
}

/** Times in milliseconds; `renewMs` is at most a third of `leaseMs`. */
export interface KeeperSettings {
  readonly name: string;
  /** URL at which other nodes reach this one. */
  readonly address: string;
  readonly leaseMs: number;
  readonly renewMs: number;
  /** Shards handed over at a time, and the wait for their calls. */
  readonly moveMax: number;
  readonly drainMs: number;
  /** After this time anybody may claim an orphan that its desired owner has not claimed. */
  readonly anybodyMs: number;
}

/** Times of reliability 3 and 10. */
export const keeperDefaults = { leaseMs: 3000, renewMs: 1000, moveMax: 8, drainMs: 5000, anybodyMs: 1000 } as const;

/** After a peer's lease runs out, the look that finds it dead comes this much later. */
const graceAfterExpiryMs = 100;

export class Keeper implements Ownership {
  readonly #leases: Leases;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #view: View;
  readonly #tenant: Tenant;
  readonly #announce: (rows: readonly ShardRow[]) => void;
  readonly #settings: KeeperSettings;
  readonly #owned = new Map<number, number>();
  readonly #orphanSince = new Map<number, number>();
  /** The newest row of each shard that the store itself has shown; announcements do not count here. */
  readonly #table = new Map<number, ShardRow>();
  readonly #leavingShards = new Set<number>();
  #incarnation = 0;
  #leaseUntilMs = Number.NEGATIVE_INFINITY;
  #steadySinceMs: number | undefined;
  #leaving = false;
  #ended = false;
  #timer: Cancel | undefined;
  #work: Promise<void> | undefined;
  #suspended = false;

  constructor(
    leases: Leases,
    clock: Clock,
    log: Log,
    view: View,
    tenant: Tenant,
    announce: (rows: readonly ShardRow[]) => void,
    settings: KeeperSettings,
  ) {
    this.#leases = leases;
    this.#clock = clock;
    this.#log = log;
    this.#view = view;
    this.#tenant = tenant;
    this.#announce = announce;
    this.#settings = settings;
  }

  get incarnation(): number {
    return this.#incarnation;
  }

  /** Shards that this node may write to, with their epochs. */
  get owned(): ReadonlyMap<number, number> {
    return this.#owned;
  }

  /** The lease is over on this node's own clock: it stands still until the store has spoken. */
  get suspended(): boolean {
    return this.remainingMs() <= 0;
  }

  epochOf(shard: number): number | undefined {
    return this.#owned.get(shard);
  }

  remainingMs(): number {
    return this.#leaseUntilMs - this.#clock.monotonicMs();
  }

  lost(shard: number): void {
    if (this.#owned.delete(shard)) this.#tenant.lost(new Set([shard]));
    this.hurry();
  }

  /** The store decided commits in doubt by bumping epochs of shards that stay this node's. */
  bumped(rows: readonly ShardRow[]): void {
    for (const row of rows) this.#own(row);
    this.#record(rows);
    this.#view.learn(rows);
  }

  /** Joins; rejects when the store cannot be reached. Renews from then on. */
  async start(): Promise<void> {
    await this.#join();
    await this.#look();
  }

  /** Looks as soon as possible: somebody has announced something. */
  hurry(): void {
    if (!this.#ended) this.#next(0);
  }

  /** Hands over everything and ends this node's row, within `graceMs`. */
  async leave(graceMs: number): Promise<void> {
    this.#leaving = true;
    await this.#work;
    const untilMs = this.#clock.monotonicMs() + graceMs;
    try {
      await this.#leases.renew(this.#settings.name, this.#incarnation, this.#settings.leaseMs, true);
      while (this.#owned.size > 0 && this.#clock.monotonicMs() < untilMs) {
        const shards = [...this.#owned.keys()].slice(0, this.#settings.moveMax * 8);
        await this.#handOver(
          shards,
          Math.min(this.#settings.drainMs, Math.max(0, untilMs - this.#clock.monotonicMs())),
        );
      }
      this.#end();
      await this.#leases.leave(this.#settings.name, this.#incarnation);
    } catch (cause) {
      this.#log.warn("leave_interrupted", { cause: String(cause) });
    }
    this.#end();
  }

  #end(): void {
    this.#ended = true;
    this.#timer?.();
  }

  async #join(): Promise<void> {
    const { name, address, leaseMs } = this.#settings;
    const sentMs = this.#clock.monotonicMs();
    const { incarnation } = await this.#leases.join(name, address, leaseMs);
    this.#incarnation = incarnation;
    this.#leaseUntilMs = sentMs + leaseMs;
    this.#log.info("joined", { node: name, incarnation });
  }

  #next(delayMs: number): void {
    this.#timer?.();
    this.#timer = this.#clock.after(delayMs, () => void this.#look());
  }

  /** Renews and looks; what follows from it runs beside, so that the next renewal is never late. */
  async #look(): Promise<void> {
    if (this.#ended) return;
    const { name, leaseMs, renewMs } = this.#settings;
    this.#next(renewMs);
    const sentMs = this.#clock.monotonicMs();
    try {
      const sight = await this.#leases.renew(name, this.#incarnation, leaseMs, this.#leaving);
      if (this.#ended) return;
      this.#noteRenewal(sight, sentMs);
    } catch (cause) {
      this.#steadySinceMs = undefined;
      if (this.suspended && !this.#suspended) this.#log.warn("suspended", { cause: String(cause) });
      this.#suspended ||= this.suspended;
    }
  }

  #noteRenewal(sight: Sight, sentMs: number): void {
    const { name, leaseMs, renewMs } = this.#settings;
    const own = sight.nodes.find((node) => node.name === name);
    if (own !== undefined && own.incarnation > this.#incarnation) return this.#usurped(own);
    if (own === undefined || own.state === "fenced") return this.#rejoin();
    this.#leaseUntilMs = sentMs + leaseMs;
    this.#steadySinceMs ??= sentMs;
    if (this.#suspended) this.#log.info("resumed", { shards: this.#owned.size });
    this.#suspended = false;
    this.#view.see(sight);
    this.#record(sight.shards);
    this.#reconcile();
    const peers = sight.nodes.filter((node) => node.name !== name && node.state !== "fenced");
    const firstMs = Math.min(...peers.map(({ leaseUntilMs }) => leaseUntilMs - sight.storeNowMs + graceAfterExpiryMs));
    if (firstMs < renewMs) this.#next(Math.max(firstMs, 20));
    this.#work ??= this.#act(sight).finally(() => {
      this.#work = undefined;
    });
  }

  #usurped(other: NodeRow): void {
    this.#log.error("usurped", { node: other.name, incarnation: other.incarnation });
    this.#dropAll();
    this.#end();
    this.#tenant.usurped();
  }

  #rejoin(): void {
    this.#log.warn("fenced", { shards: this.#owned.size });
    this.#dropAll();
    this.#work ??= this.#join()
      .catch((cause) => this.#log.warn("join_failed", { cause: String(cause) }))
      .finally(() => {
        this.#work = undefined;
        this.hurry();
      });
  }

  #dropAll(): void {
    const shards = new Set(this.#owned.keys());
    this.#owned.clear();
    if (shards.size > 0) this.#tenant.lost(shards);
  }

  #record(rows: readonly ShardRow[]): void {
    for (const row of rows) if (row.epoch >= (this.#table.get(row.shard)?.epoch ?? 0)) this.#table.set(row.shard, row);
  }

  /** Holds what is believed to be owned against the table. */
  #reconcile(): void {
    const { name } = this.#settings;
    const gone = new Set<number>();
    const found: ShardRow[] = [];
    for (const row of this.#table.values()) {
      const epoch = this.#owned.get(row.shard);
      const mine = row.owner === name && row.incarnation === this.#incarnation;
      if (mine && (epoch === undefined || row.epoch > epoch) && !this.#leavingShards.has(row.shard)) found.push(row);
      else if (!mine && epoch !== undefined && row.epoch > epoch) gone.add(row.shard);
    }
    for (const shard of gone) this.#owned.delete(shard);
    if (gone.size > 0) this.#tenant.lost(gone);
    this.#gain(found);
  }

  #gain(rows: readonly ShardRow[]): void {
    const fresh = rows.filter((row) => !this.#owned.has(row.shard)).map((row) => row.shard);
    for (const row of rows) this.#own(row);
    if (fresh.length > 0) this.#tenant.gained(fresh);
  }

  #own(row: ShardRow): void {
    this.#owned.set(row.shard, Math.max(row.epoch, this.#owned.get(row.shard) ?? 0));
  }

  async #act(sight: Sight): Promise<void> {
    try {
      const fenced = await this.#fenceDead(sight);
      await this.#claimOrphans(sight, fenced);
      await this.#moveSome(sight);
    } catch (cause) {
      this.#log.warn("ownership_interrupted", { cause: String(cause) });
    }
  }

  /** Only who has seen the store steadily for a whole lease may judge others: after an outage all leases are over. */
  async #fenceDead(sight: Sight): Promise<ReadonlySet<string>> {
    const fenced = new Set<string>();
    const steadyMs = this.#clock.monotonicMs() - (this.#steadySinceMs ?? Number.POSITIVE_INFINITY);
    if (!(steadyMs >= this.#settings.leaseMs)) return fenced;
    for (const node of sight.nodes) {
      if (node.name === this.#settings.name || node.state === "fenced" || node.leaseUntilMs >= sight.storeNowMs)
        continue;
      const won = await this.#leases.fence(node.name, node.incarnation);
      this.#log.warn("peer_dead", { node: node.name, incarnation: node.incarnation, fencedByThis: won });
      if (won) fenced.add(node.name);
    }
    return fenced;
  }

  async #claimOrphans(sight: Sight, fenced: ReadonlySet<string>): Promise<void> {
    if (this.#leaving) return;
    const { name, anybodyMs } = this.#settings;
    const alive = new Map(
      sight.nodes.filter((node) => node.state !== "fenced" && !fenced.has(node.name)).map((node) => [node.name, node]),
    );
    const candidates = liveNames(sight).filter((node) => !fenced.has(node));
    const nowMs = this.#clock.monotonicMs();
    const wanted = [...this.#table.values()].filter((row) => {
      const orphan = alive.get(row.owner)?.incarnation !== row.incarnation;
      if (!orphan || this.#owned.has(row.shard)) {
        this.#orphanSince.delete(row.shard);
        return false;
      }
      if (!this.#orphanSince.has(row.shard)) this.#orphanSince.set(row.shard, nowMs);
      return desiredOwner(row.shard, candidates) === name || nowMs - this.#orphanSince.get(row.shard)! >= anybodyMs;
    });
    if (wanted.length === 0 || this.remainingMs() <= 0) return;
    const claimed = await this.#leases.claim(wanted, name, this.#incarnation);
    this.#gain(claimed);
    this.#tell(claimed);
    this.#log.info("claimed", { shards: claimed.length, wanted: wanted.length });
  }

  /** A few shards at a time go to the live node that should own them; the others are untouched. */
  async #moveSome(sight: Sight): Promise<void> {
    const { name, moveMax, drainMs } = this.#settings;
    if (this.#leaving) return;
    const live = liveNames(sight);
    const away = [...this.#owned.keys()].filter((shard) => (desiredOwner(shard, live) ?? name) !== name);
    if (away.length === 0) return;
    await this.#handOver(away.slice(0, moveMax), drainMs);
    this.hurry();
  }

  async #handOver(shards: readonly number[], graceMs: number): Promise<void> {
    for (const shard of shards) this.#leavingShards.add(shard);
    try {
      await this.#tenant.drain(new Set(shards), graceMs);
      const rows = shards.flatMap((shard) => {
        const epoch = this.#owned.get(shard);
        return epoch === undefined
          ? []
          : [{ shard, epoch, owner: this.#settings.name, incarnation: this.#incarnation }];
      });
      for (const { shard } of rows) this.#owned.delete(shard);
      this.#tenant.lost(new Set(rows.map(({ shard }) => shard)));
      await this.#leases.release(rows);
      this.#tell(rows.map((row) => ({ ...row, owner: "", incarnation: 0, epoch: row.epoch + 1 })));
    } finally {
      for (const shard of shards) this.#leavingShards.delete(shard);
    }
  }

  #tell(rows: readonly ShardRow[]): void {
    if (rows.length === 0) return;
    this.#record(rows);
    this.#view.learn(rows);
    this.#announce(rows);
  }
}

/** Names of the nodes that may be given shards. */
function liveNames(sight: Sight): readonly string[] {
  return sight.nodes.filter(({ state }) => state === "live").map(({ name }) => name);
}

/** Every shard without owner, as a fresh table has them. */
export const freshShards: readonly ShardRow[] = Array.from({ length: shardCount }, (_, shard) => ({
  shard,
  epoch: 0,
  owner: "",
  incarnation: 0,
}));
