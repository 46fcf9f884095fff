/**
 * A machine that runs one node: everything that the node does to the world goes through here, so it can die before or
 * after any of its deeds, be paused, have a wrong clock and be cut off. What happens inside between two deeds nobody
 * can see, so this is a crash at any await. A dead process's timers and promises lead nowhere.
 */
import type { Cancel, Clock } from "../../src/ports/clock.js";
import { StoreInDoubt, StoreRefused, StoreUnavailable } from "../../src/ports/store.js";
import type { MomentaryKind } from "./faults.js";
import type { Random } from "./random.js";
import type { Scheduler } from "./scheduler.js";

/** What becomes of a statement. `doubtDone`/`doubtLost`: the connection dies, with the work done or not. */
export type Fate = "ok" | "away" | "deadlock" | "doubtDone" | "doubtLost";

/** How statements of a process reach the shared store. */
export interface StorePath {
  /** One-way time, milliseconds. */
  latencyMs(): number;
  fate(writes: boolean): Fate;
  /** One more after each restart of the store: what is under way then is cut off. */
  generation(): number;
}

/** What a process does to the world. */
export type Deed = "statement" | "message" | "call" | "reply";

/** Where code runs: a process, or one of its threads. */
export type Place = Pick<Process, "name" | "run" | "does" | "clock" | "remote" | "random">;

export class Process {
  readonly name: string;
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #hit: (kind: MomentaryKind) => void;
  #alive = true;
  #paused: (() => void)[] | undefined;
  #skewMs = 0;
  #lastNowMs = 0;
  #deedsLeft: number | undefined;
  #died: () => void = () => {};

  constructor(name: string, scheduler: Scheduler, random: Random, hit: (kind: MomentaryKind) => void) {
    this.name = name;
    this.#scheduler = scheduler;
    this.#random = random;
    this.#hit = hit;
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

  /** Dies at the deed that comes after so many others. */
  dieAfter(deeds: number, died: () => void): void {
    this.#deedsLeft = deeds;
    this.#died = died;
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

  /** Goes on, and dies no more. */
  heal(): void {
    this.#deedsLeft = undefined;
    this.resume();
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

  /** Whether the process lives to do it; half of the deaths at a statement come when it is on its way already. */
  does(deed: Deed): boolean {
    if (!this.#alive) return false;
    if (this.#deedsLeft === undefined || this.#deedsLeft-- > 0) return true;
    this.crash();
    this.#died();
    const sent = deed === "statement" && this.#random.chance(0.5);
    this.#hit(
      sent
        ? "diedAfterStatement"
        : (
            {
              statement: "diedBeforeStatement",
              message: "diedBeforeMessage",
              call: "diedBeforeCall",
              reply: "diedBeforeReply",
            } as const
          )[deed],
    );
    return sent;
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

  /**
   * A statement at the store and its answer, each with its own way; either may be lost with the process. A large answer
   * takes `largeMs` longer, and is taken by `run`.
   */
  remote<T>(
    path: StorePath,
    writes: boolean,
    work: () => Promise<T>,
    largeMs = 0,
    run: (task: () => void) => void = (task) => this.run(task),
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (!this.does("statement")) return;
      const generation = path.generation();
      const answer = (deliver: () => void) =>
        void this.#scheduler.after(path.latencyMs() + largeMs, () =>
          run(() => (writes && path.generation() !== generation ? reject(inDoubt()) : deliver())),
        );
      this.#scheduler.after(path.latencyMs(), () => {
        const fate = path.generation() === generation ? path.fate(writes) : "away";
        if (fate === "away") return answer(() => reject(new StoreUnavailable("connection refused")));
        if (fate === "deadlock") return answer(() => reject(new StoreUnavailable("deadlock, rolled back")));
        if (fate === "doubtLost") return answer(() => reject(inDoubt()));
        work().then(
          (value) => answer(() => (fate === "doubtDone" ? reject(inDoubt()) : resolve(value))),
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

function inDoubt(): StoreInDoubt {
  return new StoreInDoubt("connection lost");
}

/** The answer of a store that will never take what one row holds. */
export function refusal(gid: string): StoreRefused {
  return new StoreRefused(`gid ${gid}: poisoned by a fault of the run`);
}
