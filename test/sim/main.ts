/**
 * `npm run sim`: many seeds on all cores, progress, the table of what was exercised; exit 1 on a violation, and, over a
 * large corpus, on anything that was never exercised. A failing seed is shrunk and told as a story.
 *
 * --from N --seeds M | --minutes T   which seeds
 * --workers W, --nice                on how many cores, and whether others go first
 * --faults 0,3 --only 1,4 --story    replays one seed with a part of its faults and transactions
 * --schedule FILE                    replays a run that was kept (test/sim/schedules)
 * --plain N                          N two-branch sagas a seed instead of its business: measures speed
 */
import { createHash } from "node:crypto";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { Coverage } from "./coverage.js";
import { faultText } from "./faults.js";
import { runSeeds } from "./pool.js";
import { optionsOf, readSchedule, type Schedule } from "./schedule.js";
import { shrink } from "./shrink.js";
import { type RunResult, simulate } from "./simulate.js";
import type { Report } from "./worker.js";

/** From so many seeds on everything that is expected must have been exercised. */
const wholeCorpus = 2000;

/** Failing seeds that are shrunk, and lines of a story that are shown. */
const shrunkMax = 2;
const storyLines = 80;

const { values } = parseArgs({
  options: {
    from: { type: "string", default: "1" },
    seeds: { type: "string" },
    minutes: { type: "string" },
    workers: { type: "string", default: String(availableParallelism()) },
    nice: { type: "boolean", default: false },
    faults: { type: "string" },
    only: { type: "string" },
    story: { type: "boolean", default: false },
    plain: { type: "string" },
    schedule: { type: "string" },
  },
});

const say = (line: string) => process.stdout.write(`${line}\n`);
const numbers = (text: string | undefined) => text?.split(",").filter(Boolean).map(Number);

function replay(seed: number, faults: readonly number[], only: readonly number[]): string {
  return `npm run sim -- --from ${seed} --seeds 1 --faults ${faults.join(",")} --only ${only.join(",")} --story`;
}

/** Runs one seed here, or what was kept of it, and tells all about it. */
async function one(seed: number, schedule: Schedule | undefined): Promise<number> {
  const chosen = numbers(values.faults);
  const only = numbers(values.only);
  const faults = schedule?.faults ?? (await simulate(seed, { only: [] })).faults;
  const result = await simulate(seed, {
    ...(schedule !== undefined && optionsOf(schedule)),
    faults: chosen === undefined ? faults : chosen.flatMap((i) => faults[i] ?? []),
    ...(only !== undefined && { only }),
    story: true,
  });
  for (const line of result.story) say(line);
  for (const violation of result.violations) say(`*** ${violation}`);
  say(`hash ${result.hash}`);
  return result.violations.length === 0 ? 0 : 1;
}

/** The lines that matter for a violation: of its transaction, of faults, of the ownership. */
function excerpt(result: RunResult): readonly string[] {
  const gids = new Set(result.violations.flatMap((violation) => violation.match(/\bt\d+(\.\d+)?\b/g) ?? []));
  const mine = new RegExp(
    `\\b(${[...gids, "fault", "starts", "ends", "fenced", "peer_dead", "suspended"].join("|")})\\b`,
  );
  const lines = result.story.filter((line) => mine.test(line));
  return lines.length <= storyLines ? lines : [...lines.slice(0, storyLines), `… ${lines.length - storyLines} lines`];
}

async function tell(report: Report): Promise<void> {
  const failed = await simulate(report.seed);
  if (failed.violations.length === 0) {
    say(`seed ${report.seed} fails in a process of many runs only`);
    return;
  }
  const { faults, transactions, result } = await shrink(failed);
  say(`\nseed ${report.seed}, shrunk to ${faults.length} faults and ${transactions.length} transactions:`);
  for (const fault of result.faults) say(`  fault ${faultText(fault)}`);
  for (const violation of result.violations) say(`  *** ${violation}`);
  for (const line of excerpt(result)) say(`  ${line}`);
  say(`  replay: ${replay(report.seed, faults, transactions)}`);
  const why = result.violations[0] ?? "";
  const kept: Schedule = { why, seed: report.seed, faults: result.faults, only: transactions };
  say(`  to keep it, as test/sim/schedules/${report.seed}.json: ${JSON.stringify(kept)}`);
}

/** The same for every run over the same seeds, however they were spread over the workers. */
function hashOf(hashes: ReadonlyMap<number, string>): string {
  const hash = createHash("sha256");
  for (const [seed, its] of [...hashes].sort(([a], [b]) => a - b)) hash.update(`${seed} ${its}\n`);
  return hash.digest("hex").slice(0, 16);
}

/** Of one core, whatever else the machine has to do: time that the workers had, not time that went by. */
function speed(sums: { readonly transactions: number; readonly branches: number; readonly cpuMs: number }): string {
  const perSecond = (count: number) => Math.round(count / Math.max(0.001, sums.cpuMs / 1000));
  return (
    `speed: ${perSecond(sums.transactions)} transactions per second of a core, ${perSecond(sums.branches)} branches, ` +
    `which is ${perSecond(sums.branches / 2)} of two branches (${Math.round(sums.cpuMs / 1000)} s of cores)`
  );
}

async function many(): Promise<number> {
  const from = Number(values.from);
  const seeds =
    values.minutes === undefined ? Number(values.seeds ?? 300) : Number(values.seeds ?? Number.MAX_SAFE_INTEGER);
  const startedMs = performance.now();
  const endMs = values.minutes === undefined ? Number.POSITIVE_INFINITY : startedMs + Number(values.minutes) * 60_000;
  const coverage = new Coverage();
  const failed: Report[] = [];
  const hashes = new Map<number, string>();
  const sums = { seeds: 0, transactions: 0, branches: 0, cpuMs: 0, replayed: 0, shownMs: startedMs };
  let next = from;
  const progress = () => {
    const seconds = (performance.now() - startedMs) / 1000;
    const rate = Math.round(sums.transactions / seconds);
    const met = [...coverage.counts].filter(([name]) => /^(fault|hit): /.test(name)).reduce((sum, [, n]) => sum + n, 0);
    const moved = [...coverage.counts]
      .filter(([name]) => name.startsWith("transaction: "))
      .reduce((s, [, n]) => s + n, 0);
    say(
      `${sums.seeds} seeds (${from}…${next - 1}), ${sums.transactions} transactions (${rate}/s), ${met} faults hit, ` +
        `${moved} transitions, ${sums.replayed} replayed, ${failed.length} seeds with violations, ${Math.round(seconds)} s`,
    );
    sums.shownMs = performance.now();
  };
  await runSeeds(
    () => (next < from + seeds && performance.now() < endMs ? next++ : undefined),
    (report) => {
      coverage.add(report.counts);
      hashes.set(report.seed, report.hash);
      sums.seeds++;
      sums.transactions += report.transactions;
      sums.branches += report.branches;
      sums.cpuMs += report.cpuMs;
      if (report.replayed) sums.replayed++;
      if (report.violations.length > 0) {
        failed.push(report);
        say(`seed ${report.seed}: ${report.violations.slice(0, 5).join("\n  ")}`);
        say(`  replay: npm run sim -- --from ${report.seed} --seeds 1 --story`);
      }
      if (performance.now() - sums.shownMs > 10_000) progress();
      return failed.length >= 20 ? "stop" : "go on";
    },
    {
      workers: Number(values.workers),
      nice: values.nice,
      run: values.plain === undefined ? {} : { plain: Number(values.plain) },
      longestMs: 120_000,
    },
  );
  progress();
  say(speed(sums));
  say(`hash of all traces: ${hashOf(hashes)}`);
  if (values.plain !== undefined) return failed.length === 0 ? 0 : 1;
  for (const line of coverage.table()) say(line);
  const missing = coverage.missing();
  if (missing.length > 0) say(`never exercised: ${missing.join("; ")}`);
  for (const report of failed.slice(0, shrunkMax)) await tell(report);
  const tooFew = sums.seeds >= wholeCorpus && missing.length > 0;
  say(`${sums.seeds} seeds, ${failed.length} with violations, ${missing.length} expected things never exercised`);
  return failed.length === 0 && !tooFew ? 0 : 1;
}

const schedule = values.schedule === undefined ? undefined : readSchedule(values.schedule);
const single = values.story || values.faults !== undefined || values.only !== undefined || schedule !== undefined;
process.exitCode = single ? await one(schedule?.seed ?? Number(values.from), schedule) : await many();
