/**
 * Finds which tests name which requirement: `S-HTTP-31, 32, 33`, `S-BR-10…14`, `S-RES-10 to 13` in the title of a test
 * or in a comment of its file. Sources are read as text; nothing is run.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";

/** Where a requirement is named. `title` is empty when only a comment of the file names it. */
export interface Mention {
  readonly id: string;
  /** Below `test/`, with slashes. */
  readonly file: string;
  readonly title: string;
}

const family = /\b([SC]-[A-Z]+)-(\d+)((?:(?:, | and | to |…|–)\d+\b)*)/g;
const title = /^\s*(?:it|describe|test)(?:\.\w+)?\b.*?["'`](.*)["'`]/;
/** The title behind the table of an `it.each`, and a row of a table whose name becomes one: it begins with an id. */
const behindTable = /^\s*\].*\)\(["'`](.*)["'`]/;
const namedRow = /^\s*\[?["'`]([SC]-[A-Z]+-\d.*)["'`]/;
/** Any row of a table: titles are made of them. */
const row = /^\s*\[?["'`](.*)["'`]/;

function titleOf(line: string): string {
  return (title.exec(line) ?? behindTable.exec(line) ?? namedRow.exec(line))?.[1] ?? "";
}

/** Whether the words stand in the title of a test, or in a row of a table of tests. */
export function inTitle(text: string, words: string): boolean {
  return text.split("\n").some((line) => line.includes(words) && (titleOf(line) !== "" || row.test(line)));
}

/** The ids that a text names, in order, with every member of a range. */
export function idsIn(text: string): readonly string[] {
  return [...text.matchAll(family)].flatMap(([, area = "", first = "", rest = ""]) => {
    const numbers = [Number(first)];
    for (const [, between = "", number = ""] of rest.matchAll(/(, | and | to |…|–)(\d+)/g)) {
      const from = /to|…|–/.test(between) ? (numbers.at(-1) ?? 0) + 1 : Number(number);
      for (let n = from; n <= Number(number); n++) numbers.push(n);
    }
    return numbers.map((n) => `${area}-${n}`);
  });
}

/** Every line of a test that tells what it shows: titles as they are, other lines as comments. */
function mentionsIn(file: string, text: string): readonly Mention[] {
  return text.split("\n").flatMap((line) => {
    const words = titleOf(line);
    return idsIn(line).map((id) => ({ id, file, title: words }));
  });
}

function isTest(file: string): boolean {
  return /(?:\.test|Rules|conformance|suite)\.ts$/.test(file) && !file.startsWith("requirements/coverage");
}

/** All tests below `folder` by their path there, with their text. */
export function testFiles(folder: string): ReadonlyMap<string, string> {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join("/"));
  return new Map(
    names
      .filter(isTest)
      .sort()
      .map((name) => [name, readFileSync(join(folder, name), "utf8")]),
  );
}

/** All mentions in these files. */
export function mentions(files: ReadonlyMap<string, string>): readonly Mention[] {
  return [...files].flatMap(([file, text]) => mentionsIn(file, text));
}
