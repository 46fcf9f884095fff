/**
 * What the transactions in memory hold of clients' bytes, against the limit of the node (architecture 6, Admission).
 * Whoever only waits may fill half of it; the other half is for work.
 */
import type { Transaction } from "../core/transaction.js";
import { transactionBytes } from "./bytes.js";

/** See the file's head; one for an engine. */
export class Footprint {
  readonly #bytesMax: number;
  readonly #shares = new Map<object, number>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whoever only waits is to leave memory. */
  get isTight(): boolean {
    return this.#bytes > this.#bytesMax / 2;
  }

  /** Whether no new transaction fits beside `more` bytes that are on their way into memory. */
  isFull(more: number): boolean {
    return this.#bytes + more >= this.#bytesMax;
  }

  /** Notes what somebody holds now; `undefined` = nothing any more. */
  weigh(holder: object, tx: Transaction | undefined): void {
    const bytes = tx === undefined ? 0 : transactionBytes(tx);
    this.#bytes += bytes - (this.#shares.get(holder) ?? 0);
    if (bytes === 0) this.#shares.delete(holder);
    else this.#shares.set(holder, bytes);
  }
}
