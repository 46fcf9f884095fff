/**
 * Leases in a real database: the same answers as the model for any history, judged by the database's clock, and no
 * zombie holds a lock.
 */
import { setTimeout as delay } from "node:timers/promises";
import * as fc from "fast-check";
import { createConnection, type RowDataPacket } from "mysql2/promise";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Leases, ShardRow, Sight } from "../../src/ports/leases.js";
import type { Log } from "../../src/ports/observer.js";
import { StoreUnavailable } from "../../src/ports/store.js";
import { MemoryLeases } from "../../src/store/memory/leases.js";
import { MysqlLeases } from "../../src/store/mysql/leases.js";
import { migrateMysql } from "../../src/store/mysql/mysql.js";
import { Session, SessionFailure } from "../../src/store/mysql/session.js";
import { available, type Database, makeDatabase, type Server, startMariadb } from "../servers.js";

const quiet: Log = { info: () => {}, warn: () => {}, error: () => {} };
const hourMs = 3_600_000;

describe.runIf(await available("mysql"))("leases in a database", () => {
  let server: Server;
  let database: Database;
  let open: MysqlLeases[] = [];

  const leases = (url = database.url, log = quiet) => {
    const made = new MysqlLeases({ url, timeoutMs: 2000, log });
    open.push(made);
    return made;
  };
  const administer = async (...statements: readonly string[]) => {
    const connection = await createConnection({ uri: database.url, multipleStatements: true });
    for (const sql of statements) await connection.query(sql);
    await connection.end();
  };

  beforeAll(async () => {
    server = await startMariadb({ own: true });
    database = await makeDatabase(server);
    await migrateMysql(database.url);
  });
  beforeEach(async () => {
    for (const one of open) await one.close();
    open = [];
    await administer("DELETE FROM cl_node", "UPDATE cl_shard SET epoch=0, owner='', incarnation=0");
  });
  afterAll(async () => {
    for (const one of open) await one.close();
    await server.stop();
  });

  it("answers as the model does, for any history", { timeout: 120_000 }, async () => {
    const seen = new Map<string, number>();
    const name = fc.constantFrom("a", "b", "A ");
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ kind: fc.constant("join" as const), name, over: fc.boolean() }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("renew" as const), name, over: fc.boolean() }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("leaving" as const), name, over: fc.boolean() }) },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant("fence" as const), name, over: fc.boolean() }) },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant("claim" as const), name, over: fc.boolean() }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("release" as const), name, over: fc.boolean() }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("leave" as const), name, over: fc.boolean() }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
        await administer("DELETE FROM cl_node", "UPDATE cl_shard SET epoch=0, owner='', incarnation=0");
        const model = new MemoryLeases(() => 0);
        const pair = new Pair(leases(), model);
        for (const { kind, name, over } of steps) {
          const did = await pair.step(kind, name, over);
          if (did) seen.set(kind, (seen.get(kind) ?? 0) + 1);
        }
      }),
      { numRuns: 40 },
    );
    for (const kind of ["join", "renew", "leaving", "fence", "claim", "release", "leave"])
      expect(seen.get(kind) ?? 0, `${kind} had an effect`).toBeGreaterThan(0);
  });

  it("judges a lease by the database's clock, not by the session's time zone", async () => {
    const one = leases();
    const { incarnation } = await one.join("a", "http://a", 400);
    expect(await leases().fence("a", incarnation)).toBe(false);
    const url = new URL(database.url);
    url.searchParams.set("timezone", "+09:00");
    expect(await leases(url.href).fence("a", incarnation)).toBe(false);
    const connection = await createConnection(database.url);
    await connection.query("DO SLEEP(0.6)");
    await connection.end();
    expect(await leases().fence("a", incarnation)).toBe(true);
    expect((await one.renew("a", incarnation, 3000, false)).nodes[0]?.state).toBe("fenced");
  });

  it("14: gives two processes that join under one name at once two incarnations, the newer one counts", async () => {
    const results = await Promise.all(Array.from({ length: 6 }, () => leases().join("same", "http://x", 3000)));
    const incarnations = results.map(({ incarnation }) => incarnation).sort((x, y) => x - y);
    expect(new Set(incarnations).size).toBe(6);
    expect((await leases().look()).nodes[0]?.incarnation).toBe(incarnations.at(-1));
  });

  it("12: gives each shard to one of several that claim it at once", async () => {
    const nodes = await Promise.all(
      ["a", "b", "c"].map(async (name) => {
        const own = leases();
        return { name, own, ...(await own.join(name, `http://${name}`, hourMs)) };
      }),
    );
    const { shards } = await leases().look();
    const claims = await Promise.all(nodes.map(({ own, name, incarnation }) => own.claim(shards, name, incarnation)));
    const all = claims.flat().map(({ shard }) => shard);
    expect(all).toHaveLength(256);
    expect(new Set(all).size).toBe(256);
  });

  it("10: ends the connection of a fenced node, so that its open transaction keeps nobody waiting", async () => {
    const zombie = leases();
    const { incarnation } = await zombie.join("zombie", "http://z", -1000);
    const rows = await zombie.claim((await zombie.look()).shards, "zombie", incarnation);
    const writer = await createConnection({ uri: database.url, multipleStatements: true });
    writer.on("error", () => {});
    await zombie.enlist(writer.threadId);
    await writer.query("START TRANSACTION; SELECT * FROM cl_shard LOCK IN SHARE MODE");
    const heir = leases();
    const { incarnation: own } = await heir.join("heir", "http://h", 3000);
    const startedMs = performance.now();
    expect(await heir.fence("zombie", incarnation)).toBe(true);
    expect(await heir.claim(rows, "heir", own)).toHaveLength(256);
    expect(performance.now() - startedMs).toBeLessThan(500);
    await expect(writer.query("COMMIT")).rejects.toThrow();
    writer.destroy();
  });

  it("notes a connection that is made while its node joins again, at whatever moment", async () => {
    const own = leases();
    await own.join("n", "http://n", 3000);
    const reader = await createConnection(database.url);
    for (let i = 0; i < 60; i++) {
      const joining = own.join("n", "http://n", 3000);
      await delay((i % 12) / 4);
      await own.enlist(1000 + i);
      await joining;
      const [[row]] = await reader.query<RowDataPacket[]>("SELECT conn_ids FROM cl_node WHERE node_id='n'");
      expect(String(row!.conn_ids).split(":")[1]!.split(","), `${i}`).toContain(`${1000 + i}`);
      own.dismiss(1000 + i);
    }
    await reader.end();
  });

  it("keeps noting a connection whose number another one had before the server was restarted", async () => {
    const own = leases();
    await own.join("again", "http://n", 3000);
    await own.enlist(12); // in the server's last life
    await own.enlist(12); // in this one, by another thread
    own.dismiss(12); // the first has noticed at last
    await own.enlist(13);
    const reader = await createConnection(database.url);
    const [[row]] = await reader.query<RowDataPacket[]>("SELECT conn_ids FROM cl_node WHERE node_id='again'");
    expect(String(row!.conn_ids).split(":")[1]).toBe("12,13");
    own.dismiss(12);
    await own.enlist(14);
    const [[later]] = await reader.query<RowDataPacket[]>("SELECT conn_ids FROM cl_node WHERE node_id='again'");
    expect(String(later!.conn_ids).split(":")[1]).toBe("13,14");
    await reader.end();
  });

  it("is told once that a connection has ended, though it ends under a packet", async () => {
    const [noted, gone]: [number[], number[]] = [[], []];
    const session = new Session({
      ...{ url: database.url, timeoutMs: 2000 },
      enlist: async (id) => void noted.push(id),
      dismiss: (id) => void gone.push(id),
    });
    await session.open();
    const sent = session.send("DO SLEEP(5)").catch((cause: unknown) => cause);
    await administer(`KILL CONNECTION ${noted[0]}`);
    expect(await sent).toBeInstanceOf(SessionFailure);
    await delay(50);
    session.close();
    expect(gone).toEqual(noted);
  });

  it("without the right to kill it fences and claims all the same, and says so once", async () => {
    await administer(
      "DROP USER IF EXISTS least@'%'",
      "CREATE USER least@'%'",
      `GRANT SELECT, INSERT, UPDATE, DELETE ON ${database.name}.* TO least@'%'`,
    );
    const warnings: string[] = [];
    const url = new URL(database.url);
    url.username = "least";
    const heir = leases(url.href, { ...quiet, warn: (event) => void warnings.push(event) });
    const foreign = await createConnection(database.url);
    for (const name of ["z1", "z2"]) {
      const zombie = leases();
      const { incarnation } = await zombie.join(name, "http://z", -1000);
      await zombie.enlist(foreign.threadId);
      expect(await heir.fence(name, incarnation)).toBe(true);
    }
    expect(warnings).toEqual(["kill_denied"]);
    expect(heir.killsDenied).toBe(2);
    await foreign.end();
  });

  it("rejects within its time while the database is away, and goes on by itself when it is back", async () => {
    const one = leases();
    const { incarnation } = await one.join("a", "http://a", hourMs);
    await server.restart("SIGKILL");
    expect((await one.renew("a", incarnation, hourMs, false)).nodes).toHaveLength(1);
    server.kill("SIGSTOP");
    const startedMs = performance.now();
    await expect(one.renew("a", incarnation, hourMs, false)).rejects.toThrow(StoreUnavailable);
    expect(performance.now() - startedMs).toBeLessThan(6500);
    server.kill("SIGCONT");
    expect((await one.renew("a", incarnation, hourMs, false)).nodes).toHaveLength(1);
  });

  it("renews in one round trip, and reads shards only when some epoch has changed", async () => {
    const one = leases();
    const { incarnation } = await one.join("a", "http://a", hourMs);
    await one.renew("a", incarnation, hourMs, false);
    const before = await questions();
    for (let i = 0; i < 10; i++) expect((await one.renew("a", incarnation, hourMs, false)).shards).toHaveLength(256);
    const spent = (await questions()) - before;
    expect(spent).toBeLessThan(10 * 7 + 10); // statements, all of a renewal in one packet
    const other = leases();
    const { shards } = await other.look();
    await other.claim(shards.slice(0, 3), "a", incarnation);
    expect((await one.renew("a", incarnation, hourMs, false)).shards.filter(({ owner }) => owner === "a")).toHaveLength(
      3,
    );
  });

  async function questions(): Promise<number> {
    const connection = await createConnection(database.url);
    const [rows] = await connection.query("SHOW GLOBAL STATUS LIKE 'Questions'");
    await connection.end();
    return Number((rows as { Value: string }[])[0]!.Value);
  }
});

/** The database and the model side by side; incarnations are compared as numbers of joins. */
class Pair {
  readonly #real: Leases;
  readonly #model: MemoryLeases;
  readonly #first = new Map<string, number>();
  readonly #last = new Map<string, number>();

  constructor(real: Leases, model: MemoryLeases) {
    this.#real = real;
    this.#model = model;
  }

  /** Does one thing to both, compares answers and rows; says whether it had an effect. */
  async step(kind: string, name: string, over: boolean): Promise<boolean> {
    if (kind !== "join" && !this.#first.has(name)) return false; // nobody of that name has an incarnation to show
    const before = JSON.stringify(this.#shown(await this.#model.look(), false));
    await this.#do(kind, name, over ? -1000 : hourMs);
    const model = this.#shown(await this.#model.look(), false);
    expect(this.#shown(await this.#real.look(), true)).toEqual(model);
    return JSON.stringify(model) !== before;
  }

  async #do(kind: string, name: string, leaseMs: number): Promise<void> {
    const base = this.#first.get(name) ?? 1;
    const modelIs = this.#last.get(name) ?? 1;
    const realIs = base + modelIs - 1;
    switch (kind) {
      case "join": {
        const { incarnation } = await this.#real.join(name, `http://${name}`, leaseMs);
        const model = await this.#model.join(name, `http://${name}`, leaseMs);
        if (!this.#first.has(name)) this.#first.set(name, incarnation);
        this.#last.set(name, model.incarnation);
        expect(incarnation - this.#first.get(name)!).toBe(model.incarnation - 1);
        return;
      }
      case "renew":
      case "leaving": {
        const real = await this.#real.renew(name, realIs, leaseMs, kind === "leaving");
        const model = await this.#model.renew(name, modelIs, leaseMs, kind === "leaving");
        return expect(this.#shown(real, true)).toEqual(this.#shown(model, false));
      }
      case "fence":
        return expect(await this.#real.fence(name, realIs)).toBe(await this.#model.fence(name, modelIs));
      case "leave":
        await this.#real.leave(name, realIs);
        return this.#model.leave(name, modelIs);
      default:
        return this.#move(kind, name, realIs, modelIs);
    }
  }

  /** Some rows as they are, some as they were. */
  async #move(kind: string, name: string, realIs: number, modelIs: number): Promise<void> {
    const stale = (rows: readonly ShardRow[]) =>
      rows.slice(0, 9).map((row) => (row.shard % 3 === 0 ? { ...row, epoch: row.epoch + 1 } : row));
    const real = stale((await this.#real.look()).shards);
    const model = stale((await this.#model.look()).shards);
    if (kind === "claim") {
      const claimed = await this.#real.claim(real, name, realIs);
      expect(claimed.map(bare)).toEqual((await this.#model.claim(model, name, modelIs)).map(bare));
    } else expect((await this.#real.release(real)).map(bare)).toEqual((await this.#model.release(model)).map(bare));
  }

  #shown({ nodes, shards, storeNowMs }: Sight, real: boolean) {
    const joins = (name: string, incarnation: number) =>
      real && incarnation > 0 ? incarnation - (this.#first.get(name) ?? 1) + 1 : incarnation;
    const list = nodes.map(({ name, incarnation, state, leaseUntilMs, address }) => ({
      ...{ name, state, address, over: leaseUntilMs < storeNowMs },
      incarnation: joins(name, incarnation),
    }));
    return {
      nodes: list.sort((x, y) => (x.name < y.name ? -1 : 1)),
      shards: shards
        .filter(({ epoch }) => epoch > 0)
        .map((row) => ({ ...bare(row), incarnation: joins(row.owner, row.incarnation) })),
    };
  }
}

function bare({ shard, epoch, owner }: ShardRow) {
  return { shard, epoch, owner };
}
