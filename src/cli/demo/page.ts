/**
 * How the demo looks: aligned columns (time, who, mark, what) that fit 80 cells, restrained colour.
 */
import { type Palette, padded, type Terminal, wrapped } from "../terminal.js";
import type { Row, Tone } from "../transactions/history.js";
import type { Seen } from "./story.js";

/** Balances at one moment. */
export interface Balances {
  readonly alice: number;
  readonly bob: number;
}

const timeWidth = 7;
const whoWidth = 18;
const markWidth = 5;
const indent = 1 + timeWidth + 2 + whoWidth + 1 + markWidth;

/** What the demo prints, line by line. */
export class Page {
  readonly #terminal: Terminal;
  readonly #paint: Palette;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    this.#paint = terminal.paint;
  }

  title(text: string): void {
    this.#terminal.out(this.#paint.bold(text));
    this.#terminal.out("");
  }

  /** A heading with a rule as long as the text of a page. */
  heading(text: string): void {
    this.#terminal.out("");
    this.#terminal.out(this.#paint.bold(text));
    this.#terminal.out(this.#paint.dim("─".repeat(Math.min(78, this.#terminal.columns - 2))));
  }

  /** Name, value and a dimmed remark. */
  fact(name: string, value: string, remark = ""): void {
    this.#terminal.out(`  ${padded(name, 14)}${padded(value, 26)}${this.#paint.dim(remark)}`.trimEnd());
  }

  note(text: string): void {
    for (const line of wrapped(text, 76)) this.#terminal.out(this.#paint.dim(`  ${line}`));
  }

  plain(text = ""): void {
    this.#terminal.out(text === "" ? "" : `  ${text}`);
  }

  balances(when: string, { alice, bob }: Balances, remark = "", good = true): void {
    const colour = good ? this.#paint.green : this.#paint.red;
    const money = (amount: number) => padded(String(amount), 6);
    const figures = `Alice ${money(alice)}Bob ${money(bob)}together ${money(alice + bob)}`;
    this.#terminal.out(`  ${padded(when, 8)}${this.#paint.bold(figures)}${colour(remark)}`.trimEnd());
  }

  /** One line of the story; `startMs` is when the client began. */
  step(line: Seen | Row, startMs: number): void {
    const time = `${Math.max(0, line.atMs - startMs)} ms`.padStart(timeWidth);
    const who = line.side === "row" ? "tandem" : line.who;
    const mark = line.side === "row" ? `#${line.version}` : line.mark;
    const colour = this.#colour(line.tone);
    const [first = "", ...rest] = wrapped(line.text, Math.max(20, Math.min(100, this.#terminal.columns) - indent));
    const name = line.side === "row" ? this.#paint.cyan(who) : who;
    const front = ` ${this.#paint.dim(time)}  ${padded(name, whoWidth)} `;
    this.#terminal.out(`${front}${colour(padded(mark, markWidth))}${colour(first)}`.trimEnd());
    for (const more of rest) this.#terminal.out(" ".repeat(indent) + colour(more));
  }

  #colour(tone: Tone): (text: string) => string {
    switch (tone) {
      case "plain":
        return (text) => text;
      case "good":
        return this.#paint.green;
      case "bad":
        return this.#paint.red;
      case "undo":
        return this.#paint.yellow;
    }
  }
}
