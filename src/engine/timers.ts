/**
 * Many wake times, one native timer: a binary heap. Setting a key again replaces its time; the old entry is skipped
 * when it comes up.
 */
import type { Cancel, Clock } from "../ports/clock.js";

interface Entry {
  readonly atMs: number;
  readonly key: string;
}

/** No native timer is set for longer (D25). */
const longestMs = 3_600_000;

export class Timers {
  readonly #clock: Clock;
  readonly #fire: (key: string) => void;
  readonly #heap: Entry[] = [];
  readonly #current = new Map<string, number>();
  #closed = false;
  #armed: { readonly atMs: number; readonly cancel: Cancel } | undefined;

  /** @param fire is called once per due key, at or after its time. */
  constructor(clock: Clock, fire: (key: string) => void) {
    this.#clock = clock;
    this.#fire = fire;
  }

  get size(): number {
    return this.#current.size;
  }

  /** Entries in memory, replaced ones included. */
  get entries(): number {
    return this.#heap.length;
  }

  has(key: string): boolean {
    return this.#current.has(key);
  }

  /** When a key comes up; `undefined` when it is not set. */
  at(key: string): number | undefined {
    return this.#current.get(key);
  }

  set(key: string, atMs: number): void {
    if (this.#closed || this.#current.get(key) === atMs) return;
    this.#current.set(key, atMs);
    this.#push({ atMs, key });
    this.#compact();
    this.#arm();
  }

  clear(key: string): void {
    if (this.#current.delete(key)) this.#compact();
  }

  clearIf(condition: (key: string) => boolean): void {
    for (const key of [...this.#current.keys()]) if (condition(key)) this.#current.delete(key);
    this.#compact();
  }

  /** Nothing fires from now on, and nothing can be set. */
  close(): void {
    this.#closed = true;
    this.#armed?.cancel();
    this.#heap.length = 0;
    this.#current.clear();
  }

  #arm(): void {
    const first = this.#heap[0];
    if (first === undefined || (this.#armed !== undefined && this.#armed.atMs <= first.atMs)) return;
    this.#armed?.cancel();
    const delayMs = Math.min(Math.max(first.atMs - this.#clock.nowMs(), 0), longestMs);
    this.#armed = { atMs: first.atMs, cancel: this.#clock.after(delayMs, () => this.#due()) };
  }

  #due(): void {
    this.#armed = undefined;
    const nowMs = this.#clock.nowMs();
    for (let first = this.#heap[0]; first !== undefined && first.atMs <= nowMs; first = this.#heap[0]) {
      this.#pop();
      if (this.#current.get(first.key) !== first.atMs) continue;
      this.#current.delete(first.key);
      this.#fire(first.key);
    }
    this.#arm();
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let i = heap.push(entry) - 1;
    for (let parent = (i - 1) >> 1; i > 0 && heap[parent]!.atMs > entry.atMs; parent = (i - 1) >> 1) {
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.atMs < heap[child]!.atMs) child++;
      if (heap[child]!.atMs >= last.atMs) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
  }

  /** Drops replaced and cleared entries once they are three quarters of the heap. */
  #compact(): void {
    if (this.#heap.length <= 64 || this.#heap.length <= this.#current.size * 4) return;
    this.#heap.length = 0;
    for (const [key, atMs] of this.#current) this.#push({ atMs, key });
  }
}
