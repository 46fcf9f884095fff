/**
 * What all threads of a node must know at every moment without a message: how long its lease lasts, what time the store
 * has, and in which format is written. Written by the main thread only. Milliseconds are those of the monotonic clock,
 * which is one for all threads.
 */
const [leaseUntil, ahead, format, incarnation] = [0, 1, 2, 3];

/** Whole microseconds: what is shared between threads must be read and written in one go. */
const never = -(2n ** 62n);

export class Shared {
  readonly #cells: BigInt64Array;

  /** Over the memory that `Shared.make` gave. */
  constructor(memory: SharedArrayBuffer) {
    this.#cells = new BigInt64Array(memory);
  }

  /** Memory for all threads: no lease, no time, no format. */
  static make(): SharedArrayBuffer {
    const memory = new SharedArrayBuffer(4 * BigInt64Array.BYTES_PER_ELEMENT);
    new BigInt64Array(memory).set([never, never, 0n, 0n]);
    return memory;
  }

  /** Until when the node's lease lasts; -Infinity: it has none. */
  get leaseUntilMs(): number {
    return fromMicros(Atomics.load(this.#cells, leaseUntil)) ?? Number.NEGATIVE_INFINITY;
  }

  set leaseUntilMs(ms: number) {
    Atomics.store(this.#cells, leaseUntil, toMicros(ms));
  }

  /** Whose lease it is: the node's incarnation. Set before the lease, read after it. */
  get incarnation(): number {
    return Number(Atomics.load(this.#cells, incarnation));
  }

  set incarnation(joined: number) {
    Atomics.store(this.#cells, incarnation, BigInt(joined));
  }

  /** How far the store's time is ahead of the monotonic clock; `undefined` until the store has spoken. */
  get aheadMs(): number | undefined {
    return fromMicros(Atomics.load(this.#cells, ahead));
  }

  set aheadMs(ms: number | undefined) {
    Atomics.store(this.#cells, ahead, toMicros(ms));
  }

  /** The stored format on which the nodes have agreed. */
  get format(): number {
    return Number(Atomics.load(this.#cells, format));
  }

  set format(agreed: number) {
    Atomics.store(this.#cells, format, BigInt(agreed));
  }
}

function toMicros(ms: number | undefined): bigint {
  return ms === undefined || !Number.isFinite(ms) ? never : BigInt(Math.floor(ms * 1000));
}

function fromMicros(micros: bigint): number | undefined {
  return micros === never ? undefined : Number(micros) / 1000;
}
