// Measures all targets under all loads, their rounds interleaved so that a change of the machine's mood hits all alike.
import { writeFileSync } from "node:fs";
import { Participants } from "./participants.js";
import type { Pattern } from "./patterns.js";
import { describeMachine, type Row, summarise, toMarkdown } from "./report.js";
import { type Round, runRound, type Target } from "./round.js";

/** What to measure. The first target is what the others are compared with. */
export interface Comparison {
  readonly targets: readonly Target[];
  readonly patterns: readonly Pattern[];
  readonly clients: readonly number[];
  readonly seconds: number;
  readonly warmupSeconds: number;
  readonly drainSeconds: number;
  readonly rounds: number;
  /** Where to write rounds and medians as JSON, besides the table on stdout. */
  readonly json: string | undefined;
}

/** Load before the first round, uncounted: programs that have run for a while are compared, not their first seconds. */
const heating = { clients: 64, warmupSeconds: 1, seconds: 4 };

/**
 * Runs it, one line a round on stderr and the table on stdout. False when an acknowledged transaction was lost or a
 * request failed.
 */
export async function compare(comparison: Comparison): Promise<boolean> {
  const machine = describeMachine();
  const participants = await Participants.start();
  const rounds: Round[] = [];
  let index = 0;
  const nextIndex = () => index++;
  const { seconds, warmupSeconds, drainSeconds } = comparison;
  for (const pattern of comparison.patterns)
    for (const target of comparison.targets)
      await runRound({ target, pattern, ...heating, drainSeconds, nextIndex }, participants);
  for (const { target, pattern, clients } of schedule(comparison)) {
    const plan = { target, pattern, clients, seconds, warmupSeconds, drainSeconds, nextIndex };
    const round = await runRound(plan, participants);
    rounds.push(round);
    process.stderr.write(`${progress(round)}\n`);
  }
  participants.close();
  const rows = summarise(rounds, (from, to) => participants.repeated(from, to));
  process.stdout.write(`\n${toMarkdown(rows, machine)}`);
  if (comparison.json !== undefined) {
    writeFileSync(comparison.json, `${JSON.stringify({ machine, comparison, rows, rounds }, undefined, 2)}\n`);
  }
  return verdict(rows);
}

function* schedule({ targets, patterns, clients, rounds }: Comparison) {
  for (const pattern of patterns) {
    for (const count of clients) {
      for (let round = 0; round < rounds; round++) {
        // Every other round backwards, so that nobody always comes first.
        const order = round % 2 === 0 ? targets : [...targets].reverse();
        for (const target of order) yield { target, pattern, clients: count };
      }
    }
  }
}

function progress(round: Round): string {
  const { target, pattern, clients, perSecond, p50Ms, p99Ms, lost, errors, firstError } = round;
  const figures = `${perSecond.toFixed(0)}/s p50 ${p50Ms.toFixed(2)} ms p99 ${p99Ms.toFixed(2)} ms`;
  const trouble = lost + errors === 0 ? "" : ` LOST ${lost} ERRORS ${errors} ${firstError ?? ""}`;
  return `${pattern} ${clients} clients ${target}: ${figures}${trouble}`;
}

function verdict(rows: readonly Row[]): boolean {
  const lost = rows.reduce((sum, row) => sum + row.lost, 0);
  const errors = rows.reduce((sum, row) => sum + row.errors, 0);
  const acknowledged = rows.reduce((sum, row) => sum + row.acknowledged, 0);
  process.stdout.write(
    `\n${acknowledged} acknowledged, ${acknowledged - lost} completed, ${lost} lost, ${errors} errors\n`,
  );
  return lost === 0 && errors === 0;
}
