/**
 * From a failing seed to the smallest run that still breaks the same rule: halves of the fault list are left out, then
 * ever smaller parts, then the same with the transactions.
 */
import type { Fault } from "./faults.js";
import { type RunResult, simulate } from "./simulate.js";

/** Runs tried at most. */
const triesMax = 300;

/** What is left of a failing seed. */
export interface Shrunk {
  /** Indexes into the seed's list of faults. */
  readonly faults: readonly number[];
  /** Numbers of the seed's transactions. */
  readonly transactions: readonly number[];
  /** Of the smallest run, with its story. */
  readonly result: RunResult;
}

/** The rule a violation names: the word before its colon. */
export function ruleOf(violation: string): string {
  return violation.slice(0, violation.indexOf(":"));
}

/** Shrinks a run that broke a rule. */
export async function shrink(failed: RunResult): Promise<Shrunk> {
  const rule = ruleOf(failed.violations[0]!);
  let tries = 0;
  const breaks = async (faults: readonly number[], only: readonly number[]): Promise<boolean> => {
    if (++tries > triesMax) return false;
    const { violations } = await simulate(failed.seed, { faults: chosen(failed.faults, faults), only });
    return violations.some((violation) => ruleOf(violation) === rule);
  };
  const everybody = Array.from({ length: failed.transactions }, (_, i) => i);
  const allFaults = failed.faults.map((_, i) => i);
  const faults = await smallest(allFaults, (some) => breaks(some, everybody));
  const transactions = await smallest(everybody, (some) => breaks(faults, some));
  const options = { faults: chosen(failed.faults, faults), only: transactions, story: true };
  return { faults, transactions, result: await simulate(failed.seed, options) };
}

function chosen(all: readonly Fault[], indexes: readonly number[]): readonly Fault[] {
  return indexes.map((index) => all[index]!);
}

/** A subset from which no tried part can be left out. */
async function smallest(
  items: readonly number[],
  fails: (some: readonly number[]) => Promise<boolean>,
): Promise<readonly number[]> {
  let left = items;
  for (let size = Math.ceil(left.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < left.length; ) {
      const without = [...left.slice(0, at), ...left.slice(at + size)];
      if (without.length < left.length && (await fails(without))) left = without;
      else at += size;
    }
  }
  return left;
}
