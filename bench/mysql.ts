// `npm run bench:mysql -- --dtm PATH --dtm-sql FILE [--dtm-set 'UpdateBranchSync: 1']`: Tandem and DTM on the same
// MariaDB, every commit flushed to disk, each in a database of its own, all started here. CPU is that of the
// coordinator and of the database together; commits are the database's own count. Without --dtm Tandem alone;
// `--nodes 3` measures a cluster, calls spread over it.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { createConnection, type RowDataPacket } from "mysql2/promise";
import {
  type CoordinatorServer,
  makeDatabase,
  type Server,
  startDtm,
  startMariadb,
  startNats,
  startTandem,
} from "../test/servers.js";
import { compare } from "./compare.js";
import { loadOptions, toLoad } from "./options.js";
import type { Target } from "./round.js";

const { values } = parseArgs({
  options: {
    ...loadOptions,
    dtm: { type: "string" },
    "dtm-sql": { type: "string" },
    "dtm-set": { type: "string", multiple: true, default: [] },
    nodes: { type: "string", default: "1" },
    protocol: { type: "string", default: "http" },
  },
});

const mariadb = await startMariadb({ own: true });
const servers: Server[] = [];

/** DTM makes no tables itself: its own SQL file does, which also makes and names the database `dtm`. */
async function dtm(binary: string, sql: string): Promise<CoordinatorServer> {
  const connection = await createConnection({ uri: mariadb.url, multipleStatements: true });
  await connection.query(readFileSync(sql, "utf8"));
  await connection.end();
  const at = `{ Driver: mysql, Host: 127.0.0.1, Port: ${mariadb.port}, User: root, Password: "", Db: dtm }`;
  return startDtm(binary, [`Store: ${at}`, ...values["dtm-set"]]);
}

async function tandem(nodes: number): Promise<readonly CoordinatorServer[]> {
  const { url } = await makeDatabase(mariadb);
  const serve = `node --max-semi-space-size=64 dist/cluster/main.js serve --store ${url} --http-port {http} --grpc-port {grpc}`;
  if (nodes === 1) return [await startTandem(serve)];
  const nats = await startNats({ own: true });
  servers.push(nats);
  process.env.TANDEM_CLUSTER_SECRET = "of the benchmark";
  return Promise.all(
    Array.from({ length: nodes }, (_, n) =>
      startTandem(`${serve} --cluster ${nats.url} --node n${n} --advertise http://127.0.0.1:{peers}`),
    ),
  );
}

/** Durable commits: transactions with writes that InnoDB has committed. A counter that is off unless switched on. */
async function commits(): Promise<number> {
  const connection = await createConnection(mariadb.url);
  const [rows] = await connection.query<RowDataPacket[]>(
    "SELECT COUNT AS commits FROM information_schema.INNODB_METRICS WHERE NAME='trx_rw_commits'",
  );
  await connection.end();
  return Number(rows[0]?.commits);
}

async function countCommits(): Promise<void> {
  const connection = await createConnection(mariadb.url);
  await connection.query("SET GLOBAL innodb_monitor_enable='trx_rw_commits'");
  await connection.end();
}

function target(name: string, all: readonly CoordinatorServer[]): Target {
  const addresses = all.map(({ http, grpc }) => (values.protocol === "grpc" ? grpc : http));
  const pids = [...all, mariadb].map(({ pid }) => pid).filter((pid) => pid !== undefined);
  return { name, addresses, pids, commits };
}

if (values.protocol !== "http" && values.protocol !== "grpc")
  throw new Error(`--protocol wants http or grpc, got '${values.protocol}'`);
let good = false;
try {
  await countCommits();
  const targets: Target[] = [];
  if (values.dtm !== undefined) {
    if (values["dtm-sql"] === undefined)
      throw new Error("--dtm needs --dtm-sql: the file sqls/dtmsvr.storage.mysql.sql of DTM's source");
    const server = await dtm(values.dtm, values["dtm-sql"]);
    servers.push(server);
    targets.push(target("dtm", [server]));
  }
  const nodes = await tandem(Number(values.nodes));
  servers.push(...nodes);
  targets.push(target("tandem", nodes));
  good = await compare({ ...toLoad(values), targets });
} finally {
  for (const server of [...servers.reverse(), mariadb]) await server.stop();
}
process.exit(good ? 0 : 1);
