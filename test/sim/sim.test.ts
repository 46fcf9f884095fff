/**
 * A small set of seeds at every run of the tests, and that a seed is a run.
 */
import { expect, it } from "vitest";
import { simulate } from "./simulate.js";

it("keeps every rule over 60 seeds, with faults that really hit", async () => {
  const hits = new Map<string, number>();
  for (let seed = 1; seed <= 60; seed++) {
    const result = await simulate(seed);
    expect(result.violations, `seed ${seed}`).toEqual([]);
    for (const [kind, count] of result.hits) hits.set(kind, (hits.get(kind) ?? 0) + count);
  }
  for (const kind of [
    "crash",
    "pause",
    "commitDoubt",
    "storeDown",
    "lossyBus",
    "leaveAndJoin",
    "messageLost",
    "callLost",
  ])
    expect(hits.get(kind) ?? 0, kind).toBeGreaterThan(0);
}, 300_000);

it("makes the same run of the same seed", async () => {
  for (const seed of [7, 11, 23]) expect((await simulate(seed)).hash).toBe((await simulate(seed)).hash);
}, 120_000);
