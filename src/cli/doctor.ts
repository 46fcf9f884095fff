/**
 * `tandem doctor`: looks at everything that keeps a server from starting or working, and says what to do about each.
 * Changes nothing but for a file that it makes in the store's folder and removes again; a database it only looks at.
 */
import { existsSync, mkdtempSync, rmdirSync, statfsSync, statSync } from "node:fs";
import { connect, createServer } from "node:net";
import { dirname, join, resolve } from "node:path";
import type { Config, Loaded } from "../config/config.js";
import { connectUrl } from "../config/store.js";
import { urlHost } from "../wire/url.js";
import { CliError } from "./exit.js";
import type { Terminal } from "./terminal.js";

/** What one look found. `advice` is empty when all is well. */
export interface Finding {
  readonly what: string;
  readonly state: "ok" | "warning" | "trouble";
  readonly found: string;
  readonly advice: string;
}

/** Oldest Node that Tandem is tested with. */
const nodeNeeded: readonly [number, number] = [20, 19];

/** Free space below which the store is likely to stop soon, bytes. */
const spaceNeeded = 512 << 20;

/** Looks at everything and prints it. @throws CliError when something is in the way of a start */
export async function doctor(terminal: Terminal, settings: () => Loaded, json: boolean): Promise<void> {
  const findings = [nodeVersion(process.versions.node), ...(await lookAtSettings(settings))];
  if (json) terminal.out(JSON.stringify(findings, undefined, 2));
  else for (const finding of findings) print(terminal, finding);
  const troubles = findings.filter(({ state }) => state === "trouble").length;
  if (troubles > 0) throw new CliError("failed", `${troubles} of ${findings.length} checks found trouble`);
}

/** Whether a version of Node is new enough. */
export function nodeVersion(version: string): Finding {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const ok = major > nodeNeeded[0] || (major === nodeNeeded[0] && minor >= nodeNeeded[1]);
  const advice = ok ? "" : `install Node ${nodeNeeded.join(".")} or newer`;
  return { what: "node", state: ok ? "ok" : "trouble", found: version, advice };
}

async function lookAtSettings(settings: () => Loaded): Promise<readonly Finding[]> {
  let loaded: Loaded;
  try {
    loaded = settings();
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return (error.advice.length > 0 ? error.advice : [error.message]).map((problem) => ({
      what: "configuration",
      state: "trouble",
      found: problem,
      advice: "correct it there; docs/configuration.md has every key",
    }));
  }
  const { config, warnings } = loaded;
  const odd = warnings.map(
    (found) => ({ what: "configuration", state: "warning", found, advice: "remove it" }) as const,
  );
  const own = loaded.shown.filter(({ origin }) => origin !== "default").length;
  const read = { what: "configuration", state: "ok", found: `read, ${own} keys set`, advice: "" } as const;
  const server = await runningServer(config);
  return [
    read,
    ...odd,
    server,
    ...(await ports(config, server.state === "ok")),
    ...(await store(config, server.state === "ok")),
    ...(await nats(config)),
  ];
}

async function runningServer({ host, httpPort }: Config): Promise<Finding> {
  const what = "server";
  const url = `http://${urlHost(host)}:${httpPort}`;
  try {
    const response = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(3000), redirect: "manual" });
    const body = (await response.text()).trim();
    if (response.status === 200) return { what, state: "ok", found: `answers at ${url}`, advice: "" };
    if (response.status === 503) return { what, state: "warning", found: `at ${url}: ${body}`, advice: "see its log" };
    return { what, state: "trouble", found: `${url} is not Tandem (status ${response.status})`, advice: "see port" };
  } catch {
    return { what, state: "warning", found: `none at ${url}`, advice: "start one: tandem serve" };
  }
}

/** Whether the ports are free; with a server of ours running, its ports are taken by right. */
async function ports(config: Config, running: boolean): Promise<readonly Finding[]> {
  const wanted = [
    { what: "port http", port: config.httpPort, flag: "--http-port" },
    { what: "port grpc", port: config.grpcPort, flag: "--grpc-port" },
  ];
  return Promise.all(
    wanted.map(async ({ what, port, flag }): Promise<Finding> => {
      if (running) return { what, state: "ok", found: `${port}, the running server's`, advice: "" };
      const error = await listenError(config.host, port);
      if (error === undefined) return { what, state: "ok", found: `${port} is free`, advice: "" };
      const advice = error === "EADDRINUSE" ? `see who has it: ss -ltnp 'sport = :${port}', or ${flag} N` : `${flag} N`;
      return { what, state: "trouble", found: `${port} on ${config.host}: ${error}`, advice };
    }),
  );
}

function listenError(host: string, port: number): Promise<string | undefined> {
  const server = createServer();
  return new Promise((done) => {
    server.once("error", (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
    server.listen(port, host, () => server.close(() => done(undefined)));
  });
}

/** Every server of the cluster's NATS: whether it greets as one. None is needed for a start. */
async function nats({ cluster }: Config): Promise<readonly Finding[]> {
  if (cluster === undefined) return [];
  const servers = cluster.url.split(",").map((text) => new URL(text.trim()));
  const found = servers.map(async ({ hostname, port }): Promise<Finding> => {
    const place = `${hostname}:${port || 4222}`;
    const greeting = await greetingOf(hostname.replace(/^\[|\]$/g, ""), Number(port || 4222));
    const version = /^INFO \{.*"version":\s*"([^"]+)"/.exec(greeting)?.[1];
    if (version !== undefined) return { what: "nats", state: "ok", found: `${version} at ${place}`, advice: "" };
    const advice = "start it, or correct Cluster.Url; nodes start without it and wait for it";
    return { what: "nats", state: "warning", found: `none at ${place}: ${greeting.slice(0, 60)}`, advice };
  });
  const secret: Finding = {
    what: "cluster",
    state: "warning",
    found: "no Cluster.Secret: nodes reach one another over NATS only",
    advice: "set the same on all nodes",
  };
  return [...(await Promise.all(found)), ...(cluster.secret === "" ? [secret] : [])];
}

/** The first words of a server, or why there are none. */
function greetingOf(host: string, port: number): Promise<string> {
  return new Promise((done) => {
    const socket = connect({ host, port, timeout: 3000 });
    const end = (words: string) => {
      socket.destroy();
      done(words);
    };
    socket.once("data", (bytes) => end(bytes.toString("latin1")));
    socket.once("timeout", () => end("it says nothing"));
    socket.once("end", () => end("it hangs up"));
    socket.once("error", (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  });
}

async function store({ store: choice }: Config, running: boolean): Promise<readonly Finding[]> {
  const what = "store";
  if (choice.kind === "memory")
    return [
      {
        what,
        state: "warning",
        found: "memory: nothing outlives the process",
        advice: "for real use --store lmdb:DIR",
      },
    ];
  if (choice.kind === "mysql") {
    const { inspect } = await import("../store/mysql/inspect.js"); // loads the driver, which few commands need
    return (await inspect(connectUrl(choice), choice.migrateByHand)).map((remark) => ({ what: "database", ...remark }));
  }
  const dir = resolve(choice.dir);
  const place = nearestExisting(dir);
  const error = writeError(place);
  if (error !== undefined) {
    const advice = "make it writable, or use another folder: --store lmdb:DIR";
    return [{ what, state: "trouble", found: `${dir} cannot be written: ${error}`, advice }];
  }
  return [await folder(dir, running), space(place)];
}

/** What a folder that could be written holds. With a server of ours running, it may be the one that has it. */
async function folder(dir: string, running: boolean): Promise<Finding> {
  const what = "store";
  const { troubleOf } = await import("../store/lmdb/folder.js"); // loads LMDB, which no other command needs
  const trouble = troubleOf(dir);
  if (trouble === undefined)
    return { what, state: "ok", found: `${dir} ${existsSync(dir) ? "writable" : "can be made"}`, advice: "" };
  if (trouble.reason === "inUse" && running)
    return { what, state: "ok", found: `${dir} in use by process ${trouble.pid}, with a server running`, advice: "" };
  const other = "use another folder: --store lmdb:DIR";
  if (trouble.reason !== "inUse") return { what, state: "trouble", found: trouble.message, advice: other };
  const found = `${dir} in use by process ${trouble.pid}`;
  return { what, state: "trouble", found, advice: `stop that process (kill ${trouble.pid}), or ${other}` };
}

function space(place: string): Finding {
  const { bavail, bsize } = statfsSync(place);
  const free = bavail * bsize;
  const found = `${(free / 2 ** 30).toFixed(1)} GiB free`;
  if (free >= spaceNeeded) return { what: "disk", state: "ok", found, advice: "" };
  return { what: "disk", state: "warning", found, advice: "make room: a full disk stops new transactions (503)" };
}

function nearestExisting(dir: string): string {
  return existsSync(dir) || dirname(dir) === dir ? dir : nearestExisting(dirname(dir));
}

function writeError(dir: string): string | undefined {
  try {
    if (!statSync(dir).isDirectory()) return "it is a file";
    rmdirSync(mkdtempSync(join(dir, ".tandem-doctor-")));
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

function print(terminal: Terminal, { what, state, found, advice }: Finding): void {
  const { paint } = terminal;
  const mark = { ok: paint.green("ok     "), warning: paint.yellow("note   "), trouble: paint.red("TROUBLE") }[state];
  terminal.out(`${mark}  ${what.padEnd(14)}${found}`);
  if (advice !== "") terminal.out(`${" ".repeat(23)}${paint.dim(`→ ${advice}`)}`);
}
