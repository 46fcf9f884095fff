// MariaDB (or MySQL) for tests: user root without password on 127.0.0.1, durable as in production.
// A freshly initialised data folder is kept as a template in the temporary folder and copied, which makes a start take
// about a second.
import { execFile } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { cp, mkdtemp, rename, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { createConnection } from "mysql2/promise";
import { findBinary, findProgram, urlFromEnvironment } from "./binaries.js";
import { foreignServer, freePort, makeFolder, run, type Server } from "./program.js";

const execute = promisify(execFile);

/** What a suite may ask of its MariaDB. */
export interface MariadbOptions {
  /** A server of the suite's own, although one is given by the environment: for suites that kill or restart it. */
  readonly own?: boolean;
  /** Further flags of `mariadbd`, for example `--max-allowed-packet=1M`. They come last and win, and imply `own`. */
  readonly args?: readonly string[];
}

/** Starts MariaDB, every commit flushed to disk. Rejects when none can be had; ask `available("mysql")` first. */
export async function startMariadb(options: MariadbOptions = {}): Promise<Server> {
  const given = urlFromEnvironment("mysql");
  if (given !== undefined && options.own !== true && options.args === undefined) return foreignServer(given, 3306);
  const binary = await findBinary("mysql");
  if (binary === undefined) throw new Error("no MariaDB or MySQL here");
  const template = await ensureTemplate(binary);
  const folder = await makeFolder("mysql");
  const data = join(folder, "data");
  await cp(template, data, { recursive: true });
  const port = await freePort();
  const url = `mysql://root@127.0.0.1:${port}`;
  const args = [
    "--no-defaults",
    `--datadir=${data}`,
    `--tmpdir=${folder}`, // servers that start clear away the temporary tables of others in a common one
    `--port=${port}`,
    "--bind-address=127.0.0.1",
    `--socket=${join(folder, "s")}`,
    `--pid-file=${join(folder, "pid")}`,
    "--skip-name-resolve",
    "--skip-log-bin",
    "--max-connections=1000",
    "--innodb-flush-log-at-trx-commit=1",
    ...runAsRoot(),
    ...(options.args ?? []),
  ];
  return run({ name: "MariaDB", command: binary, args, folder, port, url, ready: () => ping(url) });
}

/** A database of its own name for one suite; `url` is the server's with the database's name as path. */
export interface Database {
  readonly url: string;
  readonly name: string;
  drop(): Promise<void>;
}

/** Makes an empty database on the server, so that suites sharing a server don't meet. */
export async function makeDatabase(server: Pick<Server, "url">): Promise<Database> {
  const name = `tandem_${randomUUID().replaceAll("-", "")}`;
  const administer = async (sql: string): Promise<void> => {
    const connection = await createConnection(new URL("/", server.url).href);
    await connection.query(sql);
    await connection.end();
  };
  await administer(`CREATE DATABASE ${name}`);
  const url = new URL(server.url);
  url.pathname = `/${name}`;
  return { url: url.href, name, drop: () => administer(`DROP DATABASE IF EXISTS ${name}`) };
}

async function ping(url: string): Promise<void> {
  const connection = await createConnection({ uri: url, connectTimeout: 2_000 });
  await connection.query("SELECT 1");
  await connection.end();
}

function runAsRoot(): readonly string[] {
  return process.getuid?.() === 0 ? ["--user=root"] : [];
}

/** Made in a folder of a random name and renamed, so that processes that start at once can't see half of one. */
async function ensureTemplate(binary: string): Promise<string> {
  const { stdout } = await execute(binary, ["--no-defaults", "--version"]);
  const key = createHash("sha256").update(`${stdout}${process.getuid?.()}`).digest("hex").slice(0, 12);
  const template = join(tmpdir(), `tandem-mysql-template-${key}`);
  if (await exists(template)) return template;
  const folder = await mkdtemp(join(tmpdir(), "tandem-mysql-init-"));
  try {
    const data = join(folder, "data");
    await initialise(binary, stdout.includes("MariaDB"), data);
    await rename(data, template).catch(async (cause) => {
      if (!(await exists(template))) throw cause;
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return template;
}

async function initialise(binary: string, isMariadb: boolean, data: string): Promise<void> {
  if (!isMariadb) {
    await execute(binary, ["--no-defaults", "--initialize-insecure", `--datadir=${data}`, ...runAsRoot()]);
    return;
  }
  const beside = [dirname(binary), join(dirname(binary), "..", "bin"), join(dirname(binary), "..", "scripts")];
  const script = await findProgram("mariadb-install-db", beside);
  if (script === undefined) throw new Error(`no mariadb-install-db on PATH or beside ${binary}`);
  const user = process.getuid?.() === 0 ? "root" : (process.env.USER ?? "nobody");
  const flags = ["--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-log-file-size=8M"];
  await execute(script, ["--no-defaults", `--user=${user}`, `--datadir=${data}`, ...flags], { maxBuffer: 16 << 20 });
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
