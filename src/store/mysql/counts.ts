/**
 * Numbers of transactions, counted by a pass over all heads: dear, so the answer is kept for a time that grows with
 * what it cost. Whoever asks while a count is under way gets that one.
 */

/** An answer that took this long is dear, and kept so many times as long. */
const [dearMs, keptTimes] = [50, 20];

/** Keeps the last answer of `count`. */
export class Counts<T> {
  readonly #count: () => Promise<T>;
  #answer: Promise<T> | undefined;
  #untilMs = 0;

  constructor(count: () => Promise<T>) {
    this.#count = count;
  }

  get(): Promise<T> {
    const startedMs = performance.now();
    if (this.#answer !== undefined && startedMs < this.#untilMs) return this.#answer;
    const answer = this.#count();
    this.#answer = answer;
    this.#untilMs = Number.POSITIVE_INFINITY;
    answer.then(
      () => {
        const tookMs = performance.now() - startedMs;
        this.#untilMs = startedMs + (tookMs < dearMs ? 0 : keptTimes * tookMs);
      },
      () => {
        this.#answer = undefined;
      },
    );
    return answer;
  }
}
