// The black-box conformance kits (DTM's own clients in Go, Python and Java, and one that speaks the wire by itself):
// how each is run. A kit is a folder that is only read; it is copied to a place of its own, for building writes into
// it.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createWriteStream, existsSync } from "node:fs";
import { cp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** What the kits are pointed at. */
export interface Surroundings {
  /** Base of the HTTP API, `http://127.0.0.1:36789/api/dtmsvr`. */
  readonly http: string;
  /** `host:port`; `undefined` leaves all cases over gRPC out. */
  readonly grpc: string | undefined;
  /** HTTP and gRPC of a second node of the same cluster, for cases that need two. */
  readonly second: { readonly http: string; readonly grpc: string } | undefined;
  readonly mysqlPort: number;
  readonly redisPort: number;
  /** Whose behaviour is expected where Tandem differs from DTM on purpose. */
  readonly as: "ours" | "dtm";
  /** Shell command that kills the server and starts it again. */
  readonly restart: string | undefined;
  /** Regular expression on the names of cases. */
  readonly only: string | undefined;
}

/** How a kit ended. `closing` is its last line, normally `N passed, N failed`. */
export interface Ending {
  readonly kit: string;
  readonly closing: string;
  readonly passed: boolean;
}

interface Step {
  readonly command: string;
  readonly args: readonly string[];
}

/** The steps of one kit, run in the copy of its folder; the last one prints the cases. */
type Kit = (around: Surroundings, folder: string) => Promise<readonly Step[]>;

const kits: Readonly<Record<string, Kit>> = { go, "go-official": goOfficial, python, java };

/** Folders that a kit's build looks for beside its own. */
const siblings: Readonly<Record<string, readonly string[]>> = { "go-official": ["go"] };

/** Names of the kits that the folder holds, in the order in which they are to be run. */
export function kitsIn(folder: string): readonly string[] {
  return Object.keys(kits).filter((name) => existsSync(join(folder, name)));
}

/** Runs one kit; its complete output goes to `FOLDER/NAME.log`, its failures to stdout as they come. */
export async function runKit(name: string, from: string, to: string, around: Surroundings): Promise<Ending> {
  const kit = kits[name];
  if (kit === undefined) throw new Error(`no kit '${name}', only ${Object.keys(kits).join(", ")}`);
  const folder = join(to, name);
  for (const part of [name, ...(siblings[name] ?? [])]) await cp(join(from, part), join(to, part), { recursive: true });
  let ending: Ending = { kit: name, closing: "did not start", passed: false };
  for (const step of await kit(around, folder)) {
    const { closing, passed } = await runStep(step, folder, join(to, `${name}.log`));
    ending = { kit: name, closing, passed };
    if (!passed) break;
  }
  return ending;
}

function runStep({ command, args }: Step, cwd: string, logPath: string): Promise<Omit<Ending, "kit">> {
  const log = createWriteStream(logPath, { flags: "a" });
  const child = spawn(command, [...args], { cwd, stdio: ["ignore", "pipe", "pipe"] });
  let closing = "";
  createInterface(child.stdout).on("line", (line) => {
    if (line.trim() !== "") closing = line;
    if (line.startsWith("FAIL")) process.stdout.write(`${line}\n`);
    log.write(`${line}\n`);
  });
  child.stderr.pipe(log, { end: false });
  return new Promise((resolve) => {
    child.once("error", (cause) => resolve({ closing: `${command}: ${cause.message}`, passed: false }));
    child.once("close", (code) => {
      log.end();
      resolve({
        closing: closing === "" ? `${command} ended with ${code}, see ${logPath}` : closing,
        passed: code === 0,
      });
    });
  });
}

function goFlags(around: Surroundings, database: string): readonly string[] {
  const dsn = `root@tcp(127.0.0.1:${around.mysqlPort})/${database}`;
  return ["-http", around.http, "-mysql", dsn, "-as", around.as];
}

async function go(around: Surroundings): Promise<readonly Step[]> {
  const args = [...goFlags(around, "kit_go"), "-grpc", around.grpc ?? "", "-redis", `127.0.0.1:${around.redisPort}`];
  if (around.only !== undefined) args.push("-run", around.only);
  if (around.restart !== undefined) args.push("-restart", around.restart);
  if (around.second !== undefined) args.push("-http2", around.second.http, "-grpc2", around.second.grpc);
  return goSteps(args);
}

/** Each case exists twice, as `http_…` and `grpc_…`. */
async function goOfficial(around: Surroundings): Promise<readonly Step[]> {
  const args = [...goFlags(around, "kit_go_official")];
  const only = around.only ?? (around.grpc === undefined ? "^http_" : undefined);
  if (around.grpc !== undefined) args.push("-grpc", around.grpc);
  if (only !== undefined) args.push("-run", only);
  return goSteps(args);
}

function goSteps(args: readonly string[]): readonly Step[] {
  return [
    { command: "go", args: ["build", "-buildvcs=false", "-o", "kit.bin", "."] },
    { command: "./kit.bin", args },
  ];
}

/** The virtual environment is kept between runs, by the text of the kit's requirements. */
async function python(around: Surroundings, folder: string): Promise<readonly Step[]> {
  const requirements = join(folder, "requirements.txt");
  const key = createHash("sha256")
    .update(await readFile(requirements))
    .digest("hex")
    .slice(0, 12);
  const venv = join(tmpdir(), `tandem-kit-python-${key}`);
  const args = ["kit.py", "--http", around.http, "--mysql-port", String(around.mysqlPort)];
  if (around.only !== undefined) args.push("--run", around.only);
  return [
    { command: "python3", args: ["-m", "venv", venv] },
    { command: join(venv, "bin", "pip"), args: ["install", "-q", "-r", requirements] },
    { command: join(venv, "bin", "python"), args },
  ];
}

async function java(around: Surroundings): Promise<readonly Step[]> {
  const args = ["run.sh", "-http", around.http];
  if (around.only !== undefined) args.push("-run", around.only);
  return [{ command: "sh", args }];
}
