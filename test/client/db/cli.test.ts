// The tool's commands about a participant's database, on real ones: barrier tables, prepared XA branches, one gid.

import { createConnection, type RowDataPacket } from "mysql2/promise";
import { Client as PgClient } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig } from "../../../src/config/config.js";
import { type RunningNode, startNode } from "../../../src/node.js";
import { tandem } from "../../cli/recorder.js";
import { available, makeDatabase, startMariadb, startPostgres } from "../../servers.js";

/** A database as this test looks at it, past the tool. */
interface Bare {
  readonly url: string;
  /** First column of each row. */
  ask(sql: string): Promise<readonly unknown[]>;
  /** Leaves a branch prepared, in which `sql` was done. */
  prepare(xid: string, sql: string): Promise<void>;
  prepared(): Promise<readonly unknown[]>;
  readonly old: string;
  stop(): Promise<void>;
}

async function mariadb(): Promise<Bare> {
  const server = await startMariadb();
  const database = await makeDatabase(server);
  const ask = async (sql: string) => {
    const connection = await createConnection({ uri: database.url });
    const [rows] = await connection.query<RowDataPacket[]>(sql);
    await connection.end();
    return Array.isArray(rows) ? rows.map((row) => Object.values(row)[0]) : [];
  };
  return {
    url: database.url,
    ask,
    async prepare(xid, sql) {
      const connection = await createConnection({ uri: database.url });
      for (const each of [`xa start '${xid}'`, sql, `xa end '${xid}'`, `xa prepare '${xid}'`])
        await connection.query(each);
      connection.destroy();
    },
    async prepared() {
      const connection = await createConnection({ uri: database.url });
      const [rows] = await connection.query<RowDataPacket[]>("xa recover");
      await connection.end();
      return rows.map(({ data }) => String(data)).filter((xid) => xid.startsWith("cli-"));
    },
    old: "now() - interval 8 day",
    async stop() {
      await database.drop();
      await server.stop();
    },
  };
}

async function postgres(): Promise<Bare> {
  const server = await startPostgres();
  const ask = async (sql: string) => {
    const client = new PgClient({ connectionString: server.url });
    await client.connect();
    const { rows } = await client.query<Record<string, unknown>>(sql);
    await client.end();
    return rows.map((row) => Object.values(row)[0]);
  };
  return {
    url: server.url,
    ask,
    prepare: async (xid, sql) => void (await ask(`begin; ${sql}; prepare transaction '${xid}'`).catch(() => {})),
    prepared: () => ask("select gid from pg_prepared_xacts where gid like 'cli-%' order by gid"),
    old: "now() - interval '8 days'",
    stop: () => server.stop(),
  };
}

describe.each([
  ["MariaDB", await available("mysql"), mariadb],
  ["Postgres", await available("postgres"), postgres],
] as const)("tandem on a participant's %s", (name, here, open) => {
  describe.runIf(here)("with its barrier", () => {
    let db: Bare;
    let node: RunningNode;
    beforeAll(async () => {
      db = await open();
      const flags = { "Store.Url": "memory:", HttpPort: "0", GrpcPort: "0", LogLevel: "error" };
      node = await startNode(loadConfig({ environment: {}, flags, readFile: () => "" }).config);
    });
    afterAll(async () => {
      await node?.close(500);
      await db?.stop();
    });

    const table = "cli_barrier";
    const tool = (...args: string[]) =>
      tandem([...args, "--table", table], {
        environment: { TANDEM_DATABASE_URL: db.url, TANDEM_URL: node.addresses.http },
      });
    const post = (operation: string, body: object) =>
      fetch(`${node.addresses.http}/api/dtmsvr/${operation}`, { method: "POST", body: JSON.stringify(body) });
    const insert = (gid: string, at: string) =>
      `insert into ${table} (trans_type, gid, branch_id, op, barrier_id, reason, create_time)
       values ('saga', '${gid}', '01', 'action', '01', 'compensate', ${at})`;
    const gids = async () => (await db.ask(`select gid from ${table} order by gid`)).map(String);

    it("says what to do while there is no table, makes it, and makes it again without harm", async () => {
      const missing = await tool("barrier", "clean");
      expect(missing.code).toBe(5);
      expect(missing.err).toContain(table);
      for (const _ of [1, 2])
        expect(await tool("barrier", "migrate", "--remember")).toMatchObject({ code: 0, err: "" });
      expect(await gids()).toEqual([]);
      expect(await db.ask(`select gid from ${table}_result`)).toEqual([]);
    });

    it("deletes what is old enough, and nothing younger than a day whatever it is told", async () => {
      await db.ask(insert("cli-old", db.old));
      await db.ask(insert("cli-new", "now()"));
      expect(await tool("barrier", "clean", "--older", "9d")).toMatchObject({
        out: expect.stringContaining(": 0 rows"),
      });
      expect(await tool("barrier", "clean")).toMatchObject({
        code: 0,
        out: expect.stringContaining(": 1 rows older than 7d"),
      });
      expect(await gids()).toEqual(["cli-new"]);
      const hasty = await tool("barrier", "clean", "--older", "1h");
      expect(hasty).toMatchObject({ code: 2, err: expect.stringContaining("younger than a day") });
      expect(await tool("barrier", "clean", "--older", "soon")).toMatchObject({ code: 2 });
      expect(await gids()).toEqual(["cli-new"]);
    });

    it("gives branches left prepared their transaction's end, and leaves the others alone", async () => {
      const saga = { trans_type: "saga", steps: [{ action: "", compensate: "" }], payloads: [""], wait_result: true };
      expect((await post("submit", { ...saga, gid: `cli-yes` })).status).toBe(200);
      await post("prepare", { gid: "cli-no", trans_type: "tcc" });
      await post("abort", { gid: "cli-no", trans_type: "tcc", wait_result: true });
      await post("prepare", { gid: "cli-open", trans_type: "tcc" });
      for (const gid of ["cli-yes", "cli-no", "cli-open", "cli-nobody"])
        await db.prepare(`${gid}-01`, insert(gid, "now()"));
      const dry = await tool("xa", "recover", "--prefix", "cli-", "--dry-run");
      expect(dry).toMatchObject({ code: 0, out: expect.stringContaining("would be committed") });
      expect(await db.prepared()).toHaveLength(4);
      const done = await tool("xa", "recover", "--prefix", "cli-", "--json");
      const fates = (JSON.parse(done.out) as { gid: string; fate: string }[]).map(({ gid, fate }) => `${gid} ${fate}`);
      expect(fates.sort()).toEqual([
        "cli-no rolled-back",
        "cli-nobody unknown",
        "cli-open waiting",
        "cli-yes committed",
      ]);
      expect([...(await db.prepared())].sort()).toEqual(["cli-nobody-01", "cli-open-01"]);
      expect(await gids()).toEqual(["cli-new", "cli-yes"]);
      for (const gid of ["cli-open", "cli-nobody"])
        await db.ask(name === "MariaDB" ? `xa rollback '${gid}-01'` : `rollback prepared '${gid}-01'`);
    });

    it("shows a gid at both ends, or at the one that knows it", async () => {
      const both = await tool("gid", "cli-yes");
      expect(both.code).toBe(0);
      expect(both.out).toMatch(
        /succeed[\s\S]*barrier rows in .*\n.*written by.*\n.*01 +action +01 +compensate +20\d\d-/,
      );
      expect(both.out).not.toMatch(/:[^/@*\s]+@/);
      const there = await tool("gid", "cli-new");
      expect(there).toMatchObject({ code: 0, out: expect.stringContaining("compensate") });
      expect((await tool("gid", "cli-no")).err).toContain("no barrier row");
      expect((await tool("gid", "cli-unheard")).code).toBe(7);
    });

    it("says which end cannot be reached, without the password", async () => {
      const environment = { TANDEM_DATABASE_URL: db.url, TANDEM_URL: "http://127.0.0.1:9" };
      await db.prepare("cli-lost-01", insert("cli-lost", "now()"));
      const lost = await tandem(["xa", "recover", "--table", table, "--prefix", "cli-lost"], { environment });
      expect(lost).toMatchObject({ code: 6, err: expect.stringContaining("127.0.0.1:9") });
      await db.ask(name === "MariaDB" ? "xa rollback 'cli-lost-01'" : "rollback prepared 'cli-lost-01'");
      const scheme = name === "MariaDB" ? "mysql" : "postgres";
      const away = await tandem(["barrier", "migrate", "--database", `${scheme}://u:geheim@127.0.0.1:9/d`]);
      expect(away).toMatchObject({ code: 5, err: expect.stringContaining(`${scheme}://u:***@127.0.0.1:9/d`) });
      expect(away.err).not.toContain("geheim");
    });
  });
});

describe("tandem about databases", () => {
  it.each([
    [["barrier", "migrate"], /no database is named/],
    [["barrier", "migrate", "--database", "redis://h/0"], /not the URL of a participant's database/],
    [["barrier", "migrate", "--database", "mysql://h/d", "--table", "a b"], /not a table name/],
    [["gid"], /missing required argument/],
  ])("answers %j with exit code 2 and what is wrong", async (args, message) => {
    expect(await tandem(args)).toMatchObject({ code: 2, out: "", err: expect.stringMatching(message) });
  });
});
