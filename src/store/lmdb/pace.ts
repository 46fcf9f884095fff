/**
 * Long reads in slices: after so many entries other work of the event loop comes first. 500 entries with their decoding
 * take 1–3 ms, well below the 10 ms for which a read may hold the loop.
 */

/** Entries that are read at one go. */
export const sliceEntries = 500;

/** Resolves when other work has had its turn. */
export type Pause = () => Promise<void>;

/** The usual pause: one turn of the event loop. */
export const yieldToLoop: Pause = () => new Promise((resolve) => setImmediate(resolve));

/** Counts what one read has cost since it last paused. */
export class Pace {
  readonly #pause: Pause;
  #entries = 0;

  constructor(pause: Pause) {
    this.#pause = pause;
  }

  /** How many entries may be read now at one go; at least one. */
  get left(): number {
    return Math.max(1, sliceEntries - this.#entries);
  }

  /** To be awaited after reading entries; pauses when the slice is used up. */
  async spent(entries: number): Promise<void> {
    this.#entries += entries;
    if (this.#entries < sliceEntries) return;
    this.#entries = 0;
    await this.#pause();
  }
}
