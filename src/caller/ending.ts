/**
 * What gives up calls before their time: an owner's signal. One may end thousands of calls, and the platform looks
 * through all listeners of a signal for each that is added or taken away; here both cost the same for any number.
 */
import { Numbered } from "../slotmap.js";

/** Behind one listener of the signal. */
export class Ending {
  readonly #signal: AbortSignal;
  readonly #stops = new Numbered<() => void>();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener("abort", () => this.#all(), { once: true });
  }

  /** It has come. */
  get isOver(): boolean {
    return this.#signal.aborted;
  }

  /** `stop` is called once when it comes, unless it is taken back by the number that this returns. */
  add(stop: () => void): number {
    return this.#stops.add(stop);
  }

  remove(id: number): void {
    this.#stops.take(id);
  }

  #all(): void {
    for (const stop of this.#stops.values()) stop();
    this.#stops.clear();
  }
}

/** The ending of each signal: the same as long as the signal lives. */
export class Endings {
  readonly #known = new WeakMap<AbortSignal, Ending>();

  of(signal: AbortSignal): Ending {
    const known = this.#known.get(signal);
    if (known !== undefined) return known;
    const fresh = new Ending(signal);
    this.#known.set(signal, fresh);
    return fresh;
  }
}
