/**
 * Where mutants are made and judged: temporary copies of the tree, in which one file is broken at a time and the named
 * tests run. The tree itself is never touched.
 */
import { execFileSync, spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Mutant, occurrences, type Verdict } from "./mutant.js";

/** After that a run is ended; a break that makes a test endless is "did not run", and wants a better test. */
const longestMs = 150_000;

/** All tests of the table one after the other, unbroken. */
const unbrokenMs = 900_000;

/** The tree that the mutants are made of. */
export const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

/** A judged mutant. */
export interface Judged {
  readonly mutant: Mutant;
  readonly verdict: Verdict;
  /** Names of the tests that failed. */
  readonly failed: readonly string[];
}

interface Outcome {
  readonly passed: number;
  readonly failed: readonly string[];
}

/** What is read of vitest's JSON report. */
interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

/** One copy of the tree. */
export class Workshop {
  readonly #folder: string;

  constructor() {
    this.#folder = realpathSync(mkdtempSync(join(tmpdir(), "tandem-mutants-")));
    const listing = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
    const files = execFileSync("git", listing, { cwd: root, encoding: "utf8" }).split("\0");
    const wanted = files.filter((path) => /^(src|cluster|test|proto)\/|^[^/]+\.(json|ts)$/.test(path));
    for (const path of wanted) cpSync(join(root, path), join(this.#folder, path), { force: true });
    symlinkSync(realpathSync(join(root, "node_modules")), join(this.#folder, "node_modules"), "dir");
  }

  /** Breaks, tests, mends. */
  async judge(mutant: Mutant): Promise<Judged> {
    const path = join(this.#folder, mutant.file);
    const text = readFileSync(path, "utf8");
    if (occurrences(text, mutant.find) !== 1) return { mutant, verdict: "does not apply", failed: [] };
    writeFileSync(
      path,
      text.replace(mutant.find, () => mutant.replace),
    );
    try {
      const outcome = await this.run(mutant.tests);
      return { mutant, verdict: verdictOf(mutant, outcome), failed: outcome?.failed ?? [] };
    } finally {
      writeFileSync(path, text);
    }
  }

  /** Runs test files in this copy; `undefined` when they could not be run. */
  async run(tests: readonly string[], withinMs = longestMs): Promise<Outcome | undefined> {
    const report = join(this.#folder, "report.json");
    rmSync(report, { force: true });
    const program = join(this.#folder, "node_modules", "vitest", "vitest.mjs");
    const flags = ["run", "--reporter=json", `--outputFile=${report}`, "--maxWorkers=1", "--testTimeout=20000"];
    await new Promise<void>((resolve, reject) => {
      const options = { cwd: this.#folder, stdio: "ignore", timeout: withinMs, killSignal: "SIGKILL" } as const;
      const child = spawn(process.execPath, [program, ...flags, ...tests], options);
      child.once("error", reject);
      child.once("exit", () => resolve());
    });
    return read(report);
  }

  /** Removes the copy. */
  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function read(report: string): Outcome | undefined {
  try {
    const { testResults } = JSON.parse(readFileSync(report, "utf8")) as Report;
    const results = testResults.flatMap(({ assertionResults }) => assertionResults);
    const failed = results.filter(({ status }) => status === "failed").map(({ fullName }) => fullName);
    return { passed: results.filter(({ status }) => status === "passed").length, failed };
  } catch {
    return undefined;
  }
}

/** A file that does not even load kills nothing: it would "fail" for any mutant. */
function verdictOf({ rule }: Mutant, outcome: Outcome | undefined): Verdict {
  if (outcome === undefined || outcome.passed + outcome.failed.length === 0) return "tests did not run";
  if (outcome.failed.length === 0) return "survived";
  return outcome.failed.some((name) => name.includes(rule)) ? "killed" : "killed by other tests only";
}

/**
 * Judges all mutants, several copies at a time, after seeing that the named tests pass unbroken.
 * @throws when they do not, since then every mutant would seem killed
 */
export async function judgeAll(
  mutants: readonly Mutant[],
  copies: number,
  told: (judged: Judged) => void = () => {},
): Promise<readonly Judged[]> {
  const workshops = Array.from({ length: Math.min(copies, mutants.length) }, () => new Workshop());
  try {
    const tests = [...new Set(mutants.flatMap((mutant) => mutant.tests))];
    const unbroken = await workshops[0]!.run(tests, unbrokenMs);
    if (unbroken === undefined || unbroken.passed === 0 || unbroken.failed.length > 0)
      throw new Error(`the tests fail unbroken: ${unbroken?.failed.join("; ") ?? "they did not run"}`);
    const queue = [...mutants];
    const all: Judged[] = [];
    const work = async (workshop: Workshop) => {
      for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
        const judged = await workshop.judge(mutant);
        all.push(judged);
        told(judged);
      }
    };
    await Promise.all(workshops.map(work));
    return all;
  } finally {
    for (const workshop of workshops) workshop.close();
  }
}
