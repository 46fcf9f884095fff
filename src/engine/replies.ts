/**
 * Replies that are held until a transaction is final or rests (D1): those who asked with `wait_result`.
 */
import type { Held } from "../core/draft.js";
import { type Reply, refused } from "../core/input.js";
import type { Cancel, Clock } from "../ports/clock.js";

interface Waiter {
  readonly of: Held["of"];
  readonly reply: (reply: Reply) => void;
  readonly cancel: Cancel;
}

export class Replies {
  readonly #clock: Clock;
  readonly #longestMs: number;
  readonly #waiters = new Set<Waiter>();

  constructor(clock: Clock, longestMs: number) {
    this.#clock = clock;
    this.#longestMs = longestMs;
  }

  get size(): number {
    return this.#waiters.size;
  }

  /**
   * Holds a reply; `late` makes it when the longest wait is over. When `signal` aborts, or has, it is given at once, to
   * whom it may concern: whoever keeps count of outstanding replies must not keep this one.
   */
  hold(
    { of, sliceMs }: Held,
    reply: (reply: Reply) => void,
    signal: AbortSignal | undefined,
    late: (of: Held["of"]) => Reply,
  ): void {
    const waiter: Waiter = {
      of,
      reply,
      cancel: this.#clock.after(Math.min(sliceMs ?? this.#longestMs, this.#longestMs), () => {
        this.#waiters.delete(waiter);
        const answer = late(of);
        reply(sliceMs !== undefined && answer.kind === "refused" ? { ...answer, again: true } : answer);
      }),
    };
    this.#waiters.add(waiter);
    const drop = () => this.#drop(waiter);
    if (signal?.aborted) drop();
    else signal?.addEventListener("abort", drop, { once: true });
  }

  /** Answers all. */
  release(answer: (of: Held["of"]) => Reply): void {
    if (this.size === 0) return;
    for (const { of, reply, cancel } of this.#waiters) {
      cancel();
      reply(answer(of));
    }
    this.#waiters.clear();
  }

  /** Those who still wait, to be asked for again elsewhere. */
  close(): void {
    this.release(() => ({
      kind: "refused",
      code: "UNAVAILABLE",
      message: "the transaction goes on elsewhere, ask again with the same gid",
      retryAfterS: 1,
    }));
  }

  #drop(waiter: Waiter): void {
    if (!this.#waiters.delete(waiter)) return;
    waiter.cancel();
    waiter.reply(refused("ONGOING", "whoever asked stopped waiting; the transaction goes on. ONGOING"));
  }
}
