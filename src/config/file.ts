/**
 * A configuration file (YAML, DTM's conf.yml and ours) as settings. Every complaint names file and line. Scalars are
 * taken
 * as they are written, so that `Port: '5432'` and `Port: 5432` are the same and `0x50` is seen as what it is.
 */
import { type Document, isAlias, isMap, isScalar, LineCounter, type Node, type Pair, parseDocument } from "yaml";
import { type Path, paths } from "./keys.js";
import { type Found, type Setting, suggestion } from "./setting.js";

/** Names that hold other keys: `Store`, `Limits`, … */
const groups = new Set(paths.filter((p) => p.includes(".")).map((p) => p.slice(0, p.indexOf("."))));

interface Reading {
  readonly name: string;
  readonly document: Document;
  readonly lines: LineCounter;
  readonly settings: Setting[];
  readonly problems: string[];
}

/** Settings of a file's text; `name` is how messages call it. An empty file holds none. */
export function fromFile(name: string, content: string): Found {
  const lines = new LineCounter();
  const document = parseDocument(content, { lineCounter: lines, prettyErrors: false, merge: false });
  const reading: Reading = { name, document, lines, settings: [], problems: [] };
  for (const error of document.errors) {
    reading.problems.push(`${name}:${lines.linePos(error.pos[0]).line}: ${error.message}`);
  }
  if (document.errors.length === 0 && document.contents !== null) readTop(reading, document.contents);
  return { settings: reading.settings, problems: reading.problems, warnings: [] };
}

function readTop(reading: Reading, top: Node): void {
  if (isScalar(top) && top.value === null) return;
  if (!isMap(top)) {
    reading.problems.push(
      `${reading.name}:${lineOf(reading, top)}: is no mapping; it needs lines such as 'HttpPort: 36789'`,
    );
    return;
  }
  readPairs(reading, top.items, "");
}

function readPairs(reading: Reading, pairs: readonly Pair[], group: string): void {
  for (const pair of pairs) {
    const key = isScalar(pair.key) ? String(pair.key.value) : "(no plain key)";
    const line = lineOf(reading, pair.key);
    const value = isAlias(pair.value) ? pair.value.resolve(reading.document) : pair.value;
    readPair(reading, `${group}${key}`, line, value);
  }
}

function readPair(reading: Reading, path: string, line: number, value: unknown): void {
  const where = `${reading.name}:${line}: ${path}`;
  if (groups.has(path)) {
    if (isMap(value)) readPairs(reading, value.items, `${path}.`);
    else if (isScalar(value) && value.value !== null) reading.problems.push(`${where}: has keys below it, not a value`);
    return;
  }
  const known = paths.find((p) => p === path);
  if (known === undefined) {
    reading.problems.push(`${where}: unknown key${suggestion(path, [...paths, ...groups])}`);
  } else if (!isScalar(value) && value !== null && value !== undefined) {
    reading.problems.push(`${where}: needs one value, not a ${isMap(value) ? "mapping" : "list"}`);
  } else {
    readScalar(reading, known, where, value);
  }
}

/** A key without a value is as if it were not there. */
function readScalar(reading: Reading, path: Path, origin: string, value: unknown): void {
  if (!isScalar(value) || value.value === null) return;
  const text = typeof value.value === "string" ? value.value : (value.source ?? String(value.value));
  reading.settings.push({ path, text, origin });
}

function lineOf(reading: Reading, node: unknown): number {
  const range = (node as { range?: readonly [number, number, number] | null } | null)?.range;
  return range ? reading.lines.linePos(range[0]).line : 1;
}
