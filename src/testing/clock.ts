// Time that moves only when told: from one timer to the next, so that a day of retries takes milliseconds.

import type { Cancel, Clock } from "../ports/clock.js";

/** A clock at the beginning of 2026 that stands still. */
export class VirtualClock implements Clock {
  #nowMs = Date.UTC(2026, 0, 1);
  readonly #startMs = this.#nowMs;
  readonly #timers = new Map<number, { readonly atMs: number; readonly task: () => void }>();
  #count = 0;

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs - this.#startMs;
  }

  after(delayMs: number, task: () => void): Cancel {
    const id = this.#count++;
    this.#timers.set(id, { atMs: this.#nowMs + Math.max(0, delayMs), task });
    return () => {
      this.#timers.delete(id);
    };
  }

  /** Moves to the next timer and fires it; false if there is none. */
  next(): boolean {
    let first: number | undefined;
    for (const [id, { atMs }] of this.#timers) {
      if (first === undefined || atMs < this.#timers.get(first)!.atMs) first = id;
    }
    if (first === undefined) return false;
    const { atMs, task } = this.#timers.get(first)!;
    this.#timers.delete(first);
    this.#nowMs = Math.max(this.#nowMs, atMs);
    task();
    return true;
  }
}
