/**
 * The list of requirements is true: what it refers to exists, ids are read as people write them, and every defect of
 * DTM has a test of its name.
 */
import { describe, expect, it } from "vitest";
import { coverage, deadReferences, isOpen, readRules } from "./coverage.js";
import { idsIn, mentions } from "./scan.js";

describe("the list of requirements", () => {
  it("refers only to tests that exist", () => {
    expect(deadReferences(readRules())).toEqual([]);
    const gone = { id: "S-X-1", rule: "", tests: ["requirements/rows.test.ts#no such words", "no/such.test.ts#it"] };
    expect(deadReferences([gone])).toHaveLength(2);
    const comment = { id: "S-X-2", rule: "", tests: ["requirements/rows.test.ts#import"] };
    expect(deadReferences([comment])).toHaveLength(1);
  });

  it("leaves nothing open without a reason", () => {
    const silent = coverage(readRules()).filter((rule) => isOpen(rule) && rule.open === undefined);
    expect(silent.map(({ id }) => id)).toEqual([]);
  });

  it("has a test of its name for every defect of DTM", () => {
    const defects = coverage(readRules()).filter(({ id }) => id.startsWith("S-BUG-"));
    expect(defects).toHaveLength(28);
    expect(defects.filter(({ titled }) => titled.length === 0).map(({ id }) => id)).toEqual([]);
  });
});

describe("the ids of a text", () => {
  it("are single ones, lists and ranges", () => {
    expect(idsIn("S-HTTP-31, 32, 33 and C-WF-7; S-BR-10…12 or S-RES-1 to 2")).toEqual([
      ...["S-HTTP-31", "S-HTTP-32", "S-HTTP-33", "C-WF-7", "S-BR-10", "S-BR-11", "S-BR-12", "S-RES-1", "S-RES-2"],
    ]);
    expect(idsIn("S1, S5 and XS-HTTP-1")).toEqual([]);
  });

  it("belong to the test in whose title they stand, else to the file", () => {
    const lines = ["// S-BR-3: a comment", '  it("S-BR-1: does it", () => {});', '  ])("S-BR-2: with %s", () => {'];
    const text = [...lines, '    "S-BR-4: a row",', '    expect(it).toBe("S-BR-5");'].join("\n");
    expect(mentions(new Map([["a.test.ts", text]]))).toEqual([
      { id: "S-BR-3", file: "a.test.ts", title: "" },
      { id: "S-BR-1", file: "a.test.ts", title: "S-BR-1: does it" },
      { id: "S-BR-2", file: "a.test.ts", title: "S-BR-2: with %s" },
      { id: "S-BR-4", file: "a.test.ts", title: "S-BR-4: a row" },
      { id: "S-BR-5", file: "a.test.ts", title: "" },
    ]);
  });
});
