/**
 * One node alone on a shared database, as real processes: a second one is kept out with code 3, a dead one is followed.
 */
import { createConnection } from "mysql2/promise";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { agreeOnCluster } from "../../src/store/mysql/meta.js";
import { migrateMysql } from "../../src/store/mysql/mysql.js";
import { privileges } from "../../src/store/mysql/schema.js";
import { available, type Database, makeDatabase, type Server, startMariadb } from "../servers.js";
import { until } from "./fleet.js";
import { serve } from "./serve.js";

describe.runIf(await available("mysql"))("one node alone on a database", () => {
  let server: Server;
  let database: Database;

  beforeAll(async () => {
    server = await startMariadb({ own: true });
    database = await makeDatabase(server);
  });
  afterAll(() => server.stop());

  it("keeps a second one out, which waits a lease and ends with code 3 naming the owner; follows one that was killed", async () => {
    const first = serve(database.url);
    const http = await first.ready;
    const name = ((await (await fetch(`${http}/api/v1/cluster`)).json()) as { node: string }).node;
    const startedMs = performance.now();
    const second = serve(database.url);
    expect(await second.ended).toBe(3);
    expect(performance.now() - startedMs).toBeGreaterThan(3000);
    expect(second.said()).toContain(name);
    const gid = "kept";
    const body = { gid, trans_type: "msg", steps: [{ action: "http://127.0.0.1:1/" }], payloads: ["{}"] };
    const query = { query_prepared: "http://127.0.0.1:1/q" };
    const answer = await fetch(`${http}/api/dtmsvr/submit`, {
      method: "POST",
      body: JSON.stringify({ ...body, ...query }),
    });
    expect(answer.status).toBe(200);
    first.child.kill("SIGKILL");
    await first.ended;
    const third = serve(database.url);
    const next = await third.ready;
    await expect
      .poll(async () => (await fetch(`${next}/api/dtmsvr/query?gid=${gid}`)).json(), { timeout: 10_000 })
      .toMatchObject({ transaction: { gid, status: "submitted" } });
    third.child.kill("SIGTERM");
    expect(await third.ended).toBe(0);
  });

  it("runs as a user with the documented privileges alone, and follows a dead one of that user", async () => {
    const own = await makeDatabase(server);
    await migrateMysql(own.url);
    const admin = await createConnection(own.url);
    await admin.query("CREATE USER IF NOT EXISTS serving@'%' IDENTIFIED BY 'secret'");
    await admin.query(`GRANT ${privileges.serve.join(",")} ON ${own.name}.* TO serving@'%'`);
    await admin.end();
    const url = Object.assign(new URL(own.url), { username: "serving", password: "secret" }).href;
    const environment = { TANDEM_STORE_MIGRATE_BY_HAND: "true" };
    const first = serve(url, [], environment);
    const submit = async (http: string, gid: string) => {
      const body = { gid, trans_type: "msg", query_prepared: "http://127.0.0.1:1/q" };
      return (await fetch(`${http}/api/dtmsvr/prepare`, { method: "POST", body: JSON.stringify(body) })).status;
    };
    expect(await submit(await first.ready, "g1")).toBe(200);
    first.child.kill("SIGKILL");
    await first.ended;
    const second = serve(url, [], environment);
    const http = await second.ready;
    await until("the dead one's shards taken over", 15_000, async () => (await submit(http, "g2")) === 200);
    second.child.kill("SIGTERM");
    expect(await second.ended).toBe(0);
    expect(second.said()).not.toContain("kill_denied");
  });

  it("leaves the tables alone when it was told to, and ends with code 5", async () => {
    const run = serve((await makeDatabase(server)).url, [], { TANDEM_STORE_MIGRATE_BY_HAND: "true" });
    expect(await run.ended).toBe(5);
    expect(run.said()).toContain("tandem migrate");
  });

  it("does at most one round trip a second when idle", async () => {
    const { url } = await makeDatabase(server);
    const node = serve(url);
    await node.ready;
    const connection = await createConnection(url);
    await connection.query("DO SLEEP(4)");
    await connection.query("SET GLOBAL log_output='TABLE'");
    await connection.query("SET GLOBAL general_log=1");
    await connection.query("DO SLEEP(10)");
    await connection.query("SET GLOBAL general_log=0");
    const [rows] = await connection.query("SELECT argument FROM mysql.general_log WHERE thread_id <> CONNECTION_ID()");
    const packets = (rows as { argument: string }[]).map(({ argument }) => argument.slice(0, 40));
    expect(packets.length).toBeGreaterThanOrEqual(9);
    expect(packets.length, packets.join("\n")).toBeLessThanOrEqual(11); // ten, and one at an edge
    await connection.end();
    node.child.kill("SIGTERM");
    expect(await node.ended).toBe(0);
  });

  it("refuses another NATS prefix than the first node's, naming both", async () => {
    const id = await agreeOnCluster(database.url, 2000, "one.prefix");
    expect(await agreeOnCluster(database.url, 2000, "one.prefix")).toBe(id);
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
    await expect(agreeOnCluster(database.url, 2000, "other")).rejects.toThrow(/'one.prefix'.*'other'/);
  });
});
