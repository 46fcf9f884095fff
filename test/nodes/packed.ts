// The package as its users get it: packed, installed into an empty folder, and the newcomer's page run from there, word
// for word. Finds what a checkout hides: a file that `files` leaves out, an export that leads nowhere, a dependency
// that only development has.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "..", "..");
const quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"];
const expected = [/status: 'succeeded'\s*\} books left: 3/, /status: 'failed'.*card refused.*books left: 3/s];

/** What the page prints as its program. */
function newcomersProgram(): string {
  const page = readFileSync(join(root, "docs", "client", "getting-started.md"), "utf8");
  return /```ts\n([\s\S]*?)```/.exec(page)?.[1] ?? "";
}

/** Entries that `package.json` promises, as a program imports them; those whose peers the folder lacks are left out. */
function promised(): readonly string[] {
  const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { exports: object };
  const withPeers = new Set(["./grpc", "./nest", "./opentelemetry"]);
  return Object.keys(exports).flatMap((path) => (withPeers.has(path) ? [] : [`tandem${path.slice(1)}`]));
}

/** Packs, installs and runs under `node`, which must be built for; resolves to what is wrong. */
export function testPacked(node = process.execPath): readonly string[] {
  const folder = mkdtempSync(join(tmpdir(), "tandem-packed-"));
  const run = (program: string, args: readonly string[], cwd = folder) =>
    execFileSync(program, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  try {
    const packed = run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], root);
    const [{ filename }] = JSON.parse(packed) as [{ filename: string }];
    writeFileSync(join(folder, "package.json"), '{"name": "newcomer", "private": true, "type": "module"}');
    run("npm", ["install", ...quiet, join(folder, filename), "fastify", "tsx"]);
    writeFileSync(join(folder, "first.mts"), newcomersProgram());
    const said = run(node, ["--import", "tsx", "first.mts"]);
    const lines = promised().map((name) => `await import(${JSON.stringify(name)});`);
    writeFileSync(join(folder, "entries.mjs"), `${lines.join("\n")}\nprocess.exit(0);\n`);
    run(node, ["entries.mjs"]);
    const version = run(node, [join("node_modules", "tandem", "dist", "cluster", "main.js"), "--version"]);
    const tool = /\d+\.\d+/.test(version) ? [] : [`tandem --version says ${version}`];
    return [...expected.filter((line) => !line.test(said)).map((line) => `${line} is not in ${said}`), ...tool];
  } catch (error) {
    return [String(error)];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
