/**
 * A process that runs the seeds it is sent, one after the other. Every hundredth seed runs twice and must leave the
 * same trace.
 */
import { setPriority } from "node:os";
import { type RunOptions, type RunResult, simulate } from "./simulate.js";

/** What a worker is sent. */
export interface Order {
  readonly seed: number;
  readonly options: RunOptions;
}

/** What it sends back; of the counts the entries. */
export interface Report extends Omit<RunResult, "counts" | "story"> {
  readonly counts: readonly (readonly [string, number])[];
  readonly replayed: boolean;
  /** What the run took of a core, without its replay. */
  readonly cpuMs: number;
}

/** One seed in this many is run twice. */
const replayEvery = 100;

async function run({ seed, options }: Order): Promise<Report> {
  const begun = process.cpuUsage();
  const { story: _, ...result } = await simulate(seed, options).catch((cause: unknown) => broken(seed, cause));
  const { user, system } = process.cpuUsage(begun);
  const replayed = seed % replayEvery === 0;
  const again = replayed ? (await simulate(seed, options)).hash : result.hash;
  const strayed = again === result.hash ? [] : [`REPLAY: hash ${result.hash}, then ${again}`];
  const violations = [...result.violations, ...strayed];
  return { ...result, counts: [...result.counts], violations, replayed, cpuMs: (user + system) / 1000 };
}

/** An exception that nothing caught is a violation like any other. */
function broken(seed: number, cause: unknown): RunResult {
  const text = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
  const nothing = { hash: "", faults: [], transactions: 0, branches: 0, counts: new Map(), steps: 0, story: [] };
  return { ...nothing, seed, violations: [`bug: ${text}`] };
}

if (process.argv.includes("--nice")) setPriority(19);
process.on("message", (order: Order) => {
  void run(order).then((report) => process.send?.(report));
});
process.on("disconnect", () => process.exit());
