/**
 * A real cluster for tests: processes of the built program, a MariaDB and a NATS of its own. Verbs only; what the table
 * of shards says is read from the database itself.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, openSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createConnection, type RowDataPacket } from "mysql2/promise";
import { desiredOwner } from "../../cluster/assign.js";
import { type Database, freePort, makeDatabase, makeFolder, type Server, startMariadb, startNats } from "../servers.js";

/** One node: a name, its ports, and the process that runs now. */
export interface Node {
  readonly name: string;
  readonly http: string;
  readonly grpc: string;
  readonly log: string;
  /** `undefined` while it is down. */
  readonly pid: number | undefined;
  /** Exit code or signal of the last process. */
  readonly ended: string | undefined;
  start(): Promise<void>;
  /** Sends a signal and returns at once. */
  signal(signal: NodeJS.Signals): void;
  /** Resolves when the process is gone. */
  gone(): Promise<void>;
  /** Another process of the same name with ports of its own, not started. */
  twin(): Node;
  /** What the next start runs: arguments of Node up to the program's file. The built program unless told otherwise. */
  program: readonly string[];
}

/** Which shards a node has, as the table says. */
export interface Shares {
  readonly owners: ReadonlyMap<number, string>;
  /** Shards without a living owner. */
  readonly orphans: number;
}

export interface Fleet {
  readonly database: Database;
  readonly mysql: Server;
  readonly nats: Server;
  readonly nodes: readonly Node[];
  shares(): Promise<Shares>;
  /** Every shard has a living owner; resolves to the milliseconds that took. */
  served(withinMs: number): Promise<number>;
  /** Every node that runs has at least this many shards. */
  settled(least: number, withinMs: number): Promise<void>;
  close(): Promise<void>;
}

/** Of a fleet; `leaseMs` as `Cluster.LeaseMs`. */
export interface FleetOptions {
  readonly names: readonly string[];
  readonly leaseMs: number;
  /**
   * Ports in place of the servers' own, by name of the node: lines that a test can cut. `node`: where the node listens
   * for the others. `host`: under which loopback address they reach it there.
   */
  readonly lines?: (
    name: string,
    servers: { readonly mysql: number; readonly nats: number; readonly node: number },
  ) => Promise<{ readonly mysql: number; readonly nats: number; readonly host?: string }>;
}

const built = resolve("dist/cluster/main.js");

/** Starts everything; the nodes are running and share all shards. */
export async function startFleet({ names, leaseMs, lines }: FleetOptions): Promise<Fleet> {
  if (!existsSync(built)) throw new Error(`${built} is missing: npm run build comes first`);
  const [mysql, nats] = await Promise.all([startMariadb({ own: true }), startNats({ own: true })]);
  const database = await makeDatabase(mysql);
  const folder = await makeFolder("fleet");
  const nodes: Node[] = [];
  for (const name of names) {
    const [httpPort, grpcPort, advertised] = [await freePort(), await freePort(), await freePort()];
    const servers = { mysql: mysql.port, nats: nats.port, node: advertised };
    const at: Awaited<ReturnType<NonNullable<typeof lines>>> = (await lines?.(name, servers)) ?? servers;
    const [store, hub] = [new URL(database.url), new URL(nats.url)];
    store.port = `${at.mysql}`;
    hub.port = `${at.nats}`;
    const flags = ["--store", store.href, "--cluster", hub.href, "--node", name];
    const ports = ["--http-port", `${httpPort}`, "--grpc-port", `${grpcPort}`];
    const args = [...flags, ...ports, "--advertise", `http://${at.host ?? "127.0.0.1"}:${advertised}`];
    const threads = 1 + ((nodes.length + 1) % 2); // nodes with engines on threads beside one without
    const own = { TANDEM_CLUSTER_LEASE_MS: `${leaseMs}`, TANDEM_THREADS: `${threads}` };
    const environment = { TANDEM_CLUSTER_SECRET: "of the test", ...own };
    nodes.push(makeNode(name, join(folder, `${name}.log`), httpPort, grpcPort, args, environment));
  }
  const shares = () => readShares(database.url);
  const fleet: Fleet = {
    ...{ database, mysql, nats, nodes, shares },
    served: (withinMs) => until("every shard served", withinMs, async () => (await shares()).orphans === 0),
    async settled(least, withinMs) {
      await until(`every node with ${least} shards, none still to be moved`, withinMs, async () => {
        const { owners, orphans } = await shares();
        const counts = new Map<string, number>();
        for (const owner of owners.values()) counts.set(owner, (counts.get(owner) ?? 0) + 1);
        const alive = nodes.filter(({ pid }) => pid !== undefined).map(({ name }) => name);
        const inPlace = [...owners].every(([shard, owner]) => desiredOwner(shard, alive) === owner);
        return orphans === 0 && inPlace && alive.every((name) => (counts.get(name) ?? 0) >= least);
      });
    },
    async close() {
      for (const node of nodes) if (node.pid !== undefined) node.signal("SIGKILL");
      await Promise.all(nodes.map((node) => node.gone()));
      await Promise.all([mysql.stop(), nats.stop()]);
    },
  };
  await Promise.all(nodes.map((node) => node.start()));
  await fleet.settled(Math.floor(160 / names.length), 20_000);
  return fleet;
}

/** Polls until the condition holds, an error counting as "not yet"; resolves to the milliseconds that took. */
export async function until(what: string, withinMs: number, condition: () => Promise<boolean>): Promise<number> {
  const startedMs = performance.now();
  let last: unknown;
  while (performance.now() - startedMs < withinMs) {
    try {
      if (await condition()) return performance.now() - startedMs;
      last = undefined;
    } catch (error) {
      last = error;
    }
    await delay(15);
  }
  throw new Error(`not within ${withinMs} ms: ${what}${last === undefined ? "" : ` (${String(last)})`}`);
}

function makeNode(
  name: string,
  log: string,
  httpPort: number,
  grpcPort: number,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
): Node {
  let child: ChildProcess | undefined;
  let gone: Promise<void> = Promise.resolve();
  let ended: string | undefined;
  let program: readonly string[] = [built];
  return {
    ...{ name, log, http: `http://127.0.0.1:${httpPort}`, grpc: `127.0.0.1:${grpcPort}` },
    get pid() {
      return child?.pid;
    },
    get ended() {
      return ended;
    },
    get program() {
      return program;
    },
    set program(wanted) {
      program = wanted;
    },
    async start() {
      const started = spawn(process.execPath, [...program, "serve", ...args], {
        stdio: ["ignore", "pipe", openSync(log, "a")],
        env: { PATH: process.env.PATH, ...environment },
      });
      child = started;
      gone = new Promise((done) => {
        started.once("exit", (code, signal) => {
          if (child === started) child = undefined;
          ended = signal ?? String(code);
          done();
        });
      });
      const ready = new Promise<true>((done) => {
        started.stdout?.setEncoding("utf8").on("data", (text: string) => {
          if (text.includes("tandem ready")) done(true);
        });
      });
      if ((await Promise.race([ready, gone])) !== true)
        throw new Error(`${name} ended with ${ended}: ${readFileSync(log, "utf8").slice(-2000)}`);
    },
    signal: (signal) => void child?.kill(signal),
    gone: () => gone,
    twin: () => {
      const elsewhere = args.map((word) => (/^\d+$/.test(word) ? "0" : word)).slice(0, -2); // takes free ports
      return makeNode(name, `${log}.twin`, 0, 0, elsewhere, environment);
    },
  };
}

async function readShares(url: string): Promise<Shares> {
  const connection = await createConnection({ uri: url, connectTimeout: 10_000 });
  try {
    const [rows] = await connection.query<RowDataPacket[]>(
      `SELECT s.shard_id, s.owner, n.node_id IS NOT NULL AS alive FROM cl_shard s LEFT JOIN cl_node n
         ON n.node_id=s.owner AND n.incarnation=s.incarnation AND n.state<>0`,
    );
    const owners = new Map(rows.map(({ shard_id, owner }) => [Number(shard_id), String(owner)]));
    return { owners, orphans: rows.filter(({ alive }) => Number(alive) === 0).length };
  } finally {
    connection.destroy();
  }
}
