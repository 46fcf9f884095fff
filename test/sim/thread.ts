/**
 * A thread of a process: lives, dies and pauses with it, and now and then is not scheduled for a while, though the
 * others are. Then nothing happens in it: no timer, no answer, no message.
 */
import type { Cancel, Clock } from "../../src/ports/clock.js";
import type { Place, Process, StorePath } from "./machine.js";
import type { Scheduler } from "./scheduler.js";

export class Thread implements Place {
  readonly name: string;
  readonly #process: Process;
  readonly #scheduler: Scheduler;
  #stalledUntilMs = Number.NEGATIVE_INFINITY;

  constructor(process: Process, scheduler: Scheduler) {
    this.name = process.name;
    this.#process = process;
    this.#scheduler = scheduler;
  }

  /** Others get its core for so long. */
  stall(ms: number): void {
    this.#stalledUntilMs = this.#scheduler.nowMs + ms;
  }

  run(task: () => void): void {
    this.#process.run(() => {
      const leftMs = this.#stalledUntilMs - this.#scheduler.nowMs;
      if (leftMs <= 0) task();
      else this.#scheduler.after(leftMs, () => this.run(task));
    });
  }

  does(deed: Parameters<Process["does"]>[0]): boolean {
    return this.#process.does(deed);
  }

  random(): number {
    return this.#process.random();
  }

  remote<T>(path: StorePath, writes: boolean, work: () => Promise<T>, largeMs = 0): Promise<T> {
    return this.#process.remote(path, writes, work, largeMs, (task) => this.run(task));
  }

  /** A timer that is cancelled while it waits for the thread does not go off. */
  clock(): Clock {
    const { nowMs, monotonicMs, after } = this.#process.clock();
    return {
      nowMs,
      monotonicMs,
      after: (delayMs, task): Cancel => {
        let cancelled = false;
        const cancel = after(delayMs, () => this.run(() => cancelled || task()));
        return () => {
          cancelled = true;
          cancel();
        };
      },
    };
  }
}
