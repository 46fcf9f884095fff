/**
 * A counter that is cheap to count with: the library's looks at all its labels each time, which was a fiftieth of the
 * cost of a transaction. It is read into the library's when somebody asks (`Meters.total`).
 */
import type { GaugeValues } from "../ports/meters.js";

interface Series {
  readonly labels: Readonly<Record<string, string>>;
  count: number;
}

/** Counts by the values of its labels. */
export class Tally {
  readonly #labelNames: readonly string[];
  readonly #series = new Map<string, Series>();

  constructor(labelNames: readonly string[]) {
    this.#labelNames = labelNames;
  }

  /** One more, with a value for each label in order; none of them may hold a line end. */
  inc(...values: readonly string[]): void {
    let key = "";
    for (const value of values) key += `${value}\n`;
    const known = this.#series.get(key);
    if (known === undefined) this.#series.set(key, { labels: this.#labelled(values), count: 1 });
    else known.count++;
  }

  /** All that was counted. */
  values(): GaugeValues {
    return [...this.#series.values()].map(({ labels, count }) => [labels, count]);
  }

  #labelled(values: readonly string[]): Series["labels"] {
    return Object.fromEntries(this.#labelNames.map((name, i) => [name, values[i] ?? ""]));
  }
}
