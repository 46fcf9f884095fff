// What `npm test` runs after the build: starts the servers that tests share, runs the projects `unit` and
// `integration` one after the other, and closes with "N passed, N failed" (", N skipped" when there were any).
// Arguments go to vitest (file filters). A file that can't be loaded, a crash of the runner and running out of time
// each count as one failure.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { available, type Server, type ServerKind, startMariadb, startNats } from "./servers.js";

/** Two minutes below what the whole of `npm test` may take, for installing and building come before. */
const allWithinMs = 18 * 60_000;
const projects = ["unit", "integration"] as const;
const shared: readonly (readonly [ServerKind, () => Promise<Server>])[] = [
  ["mysql", startMariadb],
  ["nats", startNats],
];

interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** The part of vitest's JSON report that is read. */
interface Report {
  readonly testResults: readonly {
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string }[];
  }[];
}

/**
 * Sets the addresses for the tests; a server that can't be had is left out, and its suites say that they are
 * skipped.
 */
async function startShared(): Promise<readonly Server[]> {
  const servers = await Promise.all(
    shared.map(async ([kind, start]) => {
      if (!(await available(kind))) return undefined;
      const server = await start();
      process.env[`TANDEM_TEST_${kind.toUpperCase()}_URL`] = server.url;
      return server;
    }),
  );
  return servers.filter((server) => server !== undefined);
}

/** Runs one project; resolves with the exit code, or `undefined` when it was killed because time ran out. */
function vitest(project: string, outputFile: string, deadline: number): Promise<number | undefined> {
  const flags = ["run", "--project", project, "--passWithNoTests", "--reporter=default", "--reporter=json"];
  const program = join(import.meta.dirname, "..", "node_modules", "vitest", "vitest.mjs");
  const args = [program, ...flags, `--outputFile.json=${outputFile}`, ...process.argv.slice(2)];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: "inherit" });
    const timer = setTimeout(() => child.kill("SIGKILL"), Math.max(0, deadline - Date.now()));
    child.once("error", reject);
    child.once("exit", (code) => {
      clearTimeout(timer);
      resolve(code ?? undefined);
    });
  });
}

function readReport(path: string): Report | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

/** A report that says success although the runner's exit code does not (an unhandled error) has one failure more. */
function count(report: Report | undefined, exitCode: number | undefined): Tally {
  if (report === undefined) return { passed: 0, failed: 1, skipped: 0 };
  const statuses = report.testResults.flatMap((file) => file.assertionResults.map((test) => test.status));
  const broken = report.testResults.filter(
    (file) => file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed"),
  ).length;
  const passed = statuses.filter((status) => status === "passed").length;
  const failed = statuses.filter((status) => status === "failed").length + broken;
  const crashed = exitCode !== 0 && failed === 0 ? 1 : 0;
  return { passed, failed: failed + crashed, skipped: statuses.length - passed - (failed - broken) };
}

async function runAll(folder: string): Promise<Tally> {
  const deadline = Date.now() + allWithinMs;
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const project of projects) {
    const outputFile = join(folder, `${project}.json`);
    const exitCode = await vitest(project, outputFile, deadline);
    if (exitCode === undefined)
      process.stderr.write(`\n*** ${project} was ended after ${allWithinMs / 60_000} minutes ***\n`);
    const tally = count(readReport(outputFile), exitCode);
    total.passed += tally.passed;
    total.failed += tally.failed;
    total.skipped += tally.skipped;
  }
  return total;
}

const folder = mkdtempSync(join(tmpdir(), "tandem-test-"));
const servers = await startShared();
const { passed, failed, skipped } = await runAll(folder);
for (const server of servers) await server.stop();
rmSync(folder, { recursive: true, force: true });
process.stdout.write(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}\n`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
