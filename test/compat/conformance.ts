// `npm run conformance -- --kit FOLDER`: runs the conformance kits found in FOLDER against a freshly started server
// on its embedded store, with a MariaDB and a redis for the participants. `--help` lists the options. Exit code 1
// when a case failed.

import { existsSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type Node, startFleet } from "../cluster/fleet.js";
import { freePort, makeFolder, run, type Server, startMariadb, startRedis } from "../servers.js";
import { type Ending, kitsIn, runKit, type Surroundings } from "./kits.js";

const usage = `npm run conformance -- --kit FOLDER [options]
  --kit FOLDER     folder that holds the kits (or TANDEM_TEST_KITS)
  --only LIST      names of kits with commas (default: all that are there)
  --run REGEX      only cases of matching names
  --http-only      no case over gRPC
  --http URL, --grpc HOST:PORT      a server that runs already, in place of starting one
  --http2 URL, --grpc2 HOST:PORT    a second node of its cluster
  --cluster        three nodes with a database and NATS of their own, in place of one on the embedded store
  --as ours|dtm    whose behaviour is expected (default: ours)
  --serve COMMAND  how to start the server; {config} {dir} {http} {grpc} are filled in
  --keep           keep the logs also when all passed
`;

const { values } = parseArgs({
  options: {
    kit: { type: "string", default: process.env.TANDEM_TEST_KITS },
    only: { type: "string" },
    run: { type: "string" },
    "http-only": { type: "boolean", default: false },
    http: { type: "string" },
    grpc: { type: "string" },
    http2: { type: "string" },
    grpc2: { type: "string" },
    cluster: { type: "boolean", default: false },
    as: { type: "string", default: "ours" },
    serve: {
      type: "string",
      default:
        "node dist/src/cli/main.js serve --config {config} --store lmdb:{dir} --http-port {http} --grpc-port {grpc}",
    },
    keep: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

interface Coordinator {
  readonly http: string;
  readonly grpc: string | undefined;
  readonly second: Surroundings["second"];
  readonly restart: string | undefined;
  stop(): Promise<void>;
}

async function answers(url: string): Promise<void> {
  const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
}

/** The kits want a server that polls every second; everything else stays at its default. */
async function startCoordinator(): Promise<Coordinator> {
  const folder = await makeFolder("conformance-server");
  const [http, grpc] = [await freePort(), await freePort()];
  const config = join(folder, "conf.yml");
  await writeFile(config, "TransCronInterval: 1\n");
  const places: Readonly<Record<string, string>> = {
    config,
    dir: join(folder, "data"),
    http: `${http}`,
    grpc: `${grpc}`,
  };
  const words = values.serve
    .split(" ")
    .map((word) => word.replace(/\{(\w+)\}/g, (whole, name) => places[name] ?? whole));
  const [command = "", ...args] = words.map((word) => (existsSync(word) ? resolve(word) : word));
  const url = `http://127.0.0.1:${http}/api/dtmsvr`;
  const ready = () => answers(`${url}/newGid`);
  const server = await run({ name: "the server", command, args, folder, port: http, url, ready });
  const control = await restartOnRequest(server);
  return {
    http: url,
    grpc: values["http-only"] ? undefined : `127.0.0.1:${grpc}`,
    second: undefined,
    restart: commandOf(control),
    stop: async () => {
      control.close();
      await server.stop();
    },
  };
}

/** Three processes of the built program; kits restart the first one, calls go to the first two. */
async function startCluster(): Promise<Coordinator> {
  const fleet = await startFleet({ names: ["a", "b", "c"], leaseMs: 3000 });
  const [first, second] = fleet.nodes as [Node, Node];
  const restart = async () => {
    first.signal("SIGKILL");
    await first.gone();
    await first.start();
  };
  const control = await restartOnRequest({ restart });
  const at = ({ http, grpc }: Node) => ({ http: `${http}/api/dtmsvr`, grpc });
  return {
    ...at(first),
    second: at(second),
    restart: commandOf(control),
    stop: async () => {
      control.close();
      await fleet.close();
    },
  };
}

function commandOf({ url }: { readonly url: string }): string {
  return `node -e 'fetch("${url}").then((r) => process.exit(r.ok ? 0 : 1))'`;
}

/** Kits restart the server by a shell command, but only we know how: the command asks us. */
async function restartOnRequest(server: Pick<Server, "restart">): Promise<{ readonly url: string; close(): void }> {
  const control = createServer((_, response) => {
    server.restart("SIGKILL").then(
      () => response.end(),
      (cause: unknown) => response.writeHead(500).end(String(cause)),
    );
  });
  await new Promise<void>((done) => control.listen(0, "127.0.0.1", done));
  const { port } = control.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/`, close: () => control.close() };
}

/** A server of the user's own is left as it is. */
async function findCoordinator(): Promise<Coordinator> {
  if (values.http === undefined) return values.cluster ? startCluster() : startCoordinator();
  const grpc = values["http-only"] ? undefined : values.grpc;
  const { http2, grpc2 } = values;
  const second = http2 !== undefined && grpc2 !== undefined ? { http: http2, grpc: grpc2 } : undefined;
  return { http: values.http, grpc, second, restart: undefined, stop: async () => {} };
}

async function runAll(from: string, names: readonly string[], to: string): Promise<readonly Ending[]> {
  const [mysql, redis] = await Promise.all([startMariadb({ own: true }), startRedis({ own: true })]);
  const coordinator = await findCoordinator();
  const { http, grpc, second, restart } = coordinator;
  const around: Surroundings = {
    ...{ http, grpc, second, restart, mysqlPort: mysql.port, redisPort: redis.port, only: values.run },
    as: values.as === "dtm" ? "dtm" : "ours",
  };
  const endings: Ending[] = [];
  try {
    for (const name of names) {
      process.stdout.write(`--- ${name}\n`);
      endings.push(await runKit(name, from, to, around));
    }
  } finally {
    for (const server of [coordinator, mysql, redis]) await server.stop();
  }
  return endings;
}

async function main(): Promise<number> {
  if (values.help || values.kit === undefined) {
    process.stdout.write(usage);
    return values.help ? 0 : 2;
  }
  const names = values.only?.split(",") ?? kitsIn(values.kit);
  if (names.length === 0) throw new Error(`no kit in ${values.kit}`);
  const logs = await makeFolder("conformance");
  const endings = await runAll(resolve(values.kit), names, logs);
  process.stdout.write("\n");
  for (const { kit, closing } of endings) process.stdout.write(`${kit.padEnd(12)} ${closing}\n`);
  const failures = endings.filter((ending) => !ending.passed).length;
  if (failures === 0 && !values.keep) await rm(logs, { recursive: true, force: true });
  else process.stdout.write(`logs in ${logs}\n`);
  return failures === 0 ? 0 : 1;
}

process.exit(await main());
