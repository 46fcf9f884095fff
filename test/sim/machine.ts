/**
 * A machine that runs one node: what the node sees of the world goes through here, so it can crash at any await, be
 * paused, have a wrong clock and be cut off. A crashed process's timers and promises lead nowhere.
 */
import type { Cancel, Clock } from "../../src/ports/clock.js";
import { StoreInDoubt, StoreUnavailable } from "../../src/ports/store.js";
import type { Random } from "./random.js";
import type { Scheduler } from "./scheduler.js";

/** How statements of a process reach the shared store. */
export interface StorePath {
  /** One-way time, milliseconds. */
  latencyMs(): number;
  /** What becomes of a statement now. `doubtDone`/`doubtLost`: the connection dies, with the work done or not. */
  fate(isCommit: boolean): "ok" | "away" | "doubtDone" | "doubtLost";
}

export class Process {
  readonly name: string;
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  #alive = true;
  #paused: (() => void)[] | undefined;
  #skewMs = 0;
  #lastNowMs = 0;

  constructor(name: string, scheduler: Scheduler, random: Random) {
    this.name = name;
    this.#scheduler = scheduler;
    this.#random = random;
  }

  get alive(): boolean {
    return this.#alive;
  }

  get paused(): boolean {
    return this.#paused !== undefined;
  }

  crash(): void {
    this.#alive = false;
    this.#paused = undefined;
  }

  pause(): void {
    this.#paused ??= [];
  }

  /** What came in the meantime happens now, in order. */
  resume(): void {
    const waiting = this.#paused ?? [];
    this.#paused = undefined;
    for (const task of waiting) this.#scheduler.after(0, () => this.run(task));
  }

  jumpClock(ms: number): void {
    this.#skewMs += ms;
  }

  /** Runs something in this process: now, after the pause, or never. */
  run(task: () => void): void {
    if (!this.#alive) return;
    if (this.#paused !== undefined) this.#paused.push(task);
    else task();
  }

  clock(): Clock {
    return {
      nowMs: () => {
        this.#lastNowMs = Math.max(this.#lastNowMs, this.#scheduler.nowMs + this.#skewMs);
        return this.#lastNowMs;
      },
      monotonicMs: () => this.#scheduler.nowMs,
      after: (delayMs, task): Cancel => {
        const event = this.#scheduler.after(delayMs, () => this.run(task));
        return () => {
          event.cancelled = true;
        };
      },
    };
  }

  /** A statement at the store and its answer, each with its own way; either may be lost with the process. */
  remote<T>(path: StorePath, isCommit: boolean, work: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const answer = (deliver: () => void) => void this.#scheduler.after(path.latencyMs(), () => this.run(deliver));
      this.#scheduler.after(path.latencyMs(), () => {
        const fate = path.fate(isCommit);
        if (fate === "away") return answer(() => reject(new StoreUnavailable("connection refused")));
        if (fate === "doubtLost") return answer(() => reject(new StoreInDoubt("connection lost")));
        work().then(
          (value) =>
            answer(() => (fate === "doubtDone" ? reject(new StoreInDoubt("connection lost")) : resolve(value))),
          (error) => answer(() => reject(error)),
        );
      });
    });
  }

  /** Chance of this process. */
  random(): number {
    return this.#random.next();
  }
}
