/**
 * Where the tool writes: results to stdout, everything about the run to stderr. Colour only where a person looks at it
 * (NO_COLOR, FORCE_COLOR, TERM=dumb are honoured); meaning never hangs on colour alone.
 */
import type pc from "picocolors";

/** Colours by meaning are chosen by the commands; this is the palette. */
export type Palette = ReturnType<typeof pc.createColors>;

/** A place to write to, made once in `main` and handed down. */
export interface Terminal {
  /** One line of result. */
  out(line: string): void;
  /** One line about the run. */
  err(line: string): void;
  /** Palette for `out`. */
  readonly paint: Palette;
  /** Palette for `err`. */
  readonly paintErr: Palette;
  /** Width to lay out for, at least 60. */
  readonly columns: number;
  /** A person can answer questions. */
  readonly interactive: boolean;
  /** Asks; resolves to the answer without its line end. Only when `interactive`. */
  ask(question: string): Promise<string>;
}

/** Whether a stream gets colour, by the usual rules. */
export function wantsColour(isTty: boolean, environment: Readonly<Record<string, string | undefined>>): boolean {
  if ((environment.NO_COLOR ?? "") !== "") return false;
  if ((environment.FORCE_COLOR ?? "") !== "") return environment.FORCE_COLOR !== "0";
  return isTty && environment.TERM !== "dumb";
}

/** Cells of a line as they show: escape sequences take no room. */
export function visibleLength(text: string): number {
  return [...text.replace(/\x1b\[[0-9;]*m/g, "")].length;
}

/** `text` filled with blanks to a width. */
export function padded(text: string, width: number): string {
  return text + " ".repeat(Math.max(0, width - visibleLength(text)));
}

/** `text` cut to a width, with an ellipsis when something is missing. Not for coloured text. */
export function cut(text: string, width: number): string {
  const cells = [...text];
  return cells.length <= width ? text : `${cells.slice(0, Math.max(1, width - 1)).join("")}…`;
}

/** Text from outside made harmless for a terminal: control characters become visible pictures. */
export function printable(text: string): string {
  return text
    .replace(/[\x00-\x1f]/g, (c) => String.fromCodePoint(0x2400 + c.charCodeAt(0)))
    .replace(/[\x7f-\x9f]/g, "␡");
}

/** Words in lines of at most `width` cells; a longer word is broken. */
export function wrapped(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ").flatMap((w) => pieces(w, width))) {
    if (line !== "" && [...line].length + 1 + [...word].length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

function pieces(word: string, width: number): readonly string[] {
  const cells = [...word];
  const count = Math.max(1, Math.ceil(cells.length / width));
  return Array.from({ length: count }, (_, i) => cells.slice(i * width, (i + 1) * width).join(""));
}

/**
 * A table: columns as wide as their widest cell, the last one cut to what is left of the line, or wrapped below itself.
 */
export function tableLines(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  terminal: Terminal,
  long: "cut" | "wrap" = "cut",
): readonly string[] {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => visibleLength(row[i] ?? ""))));
  const before = widths.slice(0, -1).reduce((sum, width) => sum + width + 2, 0);
  const left = Math.max(10, terminal.columns - before);
  const lines = (cells: readonly string[]) => {
    const front = cells.slice(0, -1).map((cell, i) => `${padded(cell, widths[i]!)}  `);
    const [first = "", ...more] = lastCell(cells.at(-1) ?? "", left, long);
    return [(front.join("") + first).trimEnd(), ...more.map((line) => " ".repeat(before) + line)];
  };
  return [...lines(head).map(terminal.paint.dim), ...rows.flatMap(lines)];
}

/** Coloured text cannot be taken apart, so it stays as it is. */
function lastCell(cell: string, width: number, long: "cut" | "wrap"): readonly string[] {
  if (visibleLength(cell) <= width || cell.includes("\x1b")) return [cell];
  return long === "cut" ? [cut(cell, width)] : wrapped(cell, width);
}
