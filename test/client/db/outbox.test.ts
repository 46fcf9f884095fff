// The outbox on real databases: messages go out if and only if their transaction commits, in order per key, whatever
// dies.
import { createPool, type Pool as MysqlPool } from "mysql2/promise";
import { Pool } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Endpoint } from "../../../src/client/api.js";
import { mysqlLibrary } from "../../../src/client/barrier/mysql2.js";
import { postgresLibrary } from "../../../src/client/barrier/pg.js";
import type { SqlLibrary } from "../../../src/client/barrier/sql.js";
import { createClient } from "../../../src/client/index.js";
import { type Outbox, sqlOutbox } from "../../../src/client/outbox/outbox.js";
import { available, type Database, makeDatabase, type Server, startMariadb, startPostgres } from "../../servers.js";
import { recorder } from "../outbox/rules.js";

const kinds = await Promise.all([available("mysql"), available("postgres")]);

interface Opened {
  readonly library: SqlLibrary<never>;
  close(): Promise<void>;
}

async function openMysql(): Promise<Opened> {
  const server: Server = await startMariadb();
  const database: Database = await makeDatabase(server);
  const pool: MysqlPool = createPool({ uri: database.url });
  const close = async () => {
    await pool.end();
    await database.drop();
    await server.stop();
  };
  return { library: mysqlLibrary(pool) as unknown as SqlLibrary<never>, close };
}

async function openPostgres(): Promise<Opened> {
  const server = await startPostgres();
  const pool = new Pool({ connectionString: server.url });
  const close = async () => {
    await pool.end();
    await server.stop();
  };
  return { library: postgresLibrary(pool) as unknown as SqlLibrary<never>, close };
}

const databases: readonly (readonly [string, boolean, () => Promise<Opened>])[] = [
  ["MariaDB", kinds[0]!, openMysql],
  ["Postgres", kinds[1]!, openPostgres],
];

describe.each(databases)("outbox on %s", (_, here, open) => {
  describe.runIf(here)("where there is a server", () => {
    let opened: Opened;
    let table: string;
    let outbox: Outbox<never>;
    let tables = 0;
    const errors: string[] = [];

    /** An empty one, so that what one test leaves is nothing to the next. */
    const emptyOutbox = async () => {
      table = `outbox_${++tables}`;
      outbox = sqlOutbox(opened.library, { table, onError: (gid) => errors.push(gid), interval: "20ms" });
      await outbox.migrate();
    };
    beforeAll(async () => {
      opened = await open();
    });
    beforeEach(emptyOutbox);
    afterAll(() => opened?.close());

    const enqueue = (gid: string, key?: string) =>
      opened.library.transaction((tx) => outbox.enqueue(tx, { gid, key, to: "http://p/in", payload: { gid } }));

    it("makes its table where there is none, once, though several processes begin at the same moment", async () => {
      const standard = sqlOutbox(opened.library);
      await Promise.all(Array.from({ length: 4 }, () => standard.migrate()));
      await standard.migrate();
      const { submitted, client } = recorder();
      const gid = await opened.library.transaction((tx) => standard.enqueue(tx, { to: "http://p/in" }));
      expect(await standard.relayOnce(client)).toBe(1);
      expect(submitted).toEqual([gid]);
    });

    it("goes on with a table that an earlier version made, whose messages it keeps", async () => {
      const exec = (text: string) =>
        opened.library.transaction((tx) =>
          opened.library
            .statements(tx)
            .exec(text, [])
            .then(() => {}),
        );
      const isMysql = opened.library.database === "mysql";
      await exec(`create table first_outbox (
        id ${isMysql ? "bigint primary key auto_increment" : "bigserial primary key"}, gid varchar(128) not null unique,
        order_key varchar(200) not null, target varchar(1024) not null, payload text not null,
        created_at timestamp default now(), submitted_at ${isMysql ? "datetime(3)" : "timestamptz"} null)`);
      await exec(
        "insert into first_outbox (gid, order_key, target, payload) values ('old', 'old', 'http://p/in', '1')",
      );
      const grown = sqlOutbox(opened.library, { table: "first_outbox", onError: () => {} });
      await expect(grown.relayOnce(recorder().client)).rejects.toMatchObject({
        ...{ code: "DTX_BARRIER", hint: expect.stringMatching(/migrate\(\)/) },
      });
      await Promise.all([grown.migrate(), grown.migrate()]);
      const { submitted, client } = recorder();
      expect(await grown.relayOnce(client)).toBe(1);
      expect(submitted).toEqual(["old"]);
      await exec("drop table first_outbox");
    });

    it("submits what was committed, once, and nothing that was rolled back", async () => {
      const { submitted, client } = recorder();
      await enqueue("a1");
      const undone = opened.library.transaction(async (tx) => {
        await outbox.enqueue(tx, { gid: "a2", to: "http://p/in" });
        throw new Error("rolled back");
      });
      await expect(undone).rejects.toThrow("rolled back");
      expect(await outbox.relayOnce(client)).toBe(1);
      expect(await outbox.relayOnce(client)).toBe(0);
      expect(submitted).toEqual(["a1"]);
    });

    it("keeps the order within a key when a message must be tried again, and lets others pass", async () => {
      const { submitted, client } = recorder((gid, times) =>
        gid === "b1" && times < 3 ? new Error("answer lost") : { status: 200, body: {} },
      );
      for (const gid of ["b1", "b2", "b3"]) await enqueue(gid, "order 7");
      await enqueue("c1", "order 8");
      await outbox.relayOnce(client);
      await outbox.relayOnce(client);
      await outbox.relayOnce(client);
      expect(submitted.filter((gid) => gid.startsWith("b")).slice(-3)).toEqual(["b1", "b2", "b3"]);
      expect(submitted.indexOf("c1")).toBeLessThan(submitted.indexOf("b2"));
      expect(errors).toContain("b1");
    });

    it("lets others pass a batch of refused messages; those of their keys wait until somebody settles it", async () => {
      const narrow = sqlOutbox(opened.library, { table, batch: 2, refusals: 1, onError: () => {} });
      const { submitted, client } = recorder((gid) =>
        gid.startsWith("bad") ? { status: 400, body: { message: `no topic for ${gid}` } } : { status: 200, body: {} },
      );
      for (const gid of ["bad1", "bad2", "bad3"]) await enqueue(gid, `key of ${gid}`);
      await enqueue("behind1", "key of bad1");
      await enqueue("behind2", "key of bad2");
      await enqueue("free", "another key");
      await narrow.relayOnce(client);
      expect(submitted.filter((gid) => !gid.startsWith("bad"))).toEqual(["free"]);
      expect(submitted.filter((gid) => gid === "bad1")).toHaveLength(1);
      const dead = await narrow.dead();
      expect(dead.map(({ gid }) => gid)).toEqual(["bad1", "bad2", "bad3"]);
      expect(dead[0]).toMatchObject({ to: "http://p/in", reason: expect.stringContaining("no topic for bad1") });

      expect(await narrow.discard("bad1")).toBe(true);
      expect(await narrow.discard("free"), "what was submitted is not dead").toBe(false);
      expect(await narrow.revive("bad2")).toBe(true);
      const repaired = recorder();
      await narrow.relayOnce(repaired.client);
      expect(repaired.submitted).toEqual(["bad2", "behind1", "behind2"]);
      expect(await narrow.discard("bad3")).toBe(true);
    });

    it("puts a refused message aside before it is dead, so that later ones do not wait for it", async () => {
      const patient = sqlOutbox(opened.library, { table, batch: 1, onError: () => {} });
      const { submitted, client } = recorder((gid) => ({ status: gid === "aside" ? 400 : 200, body: {} }));
      await enqueue("aside");
      await enqueue("after it");
      await patient.relayOnce(client);
      expect(submitted).toEqual(["aside", "after it"]);
      expect(await patient.dead()).toEqual([]);
      const deadline = Date.now() + 5_000;
      while (submitted.length < 3 && Date.now() < deadline) {
        await patient.relayOnce(client);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      expect(submitted, "it is tried again when its pause is over").toEqual(["aside", "after it", "aside"]);
    });

    it("shares the work between relays without submitting anything twice", async () => {
      const { submitted, client } = recorder();
      for (let n = 0; n < 40; n++) await enqueue(`d${n}`);
      await Promise.all([outbox.relayOnce(client), outbox.relayOnce(client), outbox.relayOnce(client)]);
      await outbox.relayOnce(client);
      expect([...submitted].sort()).toEqual(Array.from({ length: 40 }, (_, n) => `d${n}`).sort());
    });

    it("has relays that look at the same moment pass each other by, also in small tables", async () => {
      const { submitted, client } = recorder();
      let collisions = 0;
      const counted: SqlLibrary<never> = {
        ...opened.library,
        transaction: (work) =>
          opened.library.transaction(work).catch((error: unknown) => {
            collisions++;
            throw error;
          }),
      };
      const rounds = 15;
      for (let round = 0; round < rounds; round++) {
        await emptyOutbox();
        for (let n = 0; n < 40; n++) await enqueue(`p${round}-${n}`);
        const relay = sqlOutbox(counted, { table });
        await Promise.all(Array.from({ length: 6 }, () => relay.relayOnce(client)));
        await relay.relayOnce(client);
      }
      expect(new Set(submitted).size).toBe(rounds * 40);
      expect(submitted).toHaveLength(rounds * 40);
      // One in two rounds where an update reads rows that are not its own.
      expect(collisions).toBeLessThan(3);
    });

    it("takes a transaction that the database ended for others again, a few times", async () => {
      const isMysql = opened.library.database === "mysql";
      const endings = isMysql
        ? [1213, 1205, 1020].map((errno) => ({ errno }))
        : ["40P01", "40001", "55P03"].map((code) => ({ code }));
      let begun = 0;
      let unlucky = 0;
      /** Every transaction does its work, and the first `unlucky` of them lose it. */
      const strained: SqlLibrary<never> = {
        ...opened.library,
        transaction: (work) =>
          opened.library.transaction(async (tx) => {
            const value = await work(tx);
            if (begun++ < unlucky) throw Object.assign(new Error("ended for others"), endings[begun % endings.length]);
            return value;
          }),
      };
      const relay = sqlOutbox(strained, { table, onError: () => {} });
      for (const gid of ["g1", "g2"]) await enqueue(gid);
      const { submitted, client } = recorder();
      unlucky = 3;
      expect(await relay.relayOnce(client)).toBe(2);
      expect(submitted).toEqual(["g1", "g2"]);

      await enqueue("g3");
      [begun, unlucky] = [0, Number.POSITIVE_INFINITY];
      await expect(relay.relayOnce(client)).rejects.toThrow("ended for others");
      expect(begun).toBe(6);
      const mine = strained.transaction((tx) => relay.enqueue(tx, { to: "http://p/in" }));
      await expect(mine, "the caller's transaction is the caller's to repeat").rejects.toThrow("ended for others");
      expect(begun).toBe(7);
    });

    it("does not repeat what went wrong for other reasons", async () => {
      let begun = 0;
      const counted: SqlLibrary<never> = {
        ...opened.library,
        transaction: (work) => {
          begun++;
          return opened.library.transaction(work);
        },
      };
      const nowhere = sqlOutbox(counted, { table: "nowhere" });
      const unfit = { code: "DTX_BARRIER", message: expect.stringMatching(/nowhere.* is not as it must be/) };
      const mend = { ...unfit, hint: expect.stringMatching(/migrate\(\)/) };
      await expect(nowhere.relayOnce(recorder().client)).rejects.toMatchObject(mend);
      expect(begun).toBe(1);
      await expect(counted.transaction((tx) => nowhere.enqueue(tx, { to: "http://p/in" }))).rejects.toMatchObject(mend);
    });

    it("lets others enqueue while it waits for the coordinator", async () => {
      const busy: string[] = [];
      const endpoint: Endpoint = {
        address: "busy",
        async call(_operation, { gid }) {
          if (gid === "busy 1") await enqueue("busy 2", "the same key");
          busy.push(String(gid));
          return { status: 200, body: {} };
        },
      };
      await enqueue("busy 1", "the same key");
      const client = createClient({ endpoints: [endpoint], retry: { attempts: 1 } });
      expect(await outbox.relayOnce(client)).toBe(2);
      expect(busy).toEqual(["busy 1", "busy 2"]);
    });

    it("goes on with what a relay had claimed that died, once the claim is over", async () => {
      const never: Endpoint = { address: "never", call: () => new Promise(() => {}) };
      await enqueue("left 1", "left");
      await enqueue("left 2", "left");
      void outbox.relayOnce(createClient({ endpoints: [never] })).catch(() => {});
      const claimed = async () =>
        opened.library.transaction((tx) =>
          opened.library
            .statements(tx)
            .query(`select gid from ${table} where gid = ? and retry_at is not null`, ["left 1"]),
        );
      while ((await claimed()).length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      const { submitted, client } = recorder();
      expect(await outbox.relayOnce(client), "its order is kept meanwhile").toBe(0);
      await opened.library.transaction((tx) =>
        opened.library.statements(tx).exec(`update ${table} set retry_at = created_at where gid = ?`, ["left 1"]),
      );
      expect(await outbox.relayOnce(client)).toBe(2);
      expect(submitted).toEqual(["left 1", "left 2"]);
    });

    it("says how long a key and a target may be", async () => {
      await expect(enqueue("long", "k".repeat(201))).rejects.toMatchObject({
        ...{ code: "DTX_INVALID_INPUT", message: expect.stringContaining("its key up to 200") },
      });
    });

    it("refuses a second message of one gid, and cleans up what was submitted long ago", async () => {
      const { client } = recorder();
      await enqueue("e1");
      await expect(enqueue("e1")).rejects.toThrow();
      await outbox.relayOnce(client);
      expect(await outbox.clean()).toBe(0);
      const hasty = sqlOutbox(opened.library, { table, keep: 0 });
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(await hasty.clean()).toBeGreaterThan(0);
    });

    it("is relayed in the background until it is closed", async () => {
      const { submitted, client } = recorder();
      const relay = outbox.start(client);
      await enqueue("f1");
      relay.wake();
      const deadline = Date.now() + 5_000;
      while (!submitted.includes("f1") && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5));
      await relay.close();
      expect(submitted).toContain("f1");
    });
  });
});
