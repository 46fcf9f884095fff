// docs/configuration.md says of every key what the code says.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { sections } from "./reference.js";

/** Blanks, and dashes of a table's rule, do not count: a formatter aligns columns. */
const plain = (text: string) => text.replace(/ +/g, " ");

describe("docs/configuration.md", () => {
  const page = plain(readFileSync(new URL("../../docs/configuration.md", import.meta.url), "utf8"));

  it.each(sections())("has every key under '$title' as the code has it", ({ title, rows }) => {
    const begin = page.indexOf(`\n## ${title}\n`);
    const end = page.indexOf("\n## ", begin + 4);
    const section = page.slice(begin, end < 0 ? undefined : end);
    expect(begin).toBeGreaterThan(0);
    expect(section.split("\n").filter((line) => line.startsWith("| `"))).toEqual(rows.map(plain));
  });
});
