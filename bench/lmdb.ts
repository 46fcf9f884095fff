// `npm run bench:lmdb -- --dtm PATH`: Tandem on its embedded store beside DTM on its own, both with default settings,
// each started here in a temporary folder. Without --dtm Tandem alone, with `--serve ''` DTM alone.
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { freePort, makeFolder, run, type Server } from "../test/servers.js";
import { compare } from "./compare.js";
import { loadOptions, toLoad } from "./options.js";

const { values } = parseArgs({
  options: {
    ...loadOptions,
    dtm: { type: "string" },
    protocol: { type: "string", default: "http" },
    serve: {
      type: "string",
      default: "node dist/src/cli/main.js serve --store lmdb:{dir} --http-port {http} --grpc-port {grpc}",
    },
  },
});

async function answers(url: string): Promise<void> {
  const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
}

/** The server's `url` is where the load goes: its HTTP API, or its gRPC port. */
function launch(name: string, command: string, args: readonly string[], folder: string, ports: Ports): Promise<Server> {
  const http = `http://127.0.0.1:${ports.http}/api/dtmsvr`;
  const url = values.protocol === "grpc" ? `grpc://127.0.0.1:${ports.grpc}` : http;
  return run({ name, command, args, folder, port: ports.http, url, ready: () => answers(`${http}/newGid`) });
}

interface Ports {
  readonly http: number;
  readonly grpc: number;
}

/** DTM's default store is BoltDB in a file `dtm.bolt` of the folder in which it is started. */
async function startDtm(binary: string): Promise<Server> {
  const folder = await makeFolder("bench-dtm");
  const [http, grpc, jsonRpc] = [await freePort(), await freePort(), await freePort()];
  const settings = join(folder, "conf.yml");
  writeFileSync(settings, `HttpPort: ${http}\nGrpcPort: ${grpc}\nJsonRpcPort: ${jsonRpc}\n`);
  return launch("dtm", resolve(binary), ["-c", settings], folder, { http, grpc });
}

/** Run in the server's own folder, so paths of programs that exist here are made absolute. */
async function startTandem(serve: string): Promise<Server> {
  const folder = await makeFolder("bench-tandem");
  const [http, grpc] = [await freePort(), await freePort()];
  const places: Readonly<Record<string, string>> = { dir: join(folder, "data"), http: `${http}`, grpc: `${grpc}` };
  const words = serve.split(" ").map((word) => word.replace(/\{(\w+)\}/g, (whole, name) => places[name] ?? whole));
  const [command = "", ...args] = words.map((word) => (/^[^-].*\.[cm]?[jt]s$/.test(word) ? resolve(word) : word));
  return launch("tandem", command === "node" ? process.execPath : command, args, folder, { http, grpc });
}

if (values.protocol !== "http" && values.protocol !== "grpc")
  throw new Error(`--protocol wants http or grpc, got '${values.protocol}'`);
const started = new Map<string, Server>();
if (values.dtm !== undefined) started.set("dtm", await startDtm(values.dtm));
if (values.serve !== "") started.set("tandem", await startTandem(values.serve));
const targets = [...started].map(([name, { url, pid }]) => ({
  name,
  address: url,
  pids: pid === undefined ? [] : [pid],
}));
let good = false;
try {
  good = await compare({ ...toLoad(values), targets });
} finally {
  for (const server of started.values()) await server.stop();
}
process.exit(good ? 0 : 1);
