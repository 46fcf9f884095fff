// Keeps, for the participants' process, which calls of which transaction were seen. Bounded memory: a ring of the
// latest transactions.
import { callBit, type Pattern, patterns, requiredCalls } from "./patterns.js";

const ringSize = 1 << 20;

/** What one call meant: the last one missing, one that should not have come (again), or one of several. */
export type Meaning = "completes" | "repeated" | "progress";

/** Index of the transaction, which its random gid carries at its end: `…-123`. */
export function indexOf(gid: string): number {
  return Number(gid.slice(gid.lastIndexOf("-") + 1));
}

/** Tells for each call what it means for its transaction. Indices ascend, and at most a million are open at a time. */
export class SeenCalls {
  readonly #owner = new Int32Array(ringSize).fill(-1);
  readonly #seen = new Uint16Array(ringSize);

  see(pattern: Pattern, index: number, branchId: string, op: string): Meaning {
    const slot = index % ringSize;
    if (this.#owner[slot] !== index) {
      this.#owner[slot] = index;
      this.#seen[slot] = 0;
    }
    const required = requiredCalls[pattern];
    const bit = callBit(branchId, op);
    const before = this.#seen[slot] ?? 0;
    if ((bit & required) === 0 || (bit & before) !== 0) return "repeated";
    this.#seen[slot] = before | bit;
    return (before | bit) === required ? "completes" : "progress";
  }
}

/** Whether a word out of a participant's address names a pattern. */
export function isPattern(word: string): word is Pattern {
  return (patterns as readonly string[]).includes(word);
}
