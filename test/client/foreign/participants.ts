// DTM's own clients of other languages as programs that handle one delivery each: STORE PORT TYPE GID BRANCH OP. They
// are fetched and built in a folder of their own.

import { execFile } from "node:child_process";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { findProgram } from "../../servers/binaries.js";
import type { ServerKind } from "../../servers.js";

const run = promisify(execFile);
const sources = "test/client/foreign";

/** A client of another language. */
export interface Foreign {
  readonly name: string;
  /** As it signs its effects. */
  readonly who: "go" | "python";
  /** What must be installed here. */
  readonly program: string;
  build(): Promise<ForeignParticipant>;
}

/** A database by its kind and port on this machine. */
export interface Place {
  readonly kind: ServerKind;
  readonly port: number;
}

/** A program that is built. */
export interface ForeignParticipant {
  /** Handles one delivery, op `check` as a check-back; rejects with what the program said. */
  deliver(at: Place, type: string, gid: string, branchId: string, op: string): Promise<void>;
  remove(): Promise<void>;
}

/** Builds in `folder`; resolves to the command of one delivery. */
type Build = (folder: string) => Promise<readonly string[]>;

async function buildGo(folder: string): Promise<readonly string[]> {
  const env = { ...process.env, GOFLAGS: "-mod=mod" };
  await cp(join(sources, "go"), folder, { recursive: true });
  await run("go", ["build", "-buildvcs=false", "-o", "participant", "."], { cwd: folder, env });
  return [join(folder, "participant")];
}

async function buildPython(folder: string): Promise<readonly string[]> {
  await cp(join(sources, "python"), folder, { recursive: true });
  await run("python3", ["-m", "venv", "venv"], { cwd: folder });
  await run("venv/bin/pip", ["install", "-q", "-r", "requirements.txt"], { cwd: folder });
  return [join(folder, "venv/bin/python"), join(folder, "participant.py")];
}

const builder = (build: Build) => async (): Promise<ForeignParticipant> => {
  const folder = await mkdtemp(join(tmpdir(), "tandem-foreign-"));
  const [program = "", ...first] = await build(folder);
  return {
    async deliver({ kind, port }, ...ids) {
      await run(program, [...first, kind, String(port), ...ids]);
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
};

/** The clients there are. */
export const foreigners: readonly Foreign[] = [
  { name: "DTM's Go client", who: "go", program: "go", build: builder(buildGo) },
  { name: "DTM's Python client", who: "python", program: "python3", build: builder(buildPython) },
];

/** Those that can be built here; says aloud which are skipped. */
export async function buildable(): Promise<readonly Foreign[]> {
  const found = await Promise.all(foreigners.map(async ({ program }) => (await findProgram(program)) !== undefined));
  for (const [index, { name, program }] of foreigners.entries()) {
    if (!found[index]) process.stderr.write(`\n*** SKIPPED: ${name} beside our barrier: there is no ${program} ***\n`);
  }
  return foreigners.filter((_, index) => found[index]);
}
