// The barrier on SQLite: the conformance every store passes, by each driver there is, and what a single connection
// whose transactions asynchronous handlers share can get wrong.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { barrierFrom } from "../../../src/client/barrier/delivery.js";
import { type SqliteBarrier, type SqliteConnection, sqliteBarrier } from "../../../src/client/barrier/sqlite.js";
import { Failure, Ongoing } from "../../../src/client/errors.js";
import { type Adapter, adapterConformance, gate, startConformance } from "../barrier/adapter.js";
import { barrierConformance } from "../barrier/conformance.js";
import { rememberConformance } from "../barrier/remember.js";
import type { Effect, Row, World } from "../barrier/world.js";
import { type Driver, drivers, type Opened, slowly } from "./drivers.js";

const action = (gid: string) => barrierFrom({ gid, trans_type: "saga", branch_id: "01", op: "action" });
const compensation = (gid: string) => barrierFrom({ gid, trans_type: "saga", branch_id: "01", op: "compensate" });
const pauseMs = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A file with its connections, which are closed and deleted at the end. */
function scene(driver: Driver, mode = "wal") {
  const folder = mkdtempSync(join(tmpdir(), "tandem-sqlite-"));
  const opened: Opened[] = [];
  const open = () => {
    const one = driver.open(join(folder, "bank.db"));
    opened.push(one);
    return one;
  };
  const own = open();
  own.prepare(`pragma journal_mode = ${mode}`).all();
  own.exec("create table effects (id integer primary key, gid text, branch_id text, op text, call_number int)");
  const reader = open();
  reader.exec("pragma busy_timeout = 1000");
  const close = () => {
    for (const one of opened) one.close();
    rmSync(folder, { recursive: true, force: true });
  };
  return { own, reader, open, close };
}

const insertEffect = "insert into effects (gid, branch_id, op, call_number) values (?, ?, ?, ?)";

/** What is committed is read by a connection of its own. */
function worldOf<Db extends SqliteConnection>(guard: SqliteBarrier<Db>, reader: Opened): World<Db> {
  const list = <T>(sql: string, gid: string) => (reader.prepare(sql).all(gid) as T[]).map((row) => ({ ...row }) as T);
  return {
    guard,
    async apply(tx, gid, { branchId, op, call }) {
      if ("prepare" in tx) tx.prepare(insertEffect).run(gid, branchId, op, call);
      else await tx.exec(insertEffect, [gid, branchId, op, call]);
    },
    effects: async (gid) =>
      list<Effect>(
        'select branch_id as "branchId", op, call_number as call from effects where gid = ? order by id',
        gid,
      ),
    rows: async (gid) =>
      list<Row>(
        'select branch_id as "branchId", op, barrier_id as "barrierId", reason from barrier where gid = ?',
        gid,
      ),
  };
}

describe.each(drivers().map((driver) => [driver.name, driver] as const))("barrier on SQLite by %s", (_, driver) => {
  let at: ReturnType<typeof scene>;
  let guard: SqliteBarrier<Opened>;
  let world: World<Opened>;
  beforeAll(async () => {
    at = scene(driver);
    guard = sqliteBarrier(at.own);
    await guard.migrate();
    await guard.migrate();
    world = worldOf(guard, at.reader);
  });
  afterAll(() => at?.close());

  barrierConformance(() => world, { traces: 100, pauseMsMax: 4 });
  adapterConformance(() => adapterOf(at, guard, world));
  describe("that remembers", () => {
    const open = () => sqliteBarrier(at.own, { table: "main.recalled", remember: true });
    beforeAll(() => open().migrate());
    rememberConformance(open);

    it("cleans what it remembered with the rows", async () => {
      await open().run(action("old value"), async () => 5);
      for (const table of ["recalled", "recalled_result"])
        at.own.exec(`update ${table} set create_time = datetime('now', '-8 days') where gid = 'old value'`);
      expect(await open().clean()).toBe(1);
      expect(at.own.prepare("select * from recalled_result where gid = 'old value'").all()).toEqual([]);
    });
  });

  describe("checked at a service's start", () => {
    startConformance(() => ({
      guard,
      lost: sqliteBarrier(at.own, { table: "nowhere" }),
      count: async () => (at.reader.prepare("select * from barrier").all() as unknown[]).length,
    }));

    it.each([
      [
        "keyless",
        "",
        /no unique key/,
        /create unique index uniq_barrier on keyless \(gid, branch_id, op, barrier_id\)/,
      ],
      ["ageless", "unique (gid, branch_id, op, barrier_id)", /has other columns/, /migrate\(\)/],
      ["caseless", "create_time, unique (gid collate nocase, branch_id, op, barrier_id)", /two ids for one/, /binary/],
    ])("finds a table that is %s", async (table, more, message, hint) => {
      const columns = ["trans_type", "gid", "branch_id", "op", "barrier_id", "reason", ...(more === "" ? [] : [more])];
      const all = table === "caseless" ? columns.map((one) => (one === "gid" ? "gid collate nocase" : one)) : columns;
      at.own.exec(`create table ${table} (${all.join(", ")})`);
      await expect(sqliteBarrier(at.own, { table }).selfCheck()).rejects.toMatchObject({
        ...{ code: "DTX_BARRIER", message: expect.stringMatching(message), hint: expect.stringMatching(hint) },
      });
    });
  });

  sharing(driver);
});

describe("barrier on SQLite by an asynchronous driver's two methods", () => {
  const [driver] = drivers();
  let at: ReturnType<typeof scene>;
  let world: World<ReturnType<typeof slowly>>;
  beforeAll(async () => {
    at = scene(driver!);
    const guard = sqliteBarrier(slowly(at.own));
    await guard.migrate();
    world = worldOf(guard, at.reader);
  });
  afterAll(() => at?.close());
  barrierConformance(() => world, { traces: 60, pauseMsMax: 2 });
});

function adapterOf(at: ReturnType<typeof scene>, guard: SqliteBarrier<Opened>, world: World<Opened>): Adapter<Opened> {
  return {
    guard,
    impatient: sqliteBarrier(at.own, { lockTimeout: "1s" }),
    lost: sqliteBarrier(at.own, { table: "nowhere" }),
    async begin() {
      const tx = at.open();
      tx.exec("begin immediate");
      return { tx, commit: async () => tx.exec("commit"), rollback: async () => tx.exec("rollback") };
    },
    rows: (gid) => world.rows(gid),
    age: async (gid) =>
      at.own.prepare("update barrier set create_time = datetime('now', '-8 days') where gid = ?").run(gid),
  };
}

/** One connection, or one file, and several handlers that wait in the middle of their work. */
function sharing(driver: Driver): void {
  describe("with several handlers at work", () => {
    let at: ReturnType<typeof scene>;
    let guard: SqliteBarrier<Opened>;
    let world: World<Opened>;
    beforeAll(async () => {
      at = scene(driver, "delete");
      guard = sqliteBarrier(at.own);
      await guard.migrate();
      world = worldOf(guard, at.reader);
    });
    afterAll(() => at?.close());
    const write = (tx: Opened, gid: string) => world.apply(tx, gid, { branchId: "01", op: "action", call: 1 });
    const kept = async (gid: string) => (await world.effects(gid)).length;

    it("never lets two share a transaction: one that fails undoes itself only", async () => {
      const [inside, end] = [gate(), gate()];
      const order: string[] = [];
      const failing = guard.run(action("fails"), async (tx) => {
        await write(tx, "fails");
        inside.open();
        await end.opened;
        order.push("first ends");
        throw new Failure("no");
      });
      await inside.opened;
      // A guard of its own over the same connection: they must know of each other.
      const other = sqliteBarrier(at.own).run(action("stays"), async (tx) => {
        order.push("second begins");
        await write(tx, "stays");
      });
      await pauseMs(30);
      end.open();
      await expect(failing).rejects.toThrow("no");
      expect((await other).kind).toBe("executed");
      expect(order).toEqual(["first ends", "second begins"]);
      expect([await kept("fails"), await kept("stays")]).toEqual([0, 1]);
    });

    it("keeps its turn when its transaction was ended early, so that it cannot commit what is another's", async () => {
      const [inside, end] = [gate(), gate()];
      const broken = guard.run(action("broken"), async (tx) => {
        // As SQLite does by itself when a disk is full.
        tx.exec("rollback");
        inside.open();
        await end.opened;
      });
      await inside.opened;
      const refused = guard.run(action("after it"), async (tx) => {
        await write(tx, "after it");
        await pauseMs(40);
        throw new Failure("no");
      });
      await pauseMs(20);
      end.open();
      const ends = await Promise.allSettled([broken, refused]);
      expect(ends.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
      expect(await kept("after it")).toBe(0);
    });

    it("waits for another connection of this process without stopping the process, and leaves its patience as it was", async () => {
      const second = at.open();
      second.exec("pragma busy_timeout = 5000");
      const inside = gate();
      const began = performance.now();
      const slow = guard.run(action("by one"), async (tx) => {
        await write(tx, "by one");
        inside.open();
        await pauseMs(60);
      });
      await inside.opened;
      const waiting = sqliteBarrier(second).run(compensation("by one"), (tx) => write(tx, "by two"));
      expect([(await slow).kind, (await waiting).kind]).toEqual(["executed", "executed"]);
      expect(performance.now() - began).toBeLessThan(1_500);
      expect([await kept("by one"), await kept("by two")]).toEqual([1, 1]);
      expect(second.prepare("pragma busy_timeout").all()).toMatchObject([{ timeout: 5000 }]);
    });

    it("keeps out of a transaction that other code has open on the connection", async () => {
      const hasty = sqliteBarrier(at.own, { lockTimeout: "1s" });
      at.own.exec("begin");
      await write(at.own, "foreign");
      await expect(hasty.run(action("kept out"), async () => {})).rejects.toThrow(Ongoing);
      const patient = guard.run(action("kept out"), (tx) => write(tx, "kept out"));
      await pauseMs(20);
      at.own.exec("rollback");
      expect((await patient).kind).toBe("executed");
      expect([await kept("foreign"), await kept("kept out")]).toEqual([0, 1]);
    });

    it("says at once that a transaction cannot be had inside of another one, which it would wait for", async () => {
      const began = performance.now();
      const nested = guard.run(action("outer"), () => guard.run(action("inner"), async () => {}));
      await expect(nested).rejects.toMatchObject({
        ...{ code: "DTX_BARRIER", message: expect.stringContaining("open on this connection already") },
        hint: expect.stringContaining("within(tx"),
      });
      expect(performance.now() - began).toBeLessThan(1_000);
      const both = guard.run(action("outer"), (tx) => guard.within(tx, action("inner"), async () => "in"));
      expect(await both).toEqual({ kind: "executed", value: { kind: "executed", value: "in" } });
    });

    it("commits once whoever reads has ended; until then it answers ongoing, and nothing has happened", async () => {
      const hasty = sqliteBarrier(at.own, { lockTimeout: "1s" });
      const looking = at.open();
      looking.exec("begin");
      looking.prepare("select * from effects").all();
      await expect(hasty.run(action("looked at"), (tx) => write(tx, "looked at"))).rejects.toThrow(Ongoing);
      const patient = guard.run(action("looked at"), (tx) => write(tx, "looked at"));
      await pauseMs(20);
      expect(looking.prepare("select * from effects where gid = 'looked at'").all()).toEqual([]);
      looking.exec("commit");
      expect((await patient).kind).toBe("executed");
      expect(await kept("looked at")).toBe(1);
    });

    it("answers ongoing from an owner's transaction that has read what another one changed since", async () => {
      const stale = at.open();
      stale.prepare("pragma journal_mode = wal").all();
      stale.exec("begin");
      stale.prepare("select * from effects").all();
      await guard.run(action("newer"), async () => {});
      await expect(guard.within(stale, action("stale"), async () => {})).rejects.toThrow(Ongoing);
      stale.exec("rollback");
      expect((await guard.run(action("stale"), async () => {})).kind).toBe("executed");
    });

    it("does not answer success when business code ended the transaction itself", async () => {
      const careless = guard.run(action("careless"), async (tx) => {
        await write(tx, "careless");
        tx.exec("rollback");
      });
      await expect(careless).rejects.toMatchObject({
        code: "DTX_BARRIER",
        hint: expect.stringContaining("leave commit"),
      });
      expect([await world.rows("careless"), await kept("careless")]).toEqual([[], 0]);
      expect((await guard.run(action("careless"), async () => {})).kind).toBe("executed");
    });
  });
}
