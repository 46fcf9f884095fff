/**
 * Which requirement of DTM's protocol is covered by what: `rules.json` has the requirements, with the tests that show
 * them where no test names the id itself, and with what we do otherwise on purpose.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { inTitle, type Mention, mentions, testFiles } from "./scan.js";

/** A requirement. */
export interface Rule {
  readonly id: string;
  readonly rule: string;
  /** `FILE#WORDS`: a test file below `test/`, and words in the title of one of its tests. */
  readonly tests?: readonly string[];
  /** How we differ, and which decision says so. */
  readonly decision?: string;
  /** Why nothing covers it. */
  readonly open?: string;
}

/** A requirement with the files whose tests show it. A comment that names it shows nothing. */
export interface Covered extends Rule {
  /** Those that have its id in a title first. */
  readonly files: readonly string[];
  readonly titled: readonly string[];
}

const folder = join(import.meta.dirname, "..");

/** All requirements in the order of the protocol notes. */
export function readRules(): readonly Rule[] {
  return JSON.parse(readFileSync(join(import.meta.dirname, "rules.json"), "utf8"));
}

/** References of `rules.json` that lead nowhere: no such file, or no title with such words in it. */
export function deadReferences(rules: readonly Rule[]): readonly string[] {
  const files = testFiles(folder);
  const alive = (reference: string) => {
    const at = reference.indexOf("#");
    return inTitle(files.get(reference.slice(0, at)) ?? "", reference.slice(at + 1));
  };
  return rules.flatMap(({ id, tests = [] }) => tests.filter((one) => !alive(one)).map((one) => `${id}: ${one}`));
}

/** Which files show which requirement, by the ids in the titles of their tests and by `rules.json`. */
export function coverage(rules: readonly Rule[]): readonly Covered[] {
  const named = new Map<string, Mention[]>();
  for (const mention of mentions(testFiles(folder))) named.set(mention.id, [...(named.get(mention.id) ?? []), mention]);
  return rules.map((rule) => {
    const found = named.get(rule.id) ?? [];
    const titled = found.filter(({ title }) => title !== "").map(({ file }) => file);
    const listed = (rule.tests ?? []).map((reference) => reference.slice(0, reference.indexOf("#")));
    return { ...rule, titled, files: [...new Set([...titled, ...listed])] };
  });
}

/** What becomes of it: covered, or a fact that asks for nothing, or not covered. */
export function isOpen({ files, open, decision }: Covered): boolean {
  return open !== undefined || (files.length === 0 && decision === undefined);
}

function row({ id, rule, files, decision, open }: Covered): string {
  const shown = files.slice(0, 4).map((file) => `\`${file}\``);
  const more = files.length > 4 ? `, ${files.length - 4} more` : "";
  const by = shown.length > 0 ? `${shown.join(", ")}${more}` : decision === undefined ? "not covered" : "";
  const notes = [decision === undefined ? "" : `differs: ${decision}`, open === undefined ? "" : `open: ${open}`];
  const cell = [by, ...notes].filter((part) => part !== "").join("; ");
  return `| ${id} | ${rule.replaceAll("|", "\\|")} | ${cell.replaceAll("|", "\\|")} |`;
}

/** The document: a summary, what is open, and the whole table. */
export function toMarkdown(covered: readonly Covered[]): string {
  const open = covered.filter(isOpen);
  const differ = covered.filter(({ decision }) => decision !== undefined).length;
  const head = "| id | requirement | tests (below `test/`) |\n| --- | --- | --- |";
  return [
    "# Requirements and their tests",
    "",
    "Every requirement of DTM's server protocol (S-…) and those of its clients that concern the server (C-…), with the",
    "tests that show it, and where Tandem differs on purpose. Made by `npm run requirements`; do not edit.",
    "",
    `${covered.length} requirements: ${covered.length - open.length} covered or decided otherwise, ${open.length} open;` +
      ` ${differ} differ from DTM on purpose.`,
    "",
    "## Open",
    "",
    head,
    ...open.map(row),
    "",
    "## All",
    "",
    head,
    ...covered.map(row),
    "",
  ].join("\n");
}
