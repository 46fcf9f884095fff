/**
 * The fold refuses journals that cannot be: it would otherwise make a state that nobody ever decided.
 */
import { describe, expect, it } from "vitest";
import { fold } from "../../src/core/evolve.js";
import { Driver } from "./driver.js";
import { participants, submit } from "./submissions.js";

function journal() {
  const driver = new Driver({ script: participants({ "action 02": ["unknown", "success"] }) });
  driver.apply(submit("saga"));
  driver.step();
  driver.step();
  return driver.rows;
}

describe("a journal", () => {
  it("that is empty is no transaction", () => {
    expect(fold([])).toBeUndefined();
  });

  it("with a gap, a repeated row or a retry record of a row that is missing is refused", () => {
    const [created, step, retry] = journal();
    expect(retry!.retryOf).toBe(3);
    expect(fold([retry!, step!, created!])!.version).toBe(2);
    expect(() => fold([created!, { ...step!, version: 3 }])).toThrow(/row 3 met, needed 2/);
    expect(() => fold([created!, step!, step!])).toThrow(/row 2 met, needed 3/);
    expect(() => fold([created!, retry!])).toThrow(/row 2 met/);
    expect(() => fold([created!, step!, { ...retry!, version: 3 }])).toThrow(/row 3 met/);
  });

  it("that does not begin with a creation is refused", () => {
    const [, step] = journal();
    expect(() => fold([{ ...step!, version: 1 }])).toThrow(/needed 'created'/);
  });

  it("with an op that is not there is refused", () => {
    const [created] = journal();
    const stray = { kind: "settled", atMs: 0, op: 9, status: "succeed" } as const;
    expect(() => fold([created!, { version: 2, retryOf: undefined, events: [stray] }])).toThrow(/op 9 met/);
  });
});
