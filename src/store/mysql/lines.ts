/**
 * Connections for reading, and for writing what may be written twice: each packet goes to the one with the least to do,
 * so a long list does not hold up a short look.
 */
import { StoreUnavailable } from "../../ports/store.js";
import { Line, type LineOptions, type Result } from "./line.js";

/** Packets that may wait in all; more are turned away at once, so that nothing piles up while the database is slow. */
const waitingMax = 1_000;

/** A fixed number of lines to one database; they connect when they are first used. */
export class Lines {
  readonly #lines: readonly Line[];
  readonly #waiting: number[];

  constructor(options: LineOptions, connections: number) {
    this.#lines = Array.from({ length: connections }, () => new Line(options));
    this.#waiting = this.#lines.map(() => 0);
  }

  /** See `Line.send`. @throws StoreUnavailable also when too much waits already */
  async send(sql: string, values: readonly unknown[] = []): Promise<readonly Result[]> {
    const total = this.#waiting.reduce((sum, waiting) => sum + waiting, 0);
    if (total >= waitingMax) throw new StoreUnavailable(`${total} statements wait for the database`);
    const chosen = this.#waiting.indexOf(Math.min(...this.#waiting));
    this.#waiting[chosen]!++;
    try {
      return await this.#lines[chosen]!.send(sql, values);
    } finally {
      this.#waiting[chosen]!--;
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#lines.map((line) => line.close()));
  }
}
