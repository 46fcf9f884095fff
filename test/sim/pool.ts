/**
 * Many seeds on many cores: the simulation is bundled once into a temporary file, and processes run it. A break of the
 * source may be planted into the bundle, so that the simulation itself is put to the test (`test/mutants`).
 */
import { type ChildProcess, fork } from "node:child_process";
import { mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { optionsOf, type Schedule } from "./schedule.js";
import type { RunOptions } from "./simulate.js";
import type { Order, Report } from "./worker.js";

const root = join(fileURLToPath(import.meta.url), "..", "..", "..");

/** Nearly all that a run makes is garbage soon: with more room for what is young there is less to be copied. */
const youngSpace = ["--max-semi-space-size=64"];

/** A change of one source file, made in the bundle only. */
export interface Planted {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/** How to run. */
export interface PoolOptions {
  readonly workers: number;
  /** Leave the machine to others. */
  readonly nice: boolean;
  readonly planted?: Planted;
  readonly run: RunOptions;
  /** A run that takes longer than this (real milliseconds) counts as a violation: it hangs. */
  readonly longestMs: number;
}

/** Runs seeds and kept runs from `next` until it gives none; all reports are told. Stops early when `told` says so. */
export async function runSeeds(
  next: () => number | Schedule | undefined,
  told: (report: Report) => "go on" | "stop",
  options: PoolOptions,
): Promise<void> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "tandem-sim-")));
  const children = new Set<ChildProcess>();
  try {
    symlinkSync(realpathSync(join(root, "node_modules")), join(folder, "node_modules"), "dir");
    const bundle = join(folder, "worker.mjs");
    await bundleTo(bundle, options.planted);
    let stopped = false;
    const work = async () => {
      let child = start(bundle, options, children);
      for (let run = next(); run !== undefined && !stopped; run = next()) {
        const [seed, its] = typeof run === "number" ? [run, {}] : [run.seed, optionsOf(run)];
        const report = await ask(child, { seed, options: { ...options.run, ...its } }, options.longestMs);
        if (report.hash === "") {
          child.kill("SIGKILL");
          child = start(bundle, options, children);
        }
        if (told(report) === "stop") stopped = true;
      }
    };
    await Promise.all(Array.from({ length: options.workers }, work));
  } finally {
    for (const child of children) child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }
}

function start(bundle: string, { nice }: PoolOptions, children: Set<ChildProcess>): ChildProcess {
  const child = fork(bundle, nice ? ["--nice"] : [], { execArgv: [...youngSpace], serialization: "advanced" });
  children.add(child);
  child.once("exit", () => children.delete(child));
  return child;
}

function ask(child: ChildProcess, order: Order, longestMs: number): Promise<Report> {
  return new Promise((resolve) => {
    const settle = (report: Report) => {
      clearTimeout(timer);
      child.off("message", settle);
      child.off("exit", died);
      resolve(report);
    };
    const failed = (text: string): Report => ({
      ...{ seed: order.seed, hash: "", faults: [], counts: [], steps: 0, replayed: false },
      ...{ transactions: 0, branches: 0, cpuMs: 0 },
      violations: [text],
    });
    const died = (code: number | null) => settle(failed(`bug: the process ended with ${code}`));
    const timer = setTimeout(() => settle(failed(`L1: the run does not end within ${longestMs} ms`)), longestMs);
    child.on("message", settle);
    child.on("exit", died);
    child.send(order);
  });
}

async function bundleTo(outfile: string, planted: Planted | undefined): Promise<void> {
  const plant = planted && {
    name: "planted",
    setup(bundler: Parameters<NonNullable<Parameters<typeof build>[0]["plugins"]>[number]["setup"]>[0]) {
      bundler.onLoad({ filter: /\.ts$/ }, ({ path }) => {
        if (path !== join(root, planted.file)) return undefined;
        const text = readFileSync(path, "utf8");
        if (text.split(planted.find).length !== 2) throw new Error(`${planted.file}: the text stands there not once`);
        return { contents: text.replace(planted.find, () => planted.replace), loader: "ts" as const };
      });
    },
  };
  await build({
    entryPoints: [join(root, "test", "sim", "worker.ts")],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    external: ["msgpackr"],
    logLevel: "silent",
    plugins: plant === undefined ? [] : [plant],
  });
}
