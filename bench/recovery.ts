// `npm run bench:recovery [-- --store mysql]`: a store with 20,000 due one-branch sagas, as a crashed node leaves it,
// under a fresh server: how fast the backlog drains, and how long new submits take meanwhile. Exit code 1 below the
// wanted rate.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { createConnection } from "mysql2/promise";
import type { Store } from "../src/ports/store.js";
import { openLmdb } from "../src/store/lmdb/lmdb.js";
import { migrateMysql, openMysql } from "../src/store/mysql/mysql.js";
import { leave } from "../test/engine/stored.js";
import {
  type CoordinatorServer,
  makeDatabase,
  makeFolder,
  serveLmdb,
  startMariadb,
  startTandem,
} from "../test/servers.js";

const { values } = parseArgs({
  options: {
    store: { type: "string", default: "lmdb" },
    backlog: { type: "string", default: "20000" },
    "rate-min": { type: "string", default: "2000" },
    minutes: { type: "string", default: "5" },
  },
});
const backlog = Number(values.backlog);

/** A store to be filled, and the server that is started over it then. */
interface Ground {
  readonly store: Store;
  start(): Promise<CoordinatorServer>;
  end(): Promise<void>;
}

async function onLmdb(): Promise<Ground> {
  const folder = await makeFolder("recovery");
  const start = () => startTandem(serveLmdb, { folder });
  return { store: openLmdb(join(folder, "data")), start, end: async () => {} };
}

/** Shards of epoch 1 and no owner: a node that has died left them. */
async function onMysql(): Promise<Ground> {
  const mariadb = await startMariadb({ own: true });
  const { url } = await makeDatabase(mariadb);
  await migrateMysql(url);
  const connection = await createConnection(url);
  await connection.query("UPDATE cl_shard SET epoch=1");
  await connection.end();
  const owner = { identity: () => ({ name: "", incarnation: 0 }), bumped() {}, regressed() {} };
  const serve = `node dist/cluster/main.js serve --store ${url} --http-port {http} --grpc-port {grpc}`;
  return { store: await openMysql({ url, owner }), start: () => startTandem(serve), end: () => mariadb.stop() };
}

const called = new Set<string>();
let doubles = 0;
let firstMs = 0;
let lastMs = 0;
const participant = createServer((request, response) => {
  const gid = new URL(request.url ?? "/", "http://localhost").searchParams.get("gid") ?? "";
  request.resume();
  if (gid.startsWith("old")) {
    firstMs ||= performance.now();
    lastMs = performance.now();
    if (called.has(gid)) doubles++;
    called.add(gid);
  }
  response.end('{"dtm_result":"SUCCESS"}');
});
participant.keepAliveTimeout = 60_000;
await new Promise<void>((done) => participant.listen(0, "127.0.0.1", done));
const url = `http://127.0.0.1:${(participant.address() as AddressInfo).port}/pay`;

const nowMs = Date.now();
const { store, start, end } = values.store === "mysql" ? await onMysql() : await onLmdb();
const left = Array.from({ length: backlog }, (_, i) => ({ gid: `old${i}`, urls: [url], wakeAtMs: nowMs - 1000 - i }));
await leave(store, left, nowMs - 3_600_000);
await store.close();

const server = await start();
const api = server.http;

/** Milliseconds of one submit of new work. */
async function submit(n: number): Promise<number> {
  const beganMs = performance.now();
  const body = { gid: `new${n}`, trans_type: "saga", steps: [{ action: url }], payloads: ["{}"] };
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${api}/submit`, { method: "POST", headers, body: JSON.stringify(body) });
  if (response.status !== 200) throw new Error(`new submit answered ${response.status}: ${await response.text()}`);
  await response.text();
  return performance.now() - beganMs;
}

const waits: number[] = [];
const endMs = performance.now() + Number(values.minutes) * 60_000;
while (called.size < backlog && performance.now() < endMs) {
  waits.push(await submit(waits.length));
  await delay(50);
}
await server.stop();
await end();
participant.close();
participant.closeAllConnections();
waits.sort((a, b) => a - b);
const rate = called.size / ((lastMs - firstMs) / 1000);
const at = (share: number) => waits[Math.min(waits.length - 1, Math.floor(waits.length * share))]?.toFixed(1);
console.log(
  `${called.size} of ${backlog} called in ${((lastMs - firstMs) / 1000).toFixed(2)} s, ${Math.round(rate)}/s, ` +
    `${doubles} called twice; ${waits.length} new submits meanwhile: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, ` +
    `longest ${at(1)} ms`,
);
process.exit(called.size === backlog && rate >= Number(values["rate-min"]) ? 0 : 1);
