// Medians of the rounds, ratios against the first target, and both as a Markdown table.
import { cpus, loadavg, release } from "node:os";
import type { Pattern } from "./patterns.js";
import type { Round } from "./round.js";

/** Medians of all rounds of one target, pattern and number of clients; counts are sums. */
export interface Row {
  readonly target: string;
  readonly pattern: Pattern;
  readonly clients: number;
  readonly rounds: number;
  readonly perSecond: number;
  /** Slowest and fastest round, to judge the median by. */
  readonly perSecondRange: readonly [number, number];
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly cpuMsEach: number | undefined;
  readonly commitsEach: number | undefined;
  readonly acknowledged: number;
  readonly lost: number;
  readonly errors: number;
  readonly repeated: number;
}

/** What the figures were measured on. */
export interface Machine {
  readonly cores: number;
  readonly cpu: string;
  readonly kernel: string;
  readonly node: string;
  readonly loadBefore: readonly number[];
}

/** The machine as it is now: to be taken before the first round, for the load. */
export function describeMachine(): Machine {
  const all = cpus();
  const loadBefore = loadavg().map((load) => Math.round(load * 100) / 100);
  return { cores: all.length, cpu: all[0]?.model ?? "?", kernel: release(), node: process.version, loadBefore };
}

/** Tells how many calls of transactions with these indices came that should not have come (again). */
type Repeated = (from: number, to: number) => number;

/** Rows in the order in which their first round ran. */
export function summarise(rounds: readonly Round[], repeated: Repeated): readonly Row[] {
  const groups = new Map<string, Round[]>();
  for (const round of rounds) {
    const key = `${round.pattern} ${round.clients} ${round.target}`;
    groups.set(key, [...(groups.get(key) ?? []), round]);
  }
  return [...groups.values()].map((group) => toRow(group, repeated));
}

function toRow(rounds: readonly Round[], repeated: Repeated): Row {
  const { target, pattern, clients } = rounds[0]!;
  const rates = rounds.map((round) => round.perSecond);
  const known = (figure: (round: Round) => number | undefined) => {
    const each = rounds.map(figure).filter((value) => value !== undefined);
    return each.length === 0 ? undefined : median(each);
  };
  const sum = (count: (round: Round) => number) => rounds.reduce((total, round) => total + count(round), 0);
  return {
    target,
    pattern,
    clients,
    rounds: rounds.length,
    perSecond: median(rates),
    perSecondRange: [Math.min(...rates), Math.max(...rates)],
    p50Ms: median(rounds.map((round) => round.p50Ms)),
    p99Ms: median(rounds.map((round) => round.p99Ms)),
    cpuMsEach: known((round) => round.cpuMsEach),
    commitsEach: known((round) => round.commitsEach),
    acknowledged: sum((round) => round.acknowledged),
    lost: sum((round) => round.lost),
    errors: sum((round) => round.errors),
    repeated: sum((round) => repeated(...round.indices)),
  };
}

/** Of an even number of values the mean of the two in the middle; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)] ?? Number.NaN;
  return Number.isInteger(middle) ? ((sorted[middle - 1] ?? Number.NaN) + upper) / 2 : upper;
}

/** One line a row; `×` columns are this row's figure divided by that of the first target under the same load. */
export function toMarkdown(rows: readonly Row[], machine: Machine): string {
  const head = ["pattern", "clients", "target", "done/s", "(min–max)", "×", "p50 ms", "p99 ms", "× p99", "CPU ms each"];
  const heads = [...head, "× CPU", "commits each", "acknowledged", "lost", "errors", "repeated calls"];
  const lines = rows.map((row) => {
    const base = rows.find((other) => other.pattern === row.pattern && other.clients === row.clients) ?? row;
    return [
      row.pattern,
      row.clients,
      row.target,
      show(row.perSecond),
      `${show(row.perSecondRange[0])}–${show(row.perSecondRange[1])}`,
      show(row.perSecond / base.perSecond),
      show(row.p50Ms),
      show(row.p99Ms),
      show(row.p99Ms / base.p99Ms),
      show(row.cpuMsEach),
      row.cpuMsEach === undefined || base.cpuMsEach === undefined ? "–" : show(row.cpuMsEach / base.cpuMsEach),
      show(row.commitsEach),
      row.acknowledged,
      row.lost,
      row.errors,
      row.repeated,
    ];
  });
  const table = [heads, heads.map((name, at) => (at === 0 || at === 2 || name === "" ? "---" : "--:")), ...lines];
  const { cores, cpu, kernel, node, loadBefore } = machine;
  const machineLine = `${cores} × ${cpu}, Linux ${kernel}, Node ${node}, load before ${loadBefore.join(" ")}`;
  return `${machineLine}\n\n${table.map((cells) => `| ${cells.join(" | ")} |`).join("\n")}\n`;
}

/** Three significant digits, so that noise doesn't look like news. */
function show(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return "–";
  return value >= 1_000 ? Math.round(value).toString() : Number(value.toPrecision(3)).toString();
}
