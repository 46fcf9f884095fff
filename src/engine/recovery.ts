/**
 * Brings back what is stored: after a start or a take-over everything that is due, then, again and again, what will be
 * due soon. Reads in pages, earliest first; what is due now is loaded in batches and paced, so that new work is served
 * meanwhile and an outage's backlog is no stampede.
 */
import type { Cancel, Clock } from "../ports/clock.js";
import type { Log } from "../ports/observer.js";
import type { DueCursor, DueEntry, Store, Stored } from "../ports/store.js";

/** What recovery needs of the engine. */
export interface Recovering {
  owns(shard: number): boolean;
  /** Is in memory, or has its wake time there. */
  knows(gid: string): boolean;
  /** Wake it at a later time. */
  expect(gid: string, atMs: number): void;
  /** Let it go on now. */
  revive(gid: string, stored: Stored): void;
  /** More may be revived now. */
  hasRoom(): boolean;
}

/** How far recovery looks ahead and how much it takes at a time. */
export interface RecoverySettings {
  /** How far ahead wake times are held in memory; the next look comes at half of it. Milliseconds. */
  readonly horizonMs: number;
  /** Entries of one page, and transactions of one load. */
  readonly page: number;
  readonly batch: number;
}

/** Between two looks for room, milliseconds. */
const roomMs = 5;

export class Recovery {
  readonly #store: Pick<Store, "earliest" | "due" | "load">;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #engine: Recovering;
  readonly #settings: RecoverySettings;
  #closed = false;
  #again: Cancel | undefined;
  #running: Promise<void> | undefined;
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

  /** A pass is under way. */
  get running(): boolean {
    return this.#running !== undefined;
  }

  /** Looks now: at the start, and when shards were gained. */
  look(): void {
    this.#wanted = true;
    if (this.#closed || this.#running !== undefined) return;
    this.#again?.();
    this.#running = this.#pass().finally(() => {
      this.#running = undefined;
      if (this.#closed) return;
      if (this.#wanted) this.look();
      else this.#again = this.#clock.after(this.#settings.horizonMs / 2, () => this.look());
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#again?.();
    await this.#running;
  }

  async #pass(): Promise<void> {
    this.#wanted = false;
    try {
      const untilMs = this.#clock.nowMs() + this.#settings.horizonMs;
      const shards = [...(await this.#store.earliest())]
        .filter(([shard, atMs]) => atMs <= untilMs && this.#engine.owns(shard))
        .sort((a, b) => a[1] - b[1]);
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
      await new Promise<void>((resolve) => void this.#clock.after(1000, resolve));
      this.#wanted = true;
    }
  }

  /** Handles one page of a shard; where the next one begins, or `undefined` after the last. */
  async #readPage(shard: number, untilMs: number, after: DueCursor | undefined): Promise<DueCursor | undefined> {
    if (!this.#engine.owns(shard)) return undefined;
    const entries = await this.#store.due(shard, untilMs, after, this.#settings.page);
    const nowMs = this.#clock.nowMs();
    const unknown = entries.filter(({ gid }) => !this.#engine.knows(gid));
    for (const { gid, wakeAtMs } of unknown) if (wakeAtMs > nowMs) this.#engine.expect(gid, wakeAtMs);
    const due = unknown.filter(({ wakeAtMs }) => wakeAtMs <= nowMs);
    for (let i = 0; i < due.length && !this.#closed; i += this.#settings.batch)
      await this.#revive(due.slice(i, i + this.#settings.batch));
    return entries.length < this.#settings.page ? undefined : entries.at(-1);
  }

  async #revive(entries: readonly DueEntry[]): Promise<void> {
    while (!this.#engine.hasRoom() && !this.#closed)
      await new Promise<void>((resolve) => void this.#clock.after(roomMs, resolve));
    const loaded = await this.#store.load(entries.map(({ gid }) => gid));
    loaded.forEach((stored, i) => {
      const { gid } = entries[i]!;
      if (stored !== undefined && !this.#engine.knows(gid)) this.#engine.revive(gid, stored);
    });
  }
}
