/**
 * The only source of order in a simulation: one heap of events on virtual time. After each event everything that it
 * made ready runs to its end before the next one begins, so a run is a function of its seed.
 */
import type { Clock } from "../../src/ports/clock.js";

export interface Event {
  readonly atMs: number;
  readonly seq: number;
  readonly task: () => void;
  cancelled: boolean;
}

/** After so many events the real event loop gets its turn: whoever watches the run must be able to speak. */
const breathEvents = 8192;

/** After so many it is asked whether the run is done. */
const askEvents = 64;

const ready = Promise.resolve();

export class Scheduler {
  readonly #heap: Event[] = [];
  #seq = 0;
  #nowMs: number;
  /** Events that have run. */
  steps = 0;

  constructor(startMs: number) {
    this.#nowMs = startMs;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, task: () => void): Event {
    const event = { atMs: this.#nowMs + Math.max(0, delayMs), seq: this.#seq++, task, cancelled: false };
    this.#push(event);
    return event;
  }

  /** The true time, for what is no process. */
  clock(): Clock {
    return {
      nowMs: () => this.#nowMs,
      monotonicMs: () => this.#nowMs,
      after: (delayMs, task) => {
        const event = this.after(delayMs, task);
        return () => {
          event.cancelled = true;
        };
      },
    };
  }

  /** Runs events up to a time, or until `done` says so (asked every so often). */
  run(untilMs: number, done: () => boolean = () => false): Promise<void> {
    return new Promise((resolve, reject) => {
      const step = (): void => {
        try {
          if (!this.#runNext(untilMs)) {
            if (!done()) this.#nowMs = Math.max(this.#nowMs, untilMs);
            resolve();
          } else process.nextTick(settled, goOn);
        } catch (cause) {
          reject(cause);
        }
      };
      const goOn = (): void => {
        if (++this.steps % askEvents === 0 && done()) resolve();
        else if (this.steps % breathEvents === 0) setImmediate(settled, step);
        else step();
      };
      step();
    });
  }

  /** Lets the next event happen; `false`: there is none until then. */
  #runNext(untilMs: number): boolean {
    for (let event = this.#heap[0]; event !== undefined && event.atMs <= untilMs; event = this.#heap[0]) {
      this.#pop();
      if (event.cancelled) continue;
      this.#nowMs = event.atMs;
      event.task();
      return true;
    }
    return false;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let i = heap.push(event) - 1;
    for (let parent = (i - 1) >> 1; i > 0 && before(event, heap[parent]!); parent = (i - 1) >> 1) {
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let i = 0;
    for (let child = 1; child < heap.length; child = 2 * i + 1) {
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
  }
}

/** Node runs ticks only when no microtask is left: what an event made ready has run to its end, the next may begin. */
function settled(goOn: () => void): void {
  void ready.then(goOn);
}

function before(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.seq < b.seq);
}
