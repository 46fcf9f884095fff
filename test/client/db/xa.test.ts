// XA over two real databases with our coordinator: both commit or neither, whatever is lost on the way.
import { createServer } from "node:http";
import { createPool, type Pool as MysqlPool, type RowDataPacket } from "mysql2/promise";
import { Pool } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mysqlBarrier } from "../../../src/client/barrier/mysql2.js";
import { postgresBarrier } from "../../../src/client/barrier/pg.js";
import { type Client, createClient, Failure, type Route } from "../../../src/client/index.js";
import { tandemRoutes } from "../../../src/client/participant/express.js";
import { recoverXa, xaRoute } from "../../../src/client/xa/index.js";
import { mysqlXa } from "../../../src/client/xa/mysql2.js";
import { postgresXa } from "../../../src/client/xa/pg.js";
import { type Embedded, startEmbedded } from "../../../src/embedded/embedded.js";
import { available, type Database, makeDatabase, type Server, startMariadb, startPostgres } from "../../servers.js";
import { listen, stop } from "../e2e/service.js";
import { until } from "../e2e/suite.js";

const here = (await available("mysql")) && (await available("postgres"));

describe.runIf(here)("XA over MariaDB and Postgres", () => {
  let servers: readonly Server[];
  let database: Database;
  let mysql: MysqlPool;
  let pg: Pool;
  let coordinator: Embedded;
  let client: Client;
  let url: string;
  const http = createServer((request, response) => tandemRoutes(routes)(request, response));
  let routes: readonly Route[] = [];

  beforeAll(async () => {
    servers = await Promise.all([startMariadb(), startPostgres()]);
    database = await makeDatabase(servers[0]!);
    mysql = createPool({ uri: database.url });
    pg = new Pool({ connectionString: servers[1]!.url });
    await mysqlBarrier(mysql, { table: "barrier" }).migrate();
    await postgresBarrier(pg).migrate();
    await mysql.query("create table account (name varchar(40) primary key, balance int)");
    await pg.query("create table account (name varchar(40) primary key, balance int)");
    coordinator = await startEmbedded({ store: "memory:", retryIntervalSeconds: 1 });
    client = createClient({ endpoints: [coordinator.endpoint], address: "unused" });
    routes = [
      xaRoute("/from", { database: mysqlXa(mysql, { table: "barrier" }), client }, async (tx, payload) => {
        const [result] = await tx.query(
          "update account set balance = balance - ? where name = ?",
          Object.values(payload!),
        );
        return result;
      }),
      xaRoute("/to", { database: postgresXa(pg), client }, async (tx, payload) => {
        const [amount, name] = Object.values(payload!);
        if (name === "closed") throw new Failure("account closed");
        await tx.query("update account set balance = balance + $1 where name = $2", [amount, name]);
        if (name === "careless") await tx.query("select * from nowhere").catch(() => {});
      }),
    ];
    url = await listen(http);
  });

  afterAll(async () => {
    await stop(http);
    await coordinator?.close(100);
    await Promise.all([mysql?.end(), pg?.end()]);
    await Promise.all((servers ?? []).map((server) => server.stop()));
  });

  const balances = async (name: string) => {
    const [rows] = await mysql.query<(RowDataPacket & { balance: number })[]>(
      "select balance from account where name = ?",
      [name],
    );
    const { rows: others } = await pg.query<{ balance: number }>("select balance from account where name = $1", [name]);
    return [rows[0]?.balance, others[0]?.balance];
  };
  const open = async (name: string) => {
    await mysql.query("insert into account values (?, 100)", [name]);
    await pg.query("insert into account values ($1, 0)", [name]);
  };
  const prepared = async () => {
    const [xids] = await mysql.query<RowDataPacket[]>("xa recover");
    const { rows } = await pg.query("select gid from pg_prepared_xacts");
    return xids.length + rows.length;
  };

  it("commits both", async () => {
    await open("ann");
    await client.xa(async (xa) => {
      await xa.call(`${url}/from`, { amount: 30, name: "ann" });
      await xa.call(`${url}/to`, { amount: 30, name: "ann" });
    });
    await until(
      async () => (await balances("ann")).join() === "70,30",
      () => balances("ann"),
    );
    expect(await prepared()).toBe(0);
  });

  it("undoes what is prepared when a later branch refuses", async () => {
    await open("bob");
    const refused = client.xa(async (xa) => {
      await xa.call(`${url}/from`, { amount: 30, name: "bob" });
      await xa.call(`${url}/to`, { amount: 30, name: "closed" });
    });
    await expect(refused).rejects.toThrow(/account closed/);
    await until(
      async () => (await prepared()) === 0,
      () => prepared(),
    );
    expect(await balances("bob")).toEqual([100, 0]);
  });

  it("does not take a branch for prepared whose code swallowed a failed statement", async () => {
    await open("careless");
    const careless = client.xa(async (xa) => {
      await xa.call(`${url}/from`, { amount: 30, name: "careless" });
      await xa.call(`${url}/to`, { amount: 30, name: "careless" });
    });
    await expect(careless).rejects.toThrow(/was not prepared/);
    await until(
      async () => (await prepared()) === 0,
      () => prepared(),
    );
    expect(await balances("careless")).toEqual([100, 0]);
  });

  it("asks again within seconds when a branch is delivered a second time while the first is prepared", async () => {
    await open("zoe");
    await client.xa({ gid: "twice", wait: "10s" }, async (xa) => {
      await xa.call(`${url}/to`, { amount: 5, name: "zoe" });
      const query = "gid=twice&trans_type=xa&branch_id=01&op=action&phase2_url=x";
      const began = performance.now();
      const again = await fetch(`${url}/to?${query}`, { method: "POST", body: '{"amount":5,"name":"zoe"}' });
      expect(again.status).toBe(425);
      expect(performance.now() - began).toBeLessThan(6_000);
    });
    expect((await balances("zoe"))[1]).toBe(5);
  });

  it("answers repeated commits and rollbacks alike, and tells a lost branch from a committed one", async () => {
    await open("eve");
    let gid = "";
    await client.xa(async (xa) => {
      gid = xa.gid;
      await xa.call(`${url}/from`, { amount: 1, name: "eve" });
      await xa.call(`${url}/to`, { amount: 1, name: "eve" });
    });
    await until(
      async () => (await balances("eve")).join() === "99,1",
      () => balances("eve"),
    );
    const ask = async (path: string, of: string, op: string, branch = "01") =>
      (await fetch(`${url}${path}?gid=${of}&trans_type=xa&branch_id=${branch}&op=${op}`, { method: "POST" })).status;
    expect(await ask("/from", gid, "commit")).toBe(200);
    expect(await ask("/to", gid, "commit", "02")).toBe(200);
    expect(await ask("/from", "nobody", "rollback")).toBe(200);
    expect(await ask("/from", "nobody", "rollback")).toBe(200);
    expect(await ask("/from", "never-there", "commit")).toBe(500);
    expect(await ask("/from", gid, "rollback")).toBe(500);
    expect(await ask("/from", "a'b", "commit")).toBe(500);
  });

  it("asks again when a commit finds no branch, and the row that would tell is held by another session", async () => {
    const holder = await mysql.getConnection();
    await holder.query("xa start 'other'");
    await holder.query(
      `insert into barrier (trans_type, gid, branch_id, op, barrier_id, reason)
       values ('xa', 'held', '01', 'action', '01', 'action')`,
    );
    const began = performance.now();
    const answer = await fetch(`${url}/from?gid=held&trans_type=xa&branch_id=01&op=commit`, { method: "POST" });
    expect([answer.status, performance.now() - began < 2_900]).toEqual([425, true]);
    await holder.query("xa end 'other'");
    await holder.query("xa rollback 'other'");
    holder.destroy();
  });

  it("refuses a branch that starts after it was rolled back", async () => {
    const gid = "late-starter";
    const query = `gid=${gid}&trans_type=xa&branch_id=01`;
    await fetch(`${url}/from?${query}&op=rollback`, { method: "POST" });
    const late = await fetch(`${url}/from?${query}&op=action&phase2_url=x`, { method: "POST", body: "{}" });
    expect([late.status, await late.text()]).toEqual([409, expect.stringContaining("rolled back before it started")]);
    expect(await prepared()).toBe(0);
  });

  describe("recovery", () => {
    /** A branch as a participant without our guard leaves it: prepared, and forgotten by everybody. */
    const forget = async (gid: string, name: string) => {
      const xid = `${gid}-07`;
      const connection = await mysql.getConnection();
      await connection.query(`xa start '${xid}'`);
      await connection.query("update account set balance = balance - 1 where name = ?", [name]);
      await connection.query(`xa end '${xid}'`);
      await connection.query(`xa prepare '${xid}'`);
      connection.destroy();
      const other = await pg.connect();
      await other.query("begin");
      await other.query("update account set balance = balance + 1 where name = $1", [name]);
      await other.query(`prepare transaction '${xid}'`);
      other.release();
    };
    const recovered = async (prefix: string, dryRun = false) => {
      const found = [
        ...(await recoverXa(mysqlXa(mysql, { table: "barrier" }), client, { prefix, dryRun })),
        ...(await recoverXa(postgresXa(pg), client, { prefix, dryRun })),
      ];
      return found.map(({ gid, branchId, fate }) => `${gid} ${branchId} ${fate}`);
    };

    it("gives forgotten branches the end of their transaction, and says before what it would do", async () => {
      await open("fay");
      await client.xa({ gid: "rec-done", wait: "10s" }, async (xa) => {
        await xa.call(`${url}/from`, { amount: 0, name: "fay" });
      });
      await forget("rec-done", "fay");
      expect(await recovered("rec-", true)).toEqual(["rec-done 07 committed", "rec-done 07 committed"]);
      expect(await prepared()).toBe(2);
      expect(await recovered("rec-")).toEqual(["rec-done 07 committed", "rec-done 07 committed"]);
      expect([await prepared(), await balances("fay")]).toEqual([0, [99, 1]]);

      const refused = client.xa({ gid: "rec-undone" }, async () => {
        throw new Failure("changed my mind");
      });
      await expect(refused).rejects.toThrow("changed my mind");
      await until(
        async () => (await client.query("rec-undone"))?.status === "failed",
        () => client.query("rec-undone"),
      );
      await forget("rec-undone", "fay");
      expect(await recovered("rec-")).toEqual(["rec-undone 07 rolled-back", "rec-undone 07 rolled-back"]);
      expect([await prepared(), await balances("fay")]).toEqual([0, [99, 1]]);
    });

    it("leaves alone what is still going on, and what the coordinator does not know", async () => {
      await open("gus");
      let during: readonly string[] = [];
      await client.xa({ gid: "rec-open", wait: "10s" }, async (xa) => {
        await xa.call(`${url}/from`, { amount: 5, name: "gus" });
        during = await recovered("rec-");
      });
      expect(during).toEqual(["rec-open 01 waiting"]);
      expect((await balances("gus"))[0]).toBe(95);

      await forget("rec-foreign", "gus");
      expect(await recovered("rec-")).toEqual(["rec-foreign 07 unknown", "rec-foreign 07 unknown"]);
      expect(await recovered("another-")).toEqual([]);
      expect(await prepared()).toBe(2);
      await mysql.query("xa rollback 'rec-foreign-07'");
      await pg.query("rollback prepared 'rec-foreign-07'");
    });

    it("says which right is missing where the branches cannot be listed", async () => {
      const blind = { ...mysqlXa(mysql), prepared: () => Promise.reject(new Error("access denied")) };
      await expect(recoverXa(blind, client)).rejects.toMatchObject({ hint: expect.stringContaining("XA_RECOVER") });
    });
  });
});
