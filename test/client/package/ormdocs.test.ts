// The page about ORMs prints the adapters that are run against real databases, word for word.

import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const folder = "examples/orm";
const page = readFileSync("docs/client/orm.md", "utf8");
const blocks = [...page.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code);

describe("the page about ORMs", () => {
  it.each(readdirSync(folder).filter((name) => name.endsWith(".ts")))("prints %s", (name) => {
    const [, ...code] = readFileSync(`${folder}/${name}`, "utf8").split("\n");
    expect(blocks).toContain(code.join("\n"));
  });
});
