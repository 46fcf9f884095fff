/**
 * Brings back what is stored. After a start or a take-over everything that is due, then, again and again, what will be
 * due soon: read in pages, earliest first. Whoever is due and not in memory, by a page or by its wake time, goes
 * through one queue, loaded in batches and paced, so that new work is served meanwhile and an outage's backlog is no
 * stampede.
 */
import type { Cancel, Clock } from "../ports/clock.js";
import type { Log } from "../ports/observer.js";
import { type DueCursor, type Store, type Stored, StoreUnavailable } from "../ports/store.js";

/** What recovery needs of the engine. */
export interface Recovering {
  owns(shard: number): boolean;
  /** Is in memory, or has its wake time there. */
  knows(gid: string): boolean;
  /** Wake it at a later time. */
  expect(gid: string, atMs: number): void;
  /**
   * Keeps its place while it is loaded: what comes for it meanwhile waits, so that no state read before it is taken for
   * the newest. `undefined`: it is not to be brought back.
   */
  reserve(gid: string): Place | undefined;
  /** More may be revived now. */
  hasRoom(): boolean;
  /** Transactions in memory hold so many bytes that only few may be loaded at a time. */
  isTight(): boolean;
}

/** An actor in memory that waits for its state. */
export interface Place {
  readonly gid: string;
  /** Its state; it goes on. Ignored when the place was lost meanwhile. */
  fill(stored: Stored | undefined): void;
  /** No state can be had now. */
  giveUp(cause: unknown): void;
}

/** How far recovery looks ahead and how much it takes at a time. */
export interface RecoverySettings {
  /** How far ahead wake times are held in memory, milliseconds. While there are some, looks come at half of it. */
  readonly horizonMs: number;
  /** Entries of one page, and transactions of one load. */
  readonly page: number;
  readonly batch: number;
}

/**
 * Between two looks for room, milliseconds; and how long room is waited for: a batch goes then all the same (L1), a
 * small one when bytes are what there is no room for.
 */
const room = { lookMs: 5, patienceMs: 250, tightBatch: 8 } as const;

/**
 * The next look, milliseconds, when nothing stored is due before: only the owner writes to a shard, so it hears of
 * whatever becomes due sooner.
 */
const longestLookMs = 600_000;

/** When the store is asked again after it failed, and when a journal that cannot be read is looked at again. */
const againMs = { store: 1000, unreadable: 60_000 } as const;

export class Recovery {
  readonly #store: Pick<Store, "earliest" | "due" | "load">;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #engine: Recovering;
  readonly #settings: RecoverySettings;
  /** Due, in order of arrival. */
  readonly #queue = new Set<string>();
  #closed = false;
  #again: Cancel | undefined;
  /** From the end of a look to the next one, milliseconds. */
  #waitMs = 0;
  #running: Promise<void> | undefined;
  #reviving: Promise<void> | undefined;
  #wanted = false;

  constructor(
    store: Pick<Store, "earliest" | "due" | "load">,
    clock: Clock,
    log: Log,
    engine: Recovering,
    settings: RecoverySettings,
  ) {
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
    this.#engine = engine;
    this.#settings = settings;
  }

  /** A pass is under way, or something due waits for its turn. */
  get running(): boolean {
    return this.#running !== undefined || this.#queue.size > 0;
  }

  /** Looks now: at the start, and when shards were gained. */
  look(): void {
    this.#wanted = true;
    if (this.#closed || this.#running !== undefined) return;
    this.#again?.();
    this.#again = undefined;
    this.#running = this.#pass().finally(() => {
      this.#running = undefined;
      if (this.#closed) return;
      if (this.#wanted) this.look();
      else this.#lookLater();
    });
  }

  /** One has left memory that is due beyond the horizon: the next look is to find it in time. */
  left(): void {
    if (this.#waitMs <= this.#shortestMs) return;
    this.#waitMs = this.#shortestMs;
    if (this.#again !== undefined) this.#lookLater();
  }

  /** Brings one back that is due and not in memory, when its turn comes. */
  bring(gid: string): void {
    if (this.#closed) return;
    this.#queue.add(gid);
    this.#reviving ??= this.#reviveAll();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#again?.();
    await Promise.all([this.#running, this.#reviving]);
  }

  /** Shortest time between two looks, milliseconds: while something stored is due soon. */
  get #shortestMs(): number {
    return this.#settings.horizonMs / 2;
  }

  /** When the time has passed by either clock: that of the wake times may be set, or the machine be stopped. */
  #lookLater(): void {
    const clock = this.#clock;
    const [atMs, byMs] = [clock.nowMs() + this.#waitMs, clock.monotonicMs() + this.#waitMs];
    const wait = () => {
      const leftMs = Math.min(atMs - clock.nowMs(), byMs - clock.monotonicMs());
      if (leftMs <= 0) this.look();
      else this.#again = clock.after(Math.min(leftMs, this.#shortestMs), wait);
    };
    this.#again?.();
    wait();
  }

  async #pass(): Promise<void> {
    this.#wanted = false;
    this.#waitMs = longestLookMs;
    try {
      const nowMs = this.#clock.nowMs();
      const untilMs = nowMs + this.#settings.horizonMs;
      const own = [...(await this.#store.earliest())].filter(([shard]) => this.#engine.owns(shard));
      const soonestMs = own.reduce((soonest, [, atMs]) => Math.min(soonest, atMs), Number.POSITIVE_INFINITY);
      this.#waitMs = Math.min(this.#waitMs, Math.max(soonestMs - nowMs - this.#shortestMs, this.#shortestMs));
      const shards = own.filter(([, atMs]) => atMs <= untilMs).sort((a, b) => a[1] - b[1]);
      let open = shards.map(([shard]) => ({ shard, after: undefined as DueCursor | undefined }));
      while (open.length > 0 && !this.#closed) {
        const more: typeof open = [];
        for (const { shard, after } of open) {
          const last = await this.#readPage(shard, untilMs, after);
          if (last !== undefined) more.push({ shard, after: last });
        }
        open = more;
      }
    } catch (cause) {
      this.#log.warn("recovery_interrupted", { cause: String(cause) });
      await this.#pause(againMs.store);
      this.#wanted = true;
    }
  }

  /** Handles one page of a shard; where the next one begins, or `undefined` after the last. */
  async #readPage(shard: number, untilMs: number, after: DueCursor | undefined): Promise<DueCursor | undefined> {
    const { page } = this.#settings;
    while (this.#queue.size >= page && !this.#closed) await this.#pause(room.lookMs);
    if (this.#closed || !this.#engine.owns(shard)) return undefined;
    const entries = await this.#store.due(shard, untilMs, after, page);
    const nowMs = this.#clock.nowMs();
    for (const { gid, wakeAtMs } of entries) {
      if (this.#queue.has(gid) || this.#engine.knows(gid)) continue;
      if (wakeAtMs > nowMs) this.#engine.expect(gid, wakeAtMs);
      else this.bring(gid);
    }
    return entries.length < page ? undefined : entries.at(-1);
  }

  async #reviveAll(): Promise<void> {
    while (this.#queue.size > 0 && !this.#closed) {
      await this.#waitForRoom();
      const gids: string[] = [];
      const most = this.#engine.isTight() ? room.tightBatch : this.#settings.batch;
      for (const gid of this.#queue) if (gids.push(gid) >= most) break;
      for (const gid of gids) this.#queue.delete(gid);
      const absent = gids.filter((gid) => !this.#engine.knows(gid));
      await this.#revive(absent.flatMap((gid) => this.#engine.reserve(gid) ?? []));
    }
    this.#reviving = undefined;
  }

  async #waitForRoom(): Promise<void> {
    const untilMs = this.#clock.monotonicMs() + room.patienceMs;
    while (!this.#closed && !this.#engine.hasRoom() && this.#clock.monotonicMs() < untilMs)
      await this.#pause(room.lookMs);
  }

  /** Never rejects. One journal that cannot be read holds up nobody else (L3). */
  async #revive(places: readonly Place[]): Promise<void> {
    if (places.length === 0) return;
    try {
      const loaded = await this.#store.load(places.map(({ gid }) => gid));
      for (const [i, place] of places.entries()) place.fill(loaded[i]);
    } catch (cause) {
      if (places.length > 1 && !(cause instanceof StoreUnavailable)) {
        for (const place of places) await this.#revive([place]);
        return;
      }
      for (const place of places) place.giveUp(cause);
      if (cause instanceof StoreUnavailable) return this.#pause(againMs.store);
      const { gid } = places[0]!;
      this.#log.error("transaction_unreadable", { gid, cause: String(cause) });
      this.#engine.expect(gid, this.#clock.nowMs() + againMs.unreadable);
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#clock.after(ms, resolve));
  }
}
