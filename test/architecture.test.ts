/**
 * The shape of the source, checked: directions of imports (docs/ARCHITECTURE.md), purity of the core, where real time
 * and chance may enter, sizes, purposes and doc comments. A failure is a list of places to mend.
 */
import { describe, expect, it } from "vitest";
import { forbiddenImports, strayDrivers } from "./architecture/imports.js";
import { impurities, strayTime } from "./architecture/purity.js";
import { longFunctions, oversized, undocumented, withoutPurpose } from "./architecture/shape.js";
import { type Finding, listed, source, sources } from "./architecture/tree.js";

const product = sources(["src", "cluster"]);
const core = product.filter(({ path }) => path.startsWith("src/core/"));
const everything = [...product, ...sources(["test", "bench", "examples"])];

function clean(findings: readonly Finding[]): void {
  expect(listed(findings)).toEqual([]);
}

describe("the source", () => {
  it("is found by these rules at all", () => {
    expect(core.length).toBeGreaterThan(15);
    expect(everything.length).toBeGreaterThan(product.length);
  });
  it("has a core that imports nothing but the core and is pure", () => {
    clean(impurities(core));
    clean(forbiddenImports(core));
  });
  it("imports in one direction only", () => clean(forbiddenImports(product)));
  it("names a driver only in its adapter", () => clean(strayDrivers(product)));
  it("takes real time and chance only where it is listed", () => clean(strayTime(product)));
  it("has no long file or line", () => clean(oversized(everything)));
  it("has no long function", () => clean(longFunctions([...product, ...sources(["bench", "examples"])])));
  it("opens every file with its purpose", () => clean(withoutPurpose(everything)));
  it("has a doc comment on every export", () => clean(undocumented(product)));
});

/** Findings of a rule on one planted file, as `line problem`. */
function planted(
  rule: (files: readonly ReturnType<typeof source>[]) => readonly Finding[],
  path: string,
  text: string,
) {
  return rule([source(path, text)]).map(({ line, problem }) => `${line} ${problem}`);
}

describe("each of these rules", () => {
  it.each([
    ["src/core/a.ts", "../ports/store.js", 1],
    ["src/core/a.ts", "./pattern/saga.js", 0],
    ["src/ports/a.ts", "../engine/actor.js", 1],
    ["src/engine/a.ts", "../wire/body.js", 1],
    ["src/engine/a.ts", "../store/memory/memory.js", 1],
    ["src/store/lmdb/a.ts", "../mysql/b.js", 1],
    ["src/store/lmdb/a.ts", "../codec.js", 0],
    ["src/store/lmdb/a.ts", "../../engine/actor.js", 1],
    ["src/gateway/http/a.ts", "../../engine/actor.js", 1],
    ["src/gateway/http/a.ts", "../grpc/server.js", 1],
    ["src/gateway/http/a.ts", "../../wire/body.js", 0],
    ["src/client/a.ts", "../store/codec.js", 1],
    ["src/wire/a.ts", "../gateway/b.js", 1],
    ["src/cli/main.ts", "../../cluster/node.js", 1],
    ["src/config/a.ts", "../../cluster/lease.js", 1],
    ["src/node.ts", "./engine/engine.js", 0],
    ["cluster/router.ts", "../src/core/pattern/saga.js", 1],
    ["cluster/bus/nats/a.ts", "../../lease.js", 1],
    ["cluster/node.ts", "../src/node.js", 0],
  ])("judges the direction %s -> %s", (path, specifier, findings) => {
    expect(planted(forbiddenImports, path, `import { x } from "${specifier}";`)).toHaveLength(findings);
    expect(planted(forbiddenImports, path, `const x = await import("${specifier}");`)).toHaveLength(findings);
    expect(planted(forbiddenImports, path, `export type { X } from "${specifier}";`)).toHaveLength(findings);
  });

  it("finds a stray driver", () => {
    expect(planted(strayDrivers, "src/engine/a.ts", `import nats from "nats";`)).toHaveLength(1);
    expect(planted(strayDrivers, "src/store/mysql/a.ts", `import { x } from "mysql2/promise";`)).toEqual([]);
    expect(planted(strayDrivers, "src/store/lmdb/a.ts", `import type { x } from "mysql2/promise";`)).toHaveLength(1);
  });

  it.each([
    "export async function f() {}",
    "const f = async () => await g();",
    "const now = Date.now();",
    "const now = new Date(0);",
    "const x = Math.random();",
    "const { env } = process;",
    `import { x } from "node:fs";`,
    `import { x } from "msgpackr";`,
    "setTimeout(f, 1);",
    "let calls = 0;",
  ])("finds what is not pure: %s", (text) => {
    expect(planted(impurities, "src/core/a.ts", text).length).toBeGreaterThan(0);
  });

  it("takes what only looks impure", () => {
    const text = "const x = tx.process + tx.Date; const y = { crypto: 1 }; const max = Math.max(1, 2);";
    expect(planted(impurities, "src/core/a.ts", text)).toEqual([]);
  });

  it.each([
    "Date.now();",
    "new Date();",
    "Math.random();",
    "setInterval(f, 1);",
    "performance.now();",
    "process.hrtime.bigint();",
    "globalThis.crypto.randomUUID();",
    `import { randomBytes as r } from "node:crypto";`,
    `import { setTimeout as delay } from "node:timers/promises";`,
  ])("finds real time or chance: %s", (text) => {
    expect(planted(strayTime, "src/engine/a.ts", text).length).toBeGreaterThan(0);
    expect(planted(strayTime, "src/clock.ts", text)).toEqual([]);
  });

  it("takes a given time as no real time", () => {
    expect(planted(strayTime, "src/engine/a.ts", "const text = new Date(atMs).toISOString();")).toEqual([]);
  });

  it("measures files, functions and lines", () => {
    const body = (lines: number) => `function f() {\n${"  g();\n".repeat(lines - 2)}}\n`;
    expect(planted(longFunctions, "src/a.ts", body(70))).toEqual([]);
    expect(planted(longFunctions, "src/a.ts", body(71))).toEqual(["1 function f of 71 lines"]);
    expect(planted(oversized, "src/a.ts", "g();\n".repeat(400))).toEqual([]);
    expect(planted(oversized, "src/a.ts", "g();\n".repeat(401))).toEqual(["1 file of 401 lines"]);
    expect(planted(oversized, "src/a.ts", `\n${"x".repeat(121)}\n`)).toEqual(["2 line of 121 characters"]);
  });

  it("misses a purpose and a doc comment", () => {
    expect(planted(withoutPurpose, "src/a.ts", "const x = 1;")).toHaveLength(1);
    expect(planted(withoutPurpose, "src/a.ts", "import x from 'y';\n/** Late. */\n")).toHaveLength(1);
    expect(planted(withoutPurpose, "src/a.ts", "/** What it is. */\nconst x = 1;")).toEqual([]);
    expect(planted(withoutPurpose, "src/a.ts", `/**\n${" * line\n".repeat(9)} */\n`)).toHaveLength(1);
    expect(
      planted(undocumented, "src/a.ts", "/** F. */\nimport x from 'y';\n/** Does f. */\nexport function f() {}"),
    ).toEqual([]);
    expect(planted(undocumented, "src/a.ts", "/** F. */\nimport x from 'y';\nexport const b = 1;")).toEqual([
      "3 export b says nothing",
    ]);
  });
});
