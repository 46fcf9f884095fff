/**
 * The table of mutants stays in step with the code, and a few of them are judged in every run of the tests.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { occurrences } from "./mutant.js";
import { simulatedMutants } from "./simulated.js";
import { mutants, smallSize } from "./table.js";
import { judgeAll, root } from "./workshop.js";

describe("the table of mutants", () => {
  it("names each break once", () => {
    for (const table of [mutants, simulatedMutants])
      expect(new Set(table.map(({ name }) => name)).size).toBe(table.length);
  });

  it.each(simulatedMutants.map((mutant) => [mutant.name, mutant] as const))("fits the code: %s", (_name, mutant) => {
    expect(occurrences(readFileSync(join(root, mutant.file), "utf8"), mutant.find)).toBe(1);
    expect(mutant.replace).not.toBe(mutant.find);
  });

  it.each(mutants.map((mutant) => [mutant.name, mutant] as const))("fits the code: %s", (_name, mutant) => {
    expect(occurrences(readFileSync(join(root, mutant.file), "utf8"), mutant.find)).toBe(1);
    expect(mutant.replace).not.toBe(mutant.find);
    for (const test of mutant.tests) expect(existsSync(join(root, test)), test).toBe(true);
  });
});

describe("a few mutants", () => {
  it("are killed by the tests that name their rule", async () => {
    const chosen = mutants.filter(({ name }) => smallSize.includes(name));
    expect(chosen).toHaveLength(smallSize.length);
    const judged = await judgeAll(chosen, 1);
    process.stdout.write(`${judged.map(({ mutant, verdict }) => `${verdict}: ${mutant.name}`).join("\n")}\n`);
    expect(judged.filter(({ verdict }) => verdict === "killed")).toHaveLength(smallSize.length);
  }, 120_000);

  it("would be seen to survive if nobody noticed them", async () => {
    const harmless = {
      name: "a comment",
      file: "src/core/retry.ts",
      find: "The retry schedule (D7)",
      replace: "The schedule of retries (D7)",
      tests: ["test/core/shard.test.ts"],
      rule: "ascend",
    };
    const absent = { ...harmless, find: "no such text anywhere" };
    const judged = await judgeAll([harmless, absent], 1);
    expect(judged.map(({ verdict }) => verdict)).toEqual(["survived", "does not apply"]);
  }, 120_000);
});
