/**
 * Puts the simulation to the test: each break is planted into its bundle, and seeds run until one names the rule.
 */
import { runSeeds } from "../sim/pool.js";
import { keptOrSeed } from "../sim/schedule.js";
import type { SimulatedMutant } from "./simulated.js";

/** Seeds that a break may survive; a run that hangs counts as one that breaks L1. */
const seedsMax = 2000;
const longestMs = 20_000;

/** What became of a break. `by`: the first violation of a rule that it names. */
export interface Noticed {
  readonly mutant: SimulatedMutant;
  readonly verdict: "killed" | "killed by other rules only" | "survived";
  readonly seed: number | undefined;
  readonly by: string;
}

/** Runs its own seeds, as they were kept, then 1, 2, … against one break. */
export async function putToTest(mutant: SimulatedMutant, workers: number): Promise<Noticed> {
  const left = [...(mutant.seeds ?? []).map(keptOrSeed), ...Array.from({ length: seedsMax }, (_, i) => i + 1)];
  const killers: { readonly seed: number; readonly by: string }[] = [];
  const others: { readonly seed: number; readonly by: string }[] = [];
  await runSeeds(
    () => left.shift(),
    ({ seed, violations }) => {
      const by = violations.find((violation) => mutant.rules.some((rule) => violation.startsWith(`${rule}: `)));
      if (by !== undefined) killers.push({ seed, by });
      else if (violations.length > 0) others.push({ seed, by: violations[0]! });
      return killers.length > 0 || others.length >= 40 ? "stop" : "go on";
    },
    { workers, nice: false, planted: mutant, run: {}, longestMs },
  );
  const first = killers.sort((a, b) => a.seed - b.seed)[0];
  if (first !== undefined) return { mutant, verdict: "killed", ...first };
  const other = others[0];
  if (other !== undefined) return { mutant, verdict: "killed by other rules only", ...other };
  return { mutant, verdict: "survived", seed: undefined, by: "" };
}

/** One line of the table. */
export function noticedLine({ mutant, verdict, seed, by }: Noticed): string {
  const rule = by.slice(0, by.indexOf(":"));
  const own = seed !== undefined && mutant.seeds?.includes(seed);
  const count = own ? `with seed ${seed}` : `after ${seed} seed${seed === 1 ? "" : "s"}`;
  const after = seed === undefined ? `${seedsMax} seeds` : `${count}, by ${rule}`;
  return `${verdict.padEnd(8)}  ${mutant.name.padEnd(66)}  ${after}  ${by.slice(by.indexOf(":") + 2, 90)}\n`;
}
