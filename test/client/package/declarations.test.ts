// The public types say exactly what is taken and given.

import { describe, expect, it } from "vitest";
import { anyIn, declarations, reachable } from "./declarations.js";
import { clientEntries } from "./entries.js";

describe("the public declarations", () => {
  const entries = clientEntries().map(({ source }) => source);
  const made = declarations(entries);
  const seen = reachable(
    made,
    entries.map((source) => source.replace(/\.ts$/, ".d.ts")),
  );

  it("are found at all", () => {
    expect(seen).toEqual(expect.arrayContaining(["src/client/index.d.ts", "src/client/saga.d.ts"]));
    expect(seen.length).toBeGreaterThan(40);
  });

  it("have no any in them", () => {
    expect(seen.flatMap((path) => anyIn(path, made.get(path) ?? ""))).toEqual([]);
  });

  it("would be caught with one", () => {
    expect(anyIn("x.d.ts", "export declare const x: (a: any) => Promise<any>;\n")).toHaveLength(2);
  });
});
