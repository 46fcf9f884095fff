// Finds the program of a server: path from the environment, PATH and the system folders, else installed by apt-get.
// Where none of these works the reason is printed, and suites that need the server are skipped (and counted as
// skipped).
import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access, mkdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** The servers that tests know how to start. */
export type ServerKind = "mysql" | "nats" | "redis" | "postgres";

interface Source {
  /** Names to look for, best first. */
  readonly programs: readonly string[];
  readonly aptPackage: string;
  readonly folders: readonly string[];
}

const sources: Readonly<Record<ServerKind, Source>> = {
  mysql: { programs: ["mariadbd", "mysqld"], aptPackage: "mariadb-server", folders: ["/usr/libexec"] },
  nats: { programs: ["nats-server"], aptPackage: "nats-server", folders: [] },
  redis: { programs: ["redis-server"], aptPackage: "redis-server", folders: [] },
  postgres: {
    programs: ["postgres"],
    aptPackage: "postgresql",
    folders: ["17", "16", "15", "14"].map((version) => `/usr/lib/postgresql/${version}/bin`),
  },
};

const systemFolders = ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin"];
const aptLock = join(tmpdir(), "tandem-apt.lock");
const aptWithinMs = 6 * 60_000;

/**
 * Address of a running server from the environment (`TANDEM_TEST_MYSQL_URL`, `TANDEM_TEST_NATS_URL`, …), if there is
 * one.
 */
export function urlFromEnvironment(kind: ServerKind): string | undefined {
  return process.env[`TANDEM_TEST_${kind.toUpperCase()}_URL`] || undefined;
}

/**
 * Path of the server's program, installed first if need be; `undefined` when it can't be had, after saying so on
 * stderr.
 * `TANDEM_TEST_MYSQL_BINARY` and the like win; set to the empty string the server counts as not there.
 */
export async function findBinary(kind: ServerKind): Promise<string | undefined> {
  const given = process.env[`TANDEM_TEST_${kind.toUpperCase()}_BINARY`];
  if (given !== undefined) return given === "" ? unavailable(kind, "switched off by the environment") : given;
  const found = await findInstalled(kind);
  if (found !== undefined) return found;
  const problem = await installByApt(sources[kind].aptPackage);
  return (await findInstalled(kind)) ?? unavailable(kind, problem ?? "apt-get installed no program of that name");
}

/**
 * Whether tests of this server can run here, by its address or by its program (which is installed when it is missing).
 * For `describe.runIf(await available("mysql"))`; a "no" was explained on stderr.
 */
export async function available(kind: ServerKind): Promise<boolean> {
  return urlFromEnvironment(kind) !== undefined || (await findBinary(kind)) !== undefined;
}

/** Path of a program by its name on PATH, in the system folders or in `more`; `undefined` when it is nowhere. */
export async function findProgram(name: string, more: readonly string[] = []): Promise<string | undefined> {
  const folders = [...(process.env.PATH ?? "").split(delimiter), ...systemFolders, ...more];
  for (const folder of folders) {
    const path = join(folder, name);
    if (folder !== "" && (await isExecutable(path))) return path;
  }
  return undefined;
}

async function findInstalled(kind: ServerKind): Promise<string | undefined> {
  for (const name of sources[kind].programs) {
    const path = await findProgram(name, sources[kind].folders);
    if (path !== undefined) return path;
  }
  return undefined;
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function unavailable(kind: ServerKind, why: string): undefined {
  process.stderr.write(`\n*** SKIPPED: no ${kind} server: ${why}. Set TANDEM_TEST_${kind.toUpperCase()}_URL. ***\n`);
  return undefined;
}

/**
 * Installs a package; returns what went wrong, or `undefined`. One process at a time, the others wait and look again.
 */
async function installByApt(name: string): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return "not installed, and only root can install it";
  if ((await findProgram("apt-get")) === undefined) return "not installed, and there is no apt-get";
  const deadline = Date.now() + aptWithinMs;
  while (!(await takeLock(deadline))) await delay(500);
  try {
    process.stderr.write(`installing ${name} by apt-get …\n`);
    await apt(["update"]);
    await apt(["install", "-y", "--no-install-recommends", name]);
    return undefined;
  } catch (cause) {
    return `apt-get could not install ${name}: ${cause instanceof Error ? cause.message.slice(-500) : String(cause)}`;
  } finally {
    await rm(aptLock, { recursive: true, force: true });
  }
}

async function takeLock(deadline: number): Promise<boolean> {
  try {
    await mkdir(aptLock);
    return true;
  } catch {
    const since = await stat(aptLock).then(
      (s) => s.mtimeMs,
      () => Date.now(),
    );
    const stale = Date.now() - since > aptWithinMs || Date.now() > deadline;
    if (stale) await rm(aptLock, { recursive: true, force: true });
    return false;
  }
}

/** RUNLEVEL=1 keeps the package's own scripts from starting the server as a service. */
function apt(args: readonly string[]): Promise<void> {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  return new Promise((resolve, reject) => {
    execFile("apt-get", ["-q", ...args], { env, timeout: aptWithinMs, maxBuffer: 64 << 20 }, (problem, _out, err) =>
      problem === null ? resolve() : reject(new Error(`${problem.message}\n${err}`)),
    );
  });
}
