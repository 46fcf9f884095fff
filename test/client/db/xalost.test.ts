// Phase two of an XA branch at the moments in which phase one is not over: its session still open, its prepare still
// on the way, its session just ending, its neighbour in the barrier's table still prepared. Real MariaDB and Postgres.
import { createServer } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer, type Server as TcpServer } from "node:net";
import {
  type Connection,
  createPool,
  type Pool as MysqlPool,
  type PoolConnection,
  type RowDataPacket,
} from "mysql2/promise";
import { type ClientBase, Pool } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { BarrierRow } from "../../../src/client/barrier/core.js";
import { mysqlBarrier } from "../../../src/client/barrier/mysql2.js";
import { postgresBarrier } from "../../../src/client/barrier/pg.js";
import { createClient, Ongoing } from "../../../src/client/index.js";
import { tandemRoutes } from "../../../src/client/participant/express.js";
import { type XaDatabase, type XaSession, xaRoute } from "../../../src/client/xa/index.js";
import { mysqlXa } from "../../../src/client/xa/mysql2.js";
import { postgresXa } from "../../../src/client/xa/pg.js";
import { available, makeDatabase, type Server, startMariadb, startPostgres } from "../../servers.js";
import { listen, stop } from "../e2e/service.js";
import { until } from "../e2e/suite.js";

const here = (await available("mysql")) && (await available("postgres"));

describe.runIf(here)("XA: phase two at any moment of phase one", () => {
  let servers: readonly Server[] = [];
  let mysqlUrl: string;
  let mysql: MysqlPool;
  let pg: Pool;
  let maria: XaDatabase<Connection>;
  let postgres: XaDatabase<ClientBase>;
  let url: string;
  const client = createClient({ endpoints: ["http://127.0.0.1:9"], address: "unused" });
  const http = createServer((request, response) => tandemRoutes(routes())(request, response));
  const routes = () => [
    xaRoute("/maria", { database: maria, client }, async () => {}),
    xaRoute("/postgres", { database: postgres, client }, async () => {}),
  ];

  beforeAll(async () => {
    servers = await Promise.all([startMariadb(), startPostgres()]);
    mysqlUrl = (await makeDatabase(servers[0]!)).url;
    mysql = createPool({ uri: mysqlUrl });
    pg = new Pool({ connectionString: servers[1]!.url });
    maria = mysqlXa(mysql, { table: "barrier" });
    postgres = postgresXa(pg, { table: "barrier" });
    await mysqlBarrier(mysql, { table: "barrier" }).migrate();
    await postgresBarrier(pg, { table: "barrier" }).migrate();
    await mysql.query("create table work (gid varchar(60) primary key)");
    await pg.query("create table work (gid varchar(60) primary key)");
    url = await listen(http);
  });

  afterAll(async () => {
    await stop(http);
    await client.close();
    await Promise.all([mysql?.end(), pg?.end()]);
    await Promise.all(servers.map((server) => server.stop()));
  });

  const rowOf = (gid: string, branchId = "01", reason = "action"): BarrierRow => ({
    ...{ transType: "xa", gid, branchId, op: "action", barrierId: "01", reason },
  });
  /** Phase one up to before its prepare. */
  const begun = async (gid: string): Promise<XaSession<Connection>> => {
    const session = await maria.begin(`${gid}-01`);
    await session.rows.insertIgnore(rowOf(gid));
    await session.tx.query("insert into work values (?)", [gid]);
    return session;
  };
  const ask = async (gid: string, op: "commit" | "rollback", at = "maria") =>
    (await fetch(`${url}/${at}?gid=${gid}&trans_type=xa&branch_id=01&op=${op}`, { method: "POST" })).status;
  const insist = (gid: string, op: "commit" | "rollback", at = "maria") =>
    until(
      async () => (await ask(gid, op, at)) === 200,
      () => gid,
    );
  const worked = async (gid: string) => {
    const [rows] = await mysql.query<RowDataPacket[]>("select gid from work where gid = ? for update", [gid]);
    return rows.length === 1;
  };
  /** The moment in which MariaDB offers the xid to all and InnoDB does not, held open: a session that is reset. */
  const detached = async (gid: string) => {
    const session = await begun(gid);
    await session.prepare();
    await session.tx.reset();
    return session;
  };

  it("is asked again while the branch works, and rolls it back although it prepares afterwards", async () => {
    const session = await begun("late-prepare");
    expect(await ask("late-prepare", "rollback")).toBe(425);
    await session.prepare();
    expect(await ask("late-prepare", "rollback")).toBe(425);
    await session.end();
    await insist("late-prepare", "rollback");
    expect([await worked("late-prepare"), await maria.prepared()]).toEqual([false, []]);
  });

  it("does so on Postgres", async () => {
    const session = await postgres.begin("late-prepare-01");
    await session.rows.insertIgnore(rowOf("late-prepare"));
    await session.tx.query("insert into work values ($1)", ["late-prepare"]);
    expect(await ask("late-prepare", "rollback", "postgres")).toBe(425);
    await session.prepare();
    await insist("late-prepare", "rollback", "postgres");
    await session.end();
    const { rows } = await pg.query("select gid from work");
    expect([rows, await postgres.prepared()]).toEqual([[], []]);
  });

  it("ends a prepared branch whose process is gone without a word after seconds", async () => {
    const session = await begun("silent");
    await session.prepare();
    await insist("silent", "commit");
    expect(await worked("silent")).toBe(true);
    await session.end();
  });

  it("does not take the database's word for a commit", async () => {
    const session = await detached("said-yes");
    expect(await ask("said-yes", "commit")).toBe(425);
    await session.end();
    expect(await ask("said-yes", "commit")).toBe(425);
    await maria.undoLost?.("said-yes-01");
    expect(await worked("said-yes")).toBe(false);
  });

  it("rolls back a branch that the server has forgotten and the storage engine holds", async () => {
    const session = await detached("forgotten");
    expect(await maria.finish("forgotten-01", "rollback")).toBe(true);
    await session.end();
    expect(await maria.prepared()).toEqual([]);
    await insist("forgotten", "rollback");
    expect(await worked("forgotten")).toBe(false);
    expect(await maria.reason(rowOf("forgotten"))).toBe("rollback");
  });

  it("answers phase one only when the server has ended the branch's session", async () => {
    const line = await slowLine(Number(new URL(servers[0]!.url).port), 30);
    const far = createPool({ uri: mysqlUrl.replace(/:\d+\//, `:${line.port}/`) });
    const session = await mysqlXa(far, { table: "barrier" }).begin("ended-01");
    await session.rows.insertIgnore(rowOf("ended"));
    await session.prepare();
    await session.end();
    expect(await maria.finish("ended-01", "commit")).toBe(true);
    expect(await maria.reason(rowOf("ended"))).toBe("action");
    await far.end();
    await line.close();
  });

  it("records a rollback although the next branch's row, which is prepared, is the one behind it", async () => {
    const table = "bordered"; // its pages have borders where rows are added, not where others have been before
    await mysqlBarrier(mysql, { table }).migrate();
    const xa = mysqlXa(mysql, { table });
    const { gid, next } = await besideABorder(mysql, table);
    expect(await xa.take(rowOf(gid, "01", "rollback"))).toBe("rollback");
    expect(await xa.reason(rowOf(gid))).toBe("rollback");
    next.destroy();
  }, 60_000);

  it("still waits for a row of the branch's own", async () => {
    const session = await begun("own");
    await expect(maria.take(rowOf("own", "01", "rollback"))).rejects.toBeInstanceOf(Ongoing);
    await session.rollback();
    await session.end();
    expect(await maria.take(rowOf("own", "01", "rollback"))).toBe("rollback");
  });
});

/**
 * A gid whose first branch's row was the first of its page and has been rolled back, and a session that holds the row
 * of its second branch: rows are added until one cannot be added again.
 */
async function besideABorder(
  pool: MysqlPool,
  table: string,
): Promise<{ readonly gid: string; readonly next: PoolConnection }> {
  const [first, next] = [await pool.getConnection(), await pool.getConnection()];
  await first.query("set session innodb_lock_wait_timeout = 1");
  const insert = `insert into ${table} (trans_type, gid, branch_id, op, barrier_id, reason)
    values ('xa', ?, ?, 'action', '01', 'action')`;
  for (let i = 10_000; i < 12_000; i++) {
    const gid = `border-${i}`;
    await first.beginTransaction();
    await first.execute(insert, [gid, "01"]);
    await next.beginTransaction();
    await next.execute(insert, [gid, "02"]);
    await first.rollback();
    const isBeside = await first.execute(insert, [gid, "01"]).then(
      () => false,
      () => true,
    );
    if (isBeside) {
      first.destroy();
      return { gid, next };
    }
    await next.commit();
    await next.execute(insert, [gid, "03"]); // so that the next gid's row is added where the last one was
  }
  throw new Error("no page of the index has a border here");
}

/** A line to a server on which all that is sent, the end too, is so many milliseconds on its way. */
async function slowLine(port: number, ms: number): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server = createTcpServer((near) => {
    const far = connect(port, "127.0.0.1");
    const late = (deed: () => void) => void setTimeout(deed, ms);
    near.on("data", (data) => late(() => far.write(data)));
    near.on("close", () => late(() => far.destroy()));
    far.pipe(near);
    for (const socket of [near, far]) socket.on("error", () => socket.destroy());
  });
  const at = await listenTcp(server);
  return { port: at, close: () => new Promise((done) => server.close(() => done())) };
}

async function listenTcp(server: TcpServer): Promise<number> {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return (server.address() as AddressInfo).port;
}
