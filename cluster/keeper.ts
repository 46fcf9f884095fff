/**
 * Keeps this node's lease, and with it its shards: renews, fences the dead, claims orphans, hands over to those who
 * should own, gives everything up at the end (reliability 3 and 10). Renewing waits for nothing else, taking over does
 * not wait for a hand-over. Knows no transaction: what losing and gaining a shard means is the engine's business.
 */
import type { Cancel, Clock } from "../src/ports/clock.js";
import { JoinRefused, type Leases, type NodeRow, type ShardRow, type Sight } from "../src/ports/leases.js";
import type { Log } from "../src/ports/observer.js";
import type { Ownership } from "../src/ports/ownership.js";
import { rememberedOwner } from "./assign.js";
import { Holdings } from "./holdings.js";
import { candidates, deadPeers, firstExpiryMs, misplaced, orphans, regression } from "./judge.js";
import type { Downfall, KeeperSettings, Tenant } from "./tenant.js";
import type { View } from "./view.js";

/** After a peer's lease runs out, the look that finds it dead comes this much later. */
const graceAfterExpiryMs = 100;

/** Hints can't make a node look more often than this. */
const betweenLooksMs = 25;

export class Keeper implements Ownership {
  readonly #leases: Leases;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #view: View;
  readonly #tenant: Tenant;
  readonly #announce: (rows: readonly ShardRow[]) => void;
  readonly #settings: KeeperSettings;
  readonly #holdings: Holdings;
  readonly #orphanSince = new Map<number, number>();
  readonly #desired = rememberedOwner();
  #leaseUntilMs = Number.NEGATIVE_INFINITY;
  #joinedMs = Number.POSITIVE_INFINITY;
  #steadySinceMs: number | undefined;
  #lastSight: { readonly storeNowMs: number; readonly sentMs: number } | undefined;
  #lookingSinceMs: number | undefined;
  #lookedMs = Number.NEGATIVE_INFINITY;
  #lookAgain = false;
  #leaving = false;
  #started = false;
  /** Fenced: no look before it has joined again, whose outcome may be in doubt for a while. */
  #mustJoin = false;
  #ended = false;
  #timer: { readonly atMs: number; readonly cancel: Cancel } | undefined;
  #duties: Promise<void> | undefined;
  #moving: Promise<void> | undefined;
  #joining: Promise<void> | undefined;
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
    this.#holdings = new Holdings(settings.name, tenant, () => clock.monotonicMs());
  }

  get incarnation(): number {
    return this.#holdings.incarnation;
  }

  /** Shards that this node may write to, with their epochs. */
  get owned(): ReadonlyMap<number, number> {
    return this.#holdings.owned;
  }

  /** Shards on their way to another node. */
  get handingOver(): ReadonlySet<number> {
    return this.#holdings.leaving;
  }

  /** Has seen the store without a gap for a whole lease: only then it may judge others. */
  get mayJudge(): boolean {
    return this.#clock.monotonicMs() - (this.#steadySinceMs ?? Number.POSITIVE_INFINITY) >= this.#settings.leaseMs;
  }

  /** The lease is over on this node's own clock: it stands still until the store has spoken. */
  get suspended(): boolean {
    return this.remainingMs() <= 0;
  }

  epochOf(shard: number): number | undefined {
    return this.owned.get(shard);
  }

  remainingMs(): number {
    return this.#leaseUntilMs - this.#clock.monotonicMs();
  }

  lost(shard: number, epoch: number): void {
    const held = this.owned.get(shard);
    if (held === undefined || held > epoch) return; // of an epoch that this node itself has followed by another
    this.#log.warn("shard_lost", { shard, epoch });
    this.#holdings.giveUp([shard]); // a look that was under way meanwhile may still show it as this node's
    this.hurry();
  }

  /** The store decided commits in doubt by bumping epochs of shards that stay this node's. */
  bumped(rows: readonly ShardRow[]): void {
    this.#holdings.gain(rows.filter(({ shard }) => this.owned.has(shard)));
    this.#holdings.record(rows);
    this.#view.learn(rows);
  }

  /** A commit has met rows older than what was committed: nobody may build on this store without looking at it. */
  regressed(what: string): void {
    if (!this.#ended) this.#fall("regressed", { what });
  }

  /** Joins; rejects when the store cannot be reached. Renews from then on. */
  async start(): Promise<void> {
    await this.#join();
    this.#started = true;
    await this.#look();
  }

  /** Looks as soon as possible: somebody has announced something. */
  hurry(): void {
    if (this.#lookingSinceMs !== undefined) this.#lookAgain = true;
    this.#next(Math.max(0, this.#lookedMs + betweenLooksMs - this.#clock.monotonicMs()));
  }

  /** Hands over everything and ends this node's row, within about `graceMs`. */
  async leave(graceMs: number): Promise<void> {
    this.#leaving = true;
    if (!this.#started || this.#ended) return this.#end();
    const { name, leaseMs, drainMs, moveMax } = this.#settings;
    const untilMs = this.#clock.monotonicMs() + graceMs;
    const leftMs = () => Math.max(0, untilMs - this.#clock.monotonicMs());
    try {
      await this.#leases.renew(name, this.incarnation, leaseMs, true);
      await this.#moving;
      while (this.owned.size > 0 && leftMs() > 0 && !this.#ended) {
        const shards = [...this.owned.keys()].slice(0, moveMax * 8);
        const batches = Math.ceil(this.owned.size / shards.length);
        await this.#handOver(shards, Math.min(drainMs, leftMs() / batches));
      }
      this.#end();
      this.#holdings.drop(this.owned.keys());
      await this.#leases.leave(name, this.incarnation);
    } catch (cause) {
      this.#log.warn("leave_interrupted", { cause: String(cause) });
    }
    this.#end();
    this.#holdings.drop(this.owned.keys());
  }

  #end(): void {
    this.#ended = true;
    this.#timer?.cancel();
  }

  #fall(why: Downfall, fields: Readonly<Record<string, unknown>>): void {
    this.#log.error(why, fields);
    this.#end();
    this.#holdings.drop(this.owned.keys());
    this.#tenant.fell(why);
  }

  #lease(untilMs: number): void {
    this.#leaseUntilMs = untilMs;
    this.#tenant.leased?.(untilMs);
  }

  async #join(): Promise<void> {
    const { name, address, leaseMs } = this.#settings;
    const sentMs = this.#clock.monotonicMs();
    const { incarnation } = await this.#leases.join(name, address, leaseMs);
    this.#holdings.incarnation = incarnation;
    this.#lease(sentMs + leaseMs);
    this.#joinedMs = this.#clock.monotonicMs();
    this.#log.info("joined", { node: name, incarnation });
  }

  /** Looks after `delayMs`, unless a look is due before. */
  #next(delayMs: number): void {
    if (this.#ended || !this.#started) return;
    const atMs = this.#clock.monotonicMs() + delayMs;
    if (this.#timer !== undefined && this.#timer.atMs <= atMs) return;
    this.#timer?.cancel();
    const cancel = this.#clock.after(delayMs, () => {
      this.#timer = undefined;
      void this.#look();
    });
    this.#timer = { atMs, cancel };
  }

  /** Renews and looks, one at a time; one that hangs for a whole lease is given up. */
  async #look(): Promise<void> {
    if (this.#ended) return;
    const { name, leaseMs, renewMs } = this.#settings;
    this.#next(renewMs);
    if (this.#mustJoin) return this.#joinAgain();
    this.#noteSuspension("no renewal was answered");
    const sentMs = this.#clock.monotonicMs();
    if (this.#lookingSinceMs !== undefined && sentMs - this.#lookingSinceMs < leaseMs) return;
    this.#lookingSinceMs = this.#lookedMs = sentMs;
    const incarnation = this.incarnation;
    try {
      const sight = await this.#leases.renew(name, incarnation, leaseMs, this.#leaving);
      const overtaken = this.#lookingSinceMs !== sentMs || incarnation !== this.incarnation || this.#mustJoin;
      if (this.#ended || overtaken) return;
      this.#noteRenewal(sight, sentMs);
    } catch (cause) {
      this.#steadySinceMs = undefined;
      this.#noteSuspension(String(cause));
    } finally {
      if (this.#lookingSinceMs === sentMs) this.#lookingSinceMs = undefined;
      if (this.#lookAgain) {
        this.#lookAgain = false;
        this.hurry();
      }
    }
  }

  #noteSuspension(cause: string): void {
    if (!this.suspended || this.#suspended) return;
    this.#suspended = true;
    this.#log.warn("suspended", { cause, shards: this.owned.size });
  }

  #noteRenewal(sight: Sight, sentMs: number): void {
    const { name, leaseMs, renewMs } = this.#settings;
    const own = sight.nodes.find((node) => node.name === name);
    if (own !== undefined && own.incarnation > this.incarnation) return this.#fallToUsurper(own);
    const step = regression(this.#holdings.table, sight, sentMs);
    const older = own !== undefined && own.incarnation < this.incarnation && this.#joinedMs < sentMs;
    if (step !== undefined || older) return this.#fall("regressed", { ...step, incarnation: own?.incarnation });
    if (own === undefined || own.state === "fenced") return this.#rejoin();
    this.#tenant.timed(sight.storeNowMs, sentMs);
    this.#noteSteadiness(sight, sentMs);
    this.#lease(sentMs + leaseMs);
    if (this.#suspended) this.#log.info("resumed", { shards: this.owned.size });
    this.#suspended = false;
    this.#view.see(sight);
    this.#holdings.record(sight.shards);
    this.#holdings.reconcile();
    const expiryMs = firstExpiryMs(sight, name) + graceAfterExpiryMs;
    if (expiryMs < renewMs) this.#next(Math.max(expiryMs, betweenLooksMs));
    this.#duties ??= this.#act(sight).finally(() => {
      this.#duties = undefined;
    });
    if (!this.#leaving)
      this.#moving ??= this.#moveSome(sight).finally(() => {
        this.#moving = undefined;
      });
  }

  /**
   * After a gap of its own (outage, pause) or a jump of the store's clock all leases may be over though everybody
   * lives: from then on a whole lease must pass before this node judges others.
   */
  #noteSteadiness({ storeNowMs }: Sight, sentMs: number): void {
    const last = this.#lastSight;
    const jumpMs = last === undefined ? 0 : storeNowMs - last.storeNowMs - (sentMs - last.sentMs);
    const gap = this.#leaseUntilMs < sentMs || Math.abs(jumpMs) > this.#settings.renewMs;
    if (gap || this.#steadySinceMs === undefined) this.#steadySinceMs = sentMs;
    this.#lastSight = { storeNowMs, sentMs };
  }

  #fallToUsurper({ name, incarnation }: NodeRow): void {
    this.#fall("usurped", { node: name, incarnation, own: this.incarnation });
  }

  /** Somebody has fenced this node: it owns nothing, and joins again under the next incarnation. */
  #rejoin(): void {
    if (this.#leaving) return this.#end();
    this.#log.warn("fenced", { shards: this.owned.size });
    this.#lease(Number.NEGATIVE_INFINITY);
    this.#holdings.drop(this.owned.keys());
    this.#mustJoin = true;
    this.#joinAgain();
  }

  /**
   * Until it succeeds: one that failed may have been carried out all the same, and then a look would take the next
   * incarnation, this process's own, for another's.
   */
  #joinAgain(): void {
    this.#joining ??= this.#join()
      .then(
        () => {
          this.#mustJoin = false;
          this.hurry();
        },
        (cause) => {
          if (cause instanceof JoinRefused) this.#fall("outdated", { cause: cause.message });
          else this.#log.warn("join_failed", { cause: String(cause) });
        },
      )
      .finally(() => {
        this.#joining = undefined;
      });
  }

  async #act(sight: Sight): Promise<void> {
    try {
      const fenced = this.mayJudge ? await this.#fenceDead(sight) : new Set<string>();
      await this.#claimOrphans(sight, fenced);
    } catch (cause) {
      this.#log.warn("ownership_interrupted", { cause: String(cause) });
    }
  }

  async #fenceDead(sight: Sight): Promise<ReadonlySet<string>> {
    const fenced = new Set<string>();
    for (const node of deadPeers(sight, this.#settings.name)) {
      const won = await this.#leases.fence(node.name, node.incarnation);
      this.#log.warn("peer_dead", { node: node.name, incarnation: node.incarnation, fencedByThis: won });
      if (won) fenced.add(node.name);
      else this.hurry(); // it has renewed, or another was faster: the next look says which
    }
    return fenced;
  }

  async #claimOrphans(sight: Sight, fenced: ReadonlySet<string>): Promise<void> {
    if (this.#leaving) return;
    const { name, anybodyMs } = this.#settings;
    const found = orphans(this.#holdings.table, this.owned, sight, fenced);
    for (const shard of this.#orphanSince.keys()) if (!found.has(shard)) this.#orphanSince.delete(shard);
    const live = candidates(sight);
    const nowMs = this.#clock.monotonicMs();
    const wanted = [...found.values()].filter(({ shard }) => {
      const sinceMs = this.#orphanSince.get(shard) ?? nowMs;
      this.#orphanSince.set(shard, sinceMs);
      return this.#desired(shard, live) === name || nowMs - sinceMs >= anybodyMs;
    });
    wanted.push(...this.#holdings.forsaken());
    if (wanted.length === 0 || this.suspended) return;
    const claimed = await this.#leases.claim(wanted, name, this.incarnation);
    this.#tell(claimed);
    this.#holdings.gain(claimed);
    this.#log.info("claimed", { shards: claimed.length, wanted: wanted.length });
    if (claimed.length < wanted.length) this.hurry();
  }

  /** A few shards at a time go to the live node that should own them; the others are untouched. */
  async #moveSome(sight: Sight): Promise<void> {
    const { name, address, moveMax, drainMs, shareMs } = this.#settings;
    const away = address === "" ? [] : misplaced(this.owned.keys(), sight, name, this.#desired);
    if (away.length === 0) return;
    const graceMs = Math.min(drainMs, Math.max(250, shareMs / Math.ceil(away.length / moveMax)));
    try {
      await this.#handOver(away.slice(0, moveMax), graceMs);
    } catch (cause) {
      this.#log.warn("hand_over_interrupted", { cause: String(cause) });
    }
    this.hurry();
  }

  async #handOver(shards: readonly number[], graceMs: number): Promise<void> {
    const { leaving } = this.#holdings;
    for (const shard of shards) leaving.add(shard);
    try {
      await this.#tenant.drain(new Set(shards), graceMs);
      const { name: owner } = this.#settings;
      const rows = shards.flatMap((shard) => {
        const epoch = this.owned.get(shard);
        return epoch === undefined ? [] : [{ shard, epoch, owner, incarnation: this.incarnation }];
      });
      this.#holdings.giveUp(shards);
      const released = await this.#leases.release(rows);
      this.#log.info("handed_over", { shards: released.length });
      this.#tell(released);
    } finally {
      for (const shard of shards) leaving.delete(shard);
    }
  }

  #tell(rows: readonly ShardRow[]): void {
    if (rows.length === 0) return;
    this.#holdings.record(rows);
    this.#view.learn(rows);
    this.#announce(rows);
  }
}
