// The barrier on a real MariaDB: the conformance every store passes, and what only this database can get wrong.
import { createPool, type Pool, type RowDataPacket } from "mysql2/promise";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { barrierFrom } from "../../../src/client/barrier/delivery.js";
import { type MysqlBarrier, mysqlBarrier } from "../../../src/client/barrier/mysql2.js";
import { BarrierError, InvalidBranch, Ongoing } from "../../../src/client/errors.js";
import { available, type Database, makeDatabase, type Server, startMariadb } from "../../servers.js";
import { adapterConformance, gate, startConformance } from "../barrier/adapter.js";
import { barrierConformance } from "../barrier/conformance.js";
import { rememberConformance } from "../barrier/remember.js";
import type { World } from "../barrier/world.js";
import { mysqlWorld } from "./mysqlworld.js";

let server: Server;
let database: Database;
let pool: Pool;
let guard: MysqlBarrier;
let world: World<unknown>;

const here = await available("mysql");

beforeAll(async () => {
  if (!here) return;
  server = await startMariadb();
  database = await makeDatabase(server);
  pool = createPool({ uri: database.url, connectionLimit: 12 });
  guard = mysqlBarrier(pool, { table: `${database.name}.barrier` });
  await guard.migrate();
  world = await mysqlWorld(pool, guard, "barrier");
});

afterAll(async () => {
  await pool?.end();
  await database?.drop();
  await server?.stop();
});

const action = (gid: string) => barrierFrom({ gid, trans_type: "saga", branch_id: "01", op: "action" });
const compensation = (gid: string) => barrierFrom({ gid, trans_type: "saga", branch_id: "01", op: "compensate" });
const lockWait = async (connection: { query: Pool["query"] }) => {
  const [rows] = await connection.query<(RowDataPacket & { seconds: number })[]>(
    "select @@session.innodb_lock_wait_timeout as seconds",
  );
  return rows[0]?.seconds;
};

describe.runIf(here)("barrier on MariaDB", () => {
  barrierConformance(() => world, { traces: 150, pauseMsMax: 8 });

  describe("that remembers", () => {
    const open = () => mysqlBarrier(pool, { table: `${database.name}.recalled`, remember: true });
    beforeAll(() => open().migrate());
    rememberConformance(open);

    it("cleans what it remembered with the rows", async () => {
      await open().run(action("old value"), async () => 5);
      for (const table of ["recalled", "recalled_result"]) {
        await pool.query(`update ${table} set create_time = now() - interval 8 day where gid = 'old value'`);
      }
      expect(await open().clean()).toBe(1);
      const [rows] = await pool.query<RowDataPacket[]>("select * from recalled_result where gid = 'old value'");
      expect(rows).toEqual([]);
    });

    it("names the table that is missing", async () => {
      const lost = mysqlBarrier(pool, { table: "barrier", remember: true });
      await expect(lost.run(action("nowhere to keep it"), async () => 5)).rejects.toMatchObject({
        ...{
          message: expect.stringContaining("`barrier_result` is missing"),
          hint: expect.stringContaining("migrate"),
        },
      });
      expect(await world.rows("nowhere to keep it")).toEqual([]);
    });
  });

  adapterConformance(() => ({
    guard,
    impatient: mysqlBarrier(pool, { table: "barrier", lockTimeout: "1s" }),
    lost: mysqlBarrier(pool, { table: "nowhere" }),
    async begin() {
      const tx = await pool.getConnection();
      await tx.beginTransaction();
      return {
        tx,
        commit: () => tx.commit().then(() => tx.release()),
        rollback: () => tx.rollback().then(() => tx.release()),
      };
    },
    rows: (gid) => world.rows(gid),
    age: (gid) => pool.execute("update barrier set create_time = now() - interval 8 day where gid = ?", [gid]),
  }));

  it("puts the session's lock timeout back after a wait, also when two calls share a connection", async () => {
    const impatient = mysqlBarrier(pool, { table: "barrier", lockTimeout: "1s" });
    const end = gate();
    const inside = gate();
    const slow = impatient.run(action("shared"), async () => {
      inside.open();
      await end.opened;
    });
    await inside.opened;
    await expect(impatient.run(compensation("shared"), async () => {})).rejects.toThrow(Ongoing);
    end.open();
    await slow;
    const connection = await pool.getConnection();
    await connection.beginTransaction();
    await Promise.all(["a", "b", "c"].map((id) => impatient.within(connection, action(`shared ${id}`), async () => 1)));
    await connection.commit();
    connection.release();
    const connections = await Promise.all(Array.from({ length: 12 }, () => pool.getConnection()));
    const settings = await Promise.all(connections.map(lockWait));
    for (const one of connections) one.release();
    expect(new Set(settings)).toEqual(new Set([50]));
  });

  it("does not let the barrier's lock timeout reach the business statements", async () => {
    const result = await guard.run(action("setting"), lockWait);
    expect(result).toEqual({ kind: "executed", value: 50 });
  });

  it("tells a duplicate although the owner's snapshot is older than the row", async () => {
    const connection = await pool.getConnection();
    await connection.query("set session transaction isolation level repeatable read");
    await connection.beginTransaction();
    await connection.query("select count(*) from barrier");
    await guard.run(action("snapshot"), async () => {});
    expect((await guard.within(connection, action("snapshot"), async () => {})).kind).toBe("duplicate");
    await connection.rollback();
    connection.release();
  });

  it("refuses an id that the table would shorten, whatever its column's width", async () => {
    await pool.query("create table narrow like barrier");
    await pool.query("alter table narrow modify gid varchar(4) collate utf8mb4_bin");
    const narrow = mysqlBarrier(pool, { table: "narrow" });
    await expect(narrow.run(action("abcdef"), async () => {})).rejects.toThrow(BarrierError);
    const [rows] = await pool.query<RowDataPacket[]>("select * from narrow");
    expect(rows).toEqual([]);
  });

  it("raises an alarm where the collation takes two gids for one, instead of skipping the second", async () => {
    await pool.query("create table loose like barrier");
    await pool.query("alter table loose convert to character set utf8mb4 collate utf8mb4_general_ci");
    const loose = mysqlBarrier(pool, { table: "loose" });
    await loose.run(action("AbC"), async () => {});
    await expect(loose.run(action("aBc"), async () => {})).rejects.toThrow(/takes "aBc" and "AbC" for one id/);
    await expect(loose.run(action("AbC "), async () => {})).rejects.toThrow(InvalidBranch);
  });

  it("answers an error when the connection dies before the commit, and runs the next delivery", async () => {
    const gid = "killed";
    await expect(
      guard.run(action(gid), async (connection) => {
        const [rows] = await connection.query<(RowDataPacket & { id: number })[]>("select connection_id() as id");
        await pool.query(`kill ${rows[0]?.id}`);
      }),
    ).rejects.toThrow();
    expect((await guard.run(action(gid), async () => {})).kind).toBe("executed");
  });

  describe("checked at a service's start", () => {
    startConformance(() => ({
      guard,
      lost: mysqlBarrier(pool, { table: "nowhere" }),
      async count() {
        const [[row]] = await pool.query<(RowDataPacket & { n: number })[]>("select count(*) as n from barrier");
        return Number(row?.n);
      },
    }));

    const like = async (table: string, alter: string) => {
      await pool.query(`create table ${table} like barrier`);
      await pool.query(`alter table ${table} ${alter}`);
      return mysqlBarrier(pool, { table });
    };

    it.each([
      ["keyless", "drop key gid", /no unique key/, /alter table keyless add constraint uniq_barrier/],
      ["keyed_by_gid", "drop key gid, add unique key (gid)", /takes two branches of one gid/, /uniq_barrier/],
      ["caseless", "convert to character set utf8mb4 collate utf8mb4_general_ci", /two ids for one/, /utf8mb4_bin/],
      ["short", "modify gid varchar(64) collate utf8mb4_bin", /cannot hold/, /columns as wide/],
      ["ageless", "drop column create_time", /has other columns/, /migrate\(\)/],
      ["lasting", "engine = MyISAM", /rolled back is still in lasting/, /engine = InnoDB/],
    ])("finds a table that is %s", async (table, alter, message, hint) => {
      const bad = await like(table, alter);
      await expect(bad.selfCheck()).rejects.toMatchObject({
        ...{ code: "DTX_BARRIER", message: expect.stringMatching(message), hint: expect.stringMatching(hint) },
      });
    });

    it("finds that the table of results is missing, and says how to make it", async () => {
      await expect(mysqlBarrier(pool, { table: "barrier", remember: true }).selfCheck()).rejects.toMatchObject({
        message: expect.stringContaining("`barrier_result` is missing"),
        hint: expect.stringMatching(/--table barrier --remember/),
      });
    });

    it("finds that its user may not insert", async () => {
      await pool.query(`create user looker@'%' identified by 'x'`);
      await pool.query(`grant select on ${database.name}.* to looker@'%'`);
      const url = new URL(database.url);
      Object.assign(url, { username: "looker", password: "x" });
      const looking = createPool(url.href);
      try {
        await expect(mysqlBarrier(looking, { table: "barrier" }).selfCheck()).rejects.toMatchObject({
          message: expect.stringMatching(/barrier cannot be used: INSERT command denied/),
          hint: expect.stringContaining("the rights insert and select on barrier"),
        });
      } finally {
        await looking.end();
        await pool.query("drop user looker@'%'");
      }
    });
  });
});
