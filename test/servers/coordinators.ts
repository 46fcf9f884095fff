// Coordinators as processes of their own: Tandem as it is built (`npm run build` comes first), and DTM from its binary.
import { existsSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { freePort, makeFolder, run, type Server } from "./program.js";

/** A coordinator that runs. `http` is the base URL of DTM's HTTP API, `grpc` is `grpc://HOST:PORT`. */
export interface CoordinatorServer extends Server {
  readonly http: string;
  readonly grpc: string;
}

/**
 * Tandem's command line: `{dir}` becomes a fresh folder, `{http}`, `{grpc}` and `{peers}` free ports; programs that
 * exist here are found although the server runs in a folder of its own.
 */
export const serveLmdb = "node dist/src/cli/main.js serve --store lmdb:{dir} --http-port {http} --grpc-port {grpc}";

/** What a test may fix: the folder of the server, with what lies in it, and variables of its environment. */
export interface TandemOptions {
  readonly folder?: string;
  readonly nodeArgs?: readonly string[];
}

/** Starts Tandem by its command line; resolves when it answers. */
export async function startTandem(serve: string = serveLmdb, options: TandemOptions = {}): Promise<CoordinatorServer> {
  const folder = options.folder ?? (await makeFolder("serve"));
  const ports = { http: await freePort(), grpc: await freePort() };
  const places: Readonly<Record<string, string>> = {
    dir: join(folder, "data"),
    http: `${ports.http}`,
    grpc: `${ports.grpc}`,
    peers: `${await freePort()}`,
  };
  const words = serve.split(" ").map((word) => word.replace(/\{(\w+)\}/g, (whole, name) => places[name] ?? whole));
  const [command = "", ...args] = words.map((word) => (existsSync(word) ? resolve(word) : word));
  const node = command === "node";
  const all = node ? [...(options.nodeArgs ?? []), ...args] : args;
  return launch("Tandem", node ? process.execPath : command, all, folder, ports);
}

/** Starts DTM; `settings` beyond the ports are lines of its `conf.yml`. Its default store is BoltDB in its folder. */
export async function startDtm(binary: string, settings: readonly string[] = []): Promise<CoordinatorServer> {
  const folder = await makeFolder("dtm");
  const ports = { http: await freePort(), grpc: await freePort() };
  const lines = [`HttpPort: ${ports.http}`, `GrpcPort: ${ports.grpc}`, `JsonRpcPort: ${await freePort()}`];
  const file = join(folder, "conf.yml");
  writeFileSync(file, [...lines, ...settings, ""].join("\n"));
  return launch("DTM", resolve(binary), ["-c", file], folder, ports);
}

interface Ports {
  readonly http: number;
  readonly grpc: number;
}

async function launch(
  name: string,
  command: string,
  args: readonly string[],
  folder: string,
  ports: Ports,
): Promise<CoordinatorServer> {
  const url = `http://127.0.0.1:${ports.http}`;
  const http = `${url}/api/dtmsvr`;
  const ready = async () => {
    const response = await fetch(`${http}/newGid`, { signal: AbortSignal.timeout(2_000) });
    if (!response.ok) throw new Error(`${http}/newGid answered ${response.status}`);
  };
  const server = await run({ name, command, args, folder, port: ports.http, url, ready });
  return Object.assign(server, { http, grpc: `grpc://127.0.0.1:${ports.grpc}` });
}
