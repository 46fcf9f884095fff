/**
 * The simulation as part of the tests: a corpus of seeds in processes of their own, and that a seed is a run.
 */
import { expect, it } from "vitest";
import { Coverage } from "./coverage.js";
import { runSeeds } from "./pool.js";
import { keptSchedules } from "./schedule.js";
import { simulate } from "./simulate.js";

/** Seeds of every run of the tests, and how long they may take. */
const seeds = 2000;
const withinMs = 300_000;

it(
  `keeps every rule over ${seeds} seeds, and has exercised every fault, state and transition`,
  async () => {
    const coverage = new Coverage();
    const broken: string[] = [];
    const left = [...keptSchedules(), ...Array.from({ length: seeds }, (_, i) => i + 1)];
    await runSeeds(
      () => left.shift(),
      ({ seed, violations, counts }) => {
        coverage.add(counts);
        if (violations.length > 0) broken.push(`seed ${seed}: ${violations.join("; ")}`);
        return broken.length < 5 ? "go on" : "stop";
      },
      { workers: 2, nice: false, run: {}, longestMs: 120_000 },
    );
    process.stdout.write(`${coverage.table().join("\n")}\n`);
    expect(broken, "replay with: npm run sim -- --from SEED --seeds 1").toEqual([]);
    expect(coverage.missing()).toEqual([]);
  },
  withinMs,
);

it("makes the same run of the same seed, with threads (25 and 56) and without", async () => {
  for (const seed of [7, 11, 23, 25, 56]) expect((await simulate(seed)).hash).toBe((await simulate(seed)).hash);
}, 120_000);
