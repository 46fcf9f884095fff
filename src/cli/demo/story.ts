/**
 * The course of one saga, told from two sides: what its client and its participants saw, and what the coordinator wrote
 * into its journal. Both sides come in order; here they become one order in which no effect stands before its cause:
 * a call after the row that intends it, a row that settles an op after the answer to it, the client's answer at the
 * end.
 */

import type { OpName, Row, Tone } from "../transactions/history.js";

/** A line of the participants' or the client's side. */
export interface Seen {
  readonly side: "seen";
  readonly atMs: number;
  /** The op that is called: not told before its intent is. */
  readonly needsIntent: OpName | undefined;
  /** The op that is answered here. */
  readonly answers: OpName | undefined;
  /** The client has its answer: everything else is told first. */
  readonly last: boolean;
  readonly who: string;
  /** A word in front of the text: `POST`, `call`, a status. */
  readonly mark: string;
  readonly text: string;
  readonly tone: Tone;
}

/** Puts both sides together. Feed it with what is new, take what can be told. */
export class Story {
  readonly #seen: Seen[] = [];
  readonly #rows: Row[] = [];
  readonly #intended = new Set<OpName>();
  readonly #answered = new Set<OpName>();
  #rowsKnown = 0;
  /** The client's first line was told: nothing comes before it. */
  #begun = false;

  see(seen: Seen): void {
    this.#seen.push(seen);
  }

  /** The whole journal as it is now; rows that were given before are skipped. */
  journal(rows: readonly Row[]): void {
    this.#rows.push(...rows.slice(this.#rowsKnown));
    this.#rowsKnown = Math.max(this.#rowsKnown, rows.length);
  }

  /** Lines that can be told now, in order. `finished`: nothing more will come, so everything is told. */
  tell(finished: boolean): readonly (Seen | Row)[] {
    const told: (Seen | Row)[] = [];
    for (;;) {
      const next = this.#next(finished);
      if (next === undefined) return told;
      told.push(next);
    }
  }

  #next(finished: boolean): Seen | Row | undefined {
    const seen = this.#seen[0];
    const row = this.#rows[0];
    const seenMay = seen !== undefined && this.#mayTell(seen, finished);
    const rowMay = this.#begun && (row?.settles.every((op) => this.#answered.has(op)) ?? false);
    if (seenMay && (!rowMay || seen.atMs <= row!.atMs)) return this.#takeSeen();
    if (rowMay) return this.#takeRow();
    if (!finished) return undefined;
    return row === undefined ? this.#takeSeen() : this.#takeRow();
  }

  #mayTell(seen: Seen, finished: boolean): boolean {
    if (seen.last) return finished && this.#rows.length === 0;
    return seen.needsIntent === undefined || this.#intended.has(seen.needsIntent);
  }

  #takeSeen(): Seen | undefined {
    const seen = this.#seen.shift();
    this.#begun = true;
    if (seen?.answers !== undefined) this.#answered.add(seen.answers);
    return seen;
  }

  #takeRow(): Row | undefined {
    const row = this.#rows.shift();
    for (const op of row?.intends ?? []) this.#intended.add(op);
    return row;
  }
}
