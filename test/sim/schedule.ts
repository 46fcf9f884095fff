/**
 * A run in a file: a seed with its faults written out, so that it stays the same when faults are drawn in another way.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Fault, faultKinds } from "./faults.js";
import type { RunOptions } from "./simulate.js";

/** What is in such a file. */
export interface Schedule {
  /** What it has found. */
  readonly why: string;
  readonly seed: number;
  readonly faults: readonly Fault[];
  /** Numbers of the seed's transactions; all when it is not given. */
  readonly only?: readonly number[];
}

/** Where the runs are that have broken a rule once: one file for each, named after its seed. */
const kept = join(fileURLToPath(import.meta.url), "..", "schedules");

/** Reads one; throws where it names a fault that there is not. */
export function readSchedule(path: string): Schedule {
  const schedule = JSON.parse(readFileSync(path, "utf8")) as Schedule;
  const strange = schedule.faults.find(({ kind }) => !faultKinds.includes(kind));
  if (strange !== undefined) throw new Error(`${path}: there is no fault '${strange.kind}'`);
  return schedule;
}

/** All that are kept as regressions. */
export function keptSchedules(): readonly Schedule[] {
  return readdirSync(kept)
    .sort()
    .map((name) => readSchedule(join(kept, name)));
}

/** The kept run of a seed, or the seed. */
export function keptOrSeed(seed: number): Schedule | number {
  const path = join(kept, `${seed}.json`);
  return existsSync(path) ? readSchedule(path) : seed;
}

/** How `simulate` is told to run it. */
export function optionsOf({ faults, only }: Schedule): RunOptions {
  return { faults, ...(only !== undefined && { only }) };
}
