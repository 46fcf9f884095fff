// The API reference says what the code says.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { clientEntries } from "./entries.js";
import { reference, referencePath } from "./reference.js";

describe("the API reference", () => {
  const made = reference();

  it("is up to date; if not, run `npm run docs:api`", () => {
    expect(readFileSync(referencePath, "utf8")).toBe(made);
  });

  it("has every entry, and words for every export", () => {
    const titles = clientEntries().map(({ name }) => `## \`${name}\``);
    expect(made.split("\n")).toEqual(expect.arrayContaining(titles));
    const silent = made.split(/^### /m).filter((part, index) => index > 0 && /^\S+\n\n```/.test(part));
    expect(silent.map((part) => part.split("\n")[0])).toEqual([]);
  });
});
