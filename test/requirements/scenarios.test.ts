// docs/crash-scenarios.md: every scenario has a test, in every file that the page names for it.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { testFiles } from "./scan.js";

const page = readFileSync(join(import.meta.dirname, "..", "..", "docs", "crash-scenarios.md"), "utf8");
const rows = [...page.matchAll(/^\| (\d+) +\|.*\| (.*?) *\|$/gm)].map(([, number, cell]) => ({
  number: Number(number),
  files: [...cell!.matchAll(/`([^`]+)`/g)].map(([, file]) => file!),
}));
const tests = testFiles(join(import.meta.dirname, ".."));

/** Numbers with which titles of a file begin: `it("9, 37: …")`, or a row of a table of cases. */
function numbersOf(file: string): ReadonlySet<number> {
  const titles = [...(tests.get(file) ?? "").matchAll(/["`](\d+(?:, \d+)*): /g)];
  return new Set(titles.flatMap(([, numbers]) => numbers!.split(", ").map(Number)));
}

describe("docs/crash-scenarios.md", () => {
  it("has the 37 scenarios in order, each with a test", () => {
    expect(rows.map(({ number }) => number)).toEqual(Array.from({ length: 37 }, (_, i) => i + 1));
    expect(rows.filter(({ files }) => files.length === 0)).toEqual([]);
  });

  it.each(rows)("$number: is made to happen in every file that is named for it", ({ number, files }) => {
    expect(files.filter((file) => !numbersOf(file).has(number))).toEqual([]);
  });

  it("would notice a file without the test", () => {
    expect(numbersOf("members/scenarios.test.ts").has(9)).toBe(true);
    expect(numbersOf("members/scenarios.test.ts").has(36)).toBe(false);
    expect(numbersOf("no/such.test.ts").size).toBe(0);
  });
});
