/**
 * Removes finished transactions whose time is over (D26): first the journal, later the head. Small batches with pauses.
 */
import type { Cancel, Clock } from "../ports/clock.js";
import type { Log } from "../ports/observer.js";
import type { Store } from "../ports/store.js";

/**
 * Between two looks: a tenth of the time that journals are kept, within these bounds; and between two batches of one;
 * milliseconds. Rows of one batch.
 */
const pace = { lookMinMs: 60_000, lookMaxMs: 600_000, batchMs: 50, batch: 500 } as const;

export class Retention {
  readonly #store: Pick<Store, "purge">;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #keep: { readonly journalMs: number; readonly headMs: number };
  #cancel: Cancel | undefined;
  #closed = false;
  #purging: Promise<void> | undefined;

  constructor(
    store: Pick<Store, "purge">,
    clock: Clock,
    log: Log,
    keep: { readonly journalMs: number; readonly headMs: number },
  ) {
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
    this.#keep = keep;
  }

  start(): void {
    this.#later(this.#lookMs);
  }

  get #lookMs(): number {
    return Math.min(Math.max(this.#keep.journalMs / 10, pace.lookMinMs), pace.lookMaxMs);
  }

  /** Resolves when the store is not being asked any more. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel?.();
    await this.#purging;
  }

  #later(delayMs: number): void {
    if (this.#closed) return;
    this.#cancel = this.#clock.after(delayMs, () => {
      this.#purging = this.#purge();
    });
  }

  async #purge(): Promise<void> {
    try {
      const nowMs = this.#clock.nowMs();
      const touched = await this.#store.purge(nowMs - this.#keep.journalMs, nowMs - this.#keep.headMs, pace.batch);
      this.#later(touched > 0 ? pace.batchMs : this.#lookMs);
    } catch (cause) {
      this.#log.warn("purge_failed", { cause: String(cause) });
      this.#later(this.#lookMs);
    }
  }
}
