// Postgres for tests: user postgres without password on 127.0.0.1. It refuses to run as root, so root lends it another
// user.
import { execFile } from "node:child_process";
import { chown } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { Client } from "pg";
import { findBinary, findProgram, urlFromEnvironment } from "./binaries.js";
import { foreignServer, freePort, makeFolder, run, type Server } from "./program.js";

const execute = promisify(execFile);

/** What a suite may ask of its Postgres. */
export interface PostgresOptions {
  /** A server of the suite's own, although one is given by the environment: for suites that kill or restart it. */
  readonly own?: boolean;
  /** Further settings, each `name=value`. Prepared transactions are switched on already. Implies `own`. */
  readonly settings?: readonly string[];
}

/** Starts Postgres with a fresh cluster. Rejects when none can be had; ask `available("postgres")` first. */
export async function startPostgres(options: PostgresOptions = {}): Promise<Server> {
  const given = urlFromEnvironment("postgres");
  if (given !== undefined && options.own !== true && options.settings === undefined) return foreignServer(given, 5432);
  const command = await findBinary("postgres");
  if (command === undefined) throw new Error("no Postgres here");
  const initdb = await findProgram("initdb", [dirname(command)]);
  if (initdb === undefined) throw new Error(`no initdb on PATH or beside ${command}`);
  const folder = await makeFolder("postgres");
  const uid = await unprivilegedUser();
  if (uid !== undefined) await chown(folder, uid, uid);
  const data = join(folder, "data");
  await execute(initdb, ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"], { uid, cwd: folder });
  const port = await freePort();
  const settings = ["listen_addresses=127.0.0.1", "max_prepared_transactions=100", ...(options.settings ?? [])];
  const args = ["-D", data, "-p", String(port), "-k", folder, ...settings.flatMap((setting) => ["-c", setting])];
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  return run({ name: "Postgres", command, args, folder, port, url, uid, ready: () => ping(url) });
}

async function ping(url: string): Promise<void> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  client.on("error", () => {});
  await client.connect();
  await client.query("SELECT 1");
  await client.end();
}

/** The user `postgres`, else `nobody`; `undefined` when we are not root and stay who we are. */
async function unprivilegedUser(): Promise<number | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const asked = await execute("id", ["-u", "postgres"]).catch(() => execute("id", ["-u", "nobody"]));
  return Number(asked.stdout.trim());
}
