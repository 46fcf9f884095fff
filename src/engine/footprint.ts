/**
 * What the transactions in memory hold of clients' bytes, against the limit of the node (architecture 6, Admission).
 * Whoever only waits may fill half of it; the other half is for work.
 */
import type { Transaction } from "../core/transaction.js";
import { transactionBytes } from "./bytes.js";

/** See the file's head; one for an engine. */
export class Footprint {
  readonly #bytesMax: number;
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

  /** For somebody who holds nothing yet. */
  share(): Share {
    return new Share((more) => {
      this.#bytes += more;
    });
  }
}

/** What one actor holds. */
export class Share {
  readonly #add: (bytes: number) => void;
  #bytes = 0;

  constructor(add: (bytes: number) => void) {
    this.#add = add;
  }

  /** Notes what it holds now; `undefined` = nothing any more. */
  weigh(tx: Transaction | undefined): void {
    const bytes = tx === undefined ? 0 : transactionBytes(tx);
    this.#add(bytes - this.#bytes);
    this.#bytes = bytes;
  }
}
