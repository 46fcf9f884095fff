/**
 * The format that the nodes of a database agree upon: written by all, raised when all that may write know the next one,
 * never past a node that is joining, and refused by a program that does not know it.
 */
import { createConnection, type RowDataPacket } from "mysql2/promise";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Formats, formats } from "../../src/ports/format.js";
import { JoinRefused } from "../../src/ports/leases.js";
import type { Log } from "../../src/ports/observer.js";
import { StoreInDoubt } from "../../src/ports/store.js";
import { UnknownFormat } from "../../src/store/codec.js";
import { MysqlLeases } from "../../src/store/mysql/leases.js";
import { migrateMysql, openMysql } from "../../src/store/mysql/mysql.js";
import { migrate, schemaVersion } from "../../src/store/mysql/schema.js";
import { nextBuild, nextFormat } from "../cluster/next/build.js";
import { someOp, Teller } from "../conformance/story.js";
import { available, type Database, makeDatabase, type Server, startMariadb } from "../servers.js";
import { Shards } from "./database.js";
import { startProxy } from "./proxy.js";

const quiet: Log = { info: () => {}, warn: () => {}, error: () => {} };
const leaseMs = 60_000;
const old: Formats = formats;
const next: Formats = nextBuild.rows;
/** A build later still, which has given up what the oldest of the others writes. */
const later: Formats = { oldest: nextFormat, newest: nextFormat + 1 };

describe.runIf(await available("mysql"))("the format of a database", () => {
  let server: Server;
  let database: Database;
  let open: MysqlLeases[] = [];

  const leases = (known: Formats, formatMax?: number) => {
    const made = new MysqlLeases({
      url: database.url,
      timeoutMs: 2000,
      log: quiet,
      formats: known,
      ...over(formatMax),
    });
    open.push(made);
    return made;
  };
  const over = (formatMax: number | undefined) => (formatMax === undefined ? {} : { formatMax });
  const ask = async (sql: string) => {
    const connection = await createConnection({ uri: database.url, multipleStatements: true });
    const [rows] = await connection.query<RowDataPacket[]>(sql);
    await connection.end();
    return rows;
  };
  const agreed = async () => Number((await ask("SELECT value FROM meta WHERE name='format'"))[0]!.value);
  /** Joins under the name and looks once. */
  const join = async (name: string, known: Formats, formatMax?: number) => {
    const made = leases(known, formatMax);
    const { incarnation } = await made.join(name, "http://x", leaseMs);
    const renew = () => made.renew(name, incarnation, leaseMs, false);
    await renew();
    return { made, incarnation, renew };
  };

  beforeAll(async () => {
    server = await startMariadb({ own: true });
  });
  beforeEach(async () => {
    for (const one of open) await one.close();
    open = [];
    database = await makeDatabase(server);
    await migrateMysql(database.url);
  });
  afterAll(async () => {
    for (const one of open) await one.close();
    await server.stop();
  });

  it("stays while one node does not know the next, is raised when the last of those has gone, and all write it then", async () => {
    const [b, a] = [await join("b", old), await join("a", next)];
    await a.renew();
    expect([await agreed(), a.made.format, b.made.format]).toEqual([old.newest, old.newest, old.newest]);
    await b.made.leave("b", b.incarnation);
    await a.renew();
    expect(await agreed()).toBe(nextFormat);
    await a.renew();
    expect(a.made.format).toBe(nextFormat);
  });

  it("is not raised past a node whose lease is over but that nobody has fenced: it may still write", async () => {
    const a = await join("a", next);
    expect(await agreed()).toBe(nextFormat);
    await ask(`UPDATE meta SET value='${old.newest}' WHERE name='format'`);
    await join("b", old);
    await ask("UPDATE cl_node SET lease_until='2020-01-01' WHERE node_id='b'");
    await a.renew();
    expect(await agreed()).toBe(old.newest);
    await a.made.fence("b", (await a.renew()).nodes.find(({ name }) => name === "b")!.incarnation);
    await a.renew();
    expect(await agreed()).toBe(nextFormat);
  });

  it("is held by a node that was told to hold it, which knows the next one all the same", async () => {
    const a = await join("a", next);
    const b = await join("b", next, old.newest);
    await ask(`UPDATE meta SET value='${old.newest}' WHERE name='format'`);
    await a.renew();
    await b.renew();
    expect(await agreed()).toBe(old.newest);
    await b.made.leave("b", b.incarnation);
    await a.renew();
    const again = await join("b", next, old.newest);
    expect([await agreed(), again.made.format]).toEqual([nextFormat, nextFormat]);
  });

  it("once raised, keeps out a program that does not know it, and leaves its row as it was", async () => {
    const b = await join("b", old);
    await b.made.leave("b", b.incarnation);
    await join("a", next);
    const before = await ask("SELECT * FROM cl_node WHERE node_id='b'");
    await expect(b.made.join("b", "http://x", leaseMs)).rejects.toThrow(JoinRefused);
    await expect(b.made.join("b", "http://x", leaseMs)).rejects.toThrow(/write format 2, this program knows 1/);
    expect(await ask("SELECT * FROM cl_node WHERE node_id='b'")).toEqual(before);
    await expect(migrateMysql(database.url)).rejects.toThrow(UnknownFormat);
    await expect(openMysql({ url: database.url, owner: new Shards() })).rejects.toThrow(UnknownFormat);
  });

  it("waits for a node that is about to join: it is never raised past it", async () => {
    const a = await join("a", next);
    await ask(`UPDATE meta SET value='${old.newest}' WHERE name='format'`);
    const joining = await createConnection({ uri: database.url, multipleStatements: true });
    await joining.query(
      `START TRANSACTION; SELECT value FROM meta WHERE name='format' LOCK IN SHARE MODE;
       INSERT INTO cl_node VALUES ('b', 1, 1, UTC_TIMESTAMP(3) + INTERVAL 1 HOUR, '', '', ${old.newest})`,
    );
    const renewing = a.renew();
    let done = false;
    void renewing.then(() => {
      done = true;
    });
    await expect
      .poll(async () => (await ask("SELECT COUNT(*) AS n FROM information_schema.innodb_lock_waits"))[0]!.n, {
        interval: 200, // the server's view of that stays old while it is asked too often
        timeout: 10_000,
      })
      .toBe(1);
    expect(done).toBe(false);
    await joining.query("COMMIT");
    await renewing;
    expect(await agreed()).toBe(old.newest);
    await joining.end();
  });

  it("keeps out a program that no longer reads what may still lie there", async () => {
    const a = await join("a", next);
    await a.made.leave("a", a.incarnation);
    const made = await createConnection({ uri: database.url });
    await expect(migrate(made, later)).rejects.toThrow(/the oldest row in the database has format 1, .* reads 2 to 3/);
    await made.end();
  });

  it("lets rows of both formats lie in one journal, and decides a doubt about a row of the one before", async () => {
    const format = { now: old.newest };
    const proxy = await startProxy(database.url);
    await ask("UPDATE cl_shard SET epoch=1, owner='self', incarnation=1");
    const store = await openMysql({
      ...{ url: proxy.url, owner: new Shards(), formats: nextBuild.rows, format: () => format.now },
    });
    const teller = new Teller();
    const saga = teller.tell("g", { ops: [someOp(0)] });
    proxy.mode = "loseAnswer";
    const created = saga.created();
    await expect(store.commit([created])).rejects.toThrow(StoreInDoubt);
    format.now = nextFormat;
    expect(await store.settle([created])).toEqual(["ok"]);
    expect(await store.commit([{ ...saga.started(), epoch: 2 }])).toEqual(["ok"]);
    const bodies = await ask("SELECT seq, ORD(body) AS format FROM journal ORDER BY seq");
    expect(bodies).toEqual([
      { seq: 1, format: old.newest },
      { seq: 2, format: nextFormat },
    ]);
    expect((await store.load(["g"]))[0]?.tx).toEqual(saga.tx);
    expect(await store.history("g")).toHaveLength(2);
    await store.close();
    await proxy.close();
  });

  it("goes with tables that a later program has added to, and not with those that it has changed", async () => {
    const connection = await createConnection({ uri: database.url });
    const added = { statements: ["ALTER TABLE head ADD COLUMN note INT NULL"], oldest: schemaVersion };
    const changed = { statements: ["ALTER TABLE head DROP COLUMN note"], oldest: schemaVersion + 2 };
    const before = Array.from({ length: schemaVersion }, () => ({ statements: [], oldest: schemaVersion }));
    expect(await migrate(connection, old, [...before, added])).toEqual({ from: schemaVersion, to: schemaVersion + 1 });
    expect(await migrateMysql(database.url)).toEqual({ from: schemaVersion + 1, to: schemaVersion + 1 });
    await (await openMysql({ url: database.url, owner: new Shards() })).close();
    await migrate(connection, old, [...before, added, changed]);
    await expect(openMysql({ url: database.url, owner: new Shards() })).rejects.toThrow(UnknownFormat);
    await expect(migrateMysql(database.url)).rejects.toThrow(UnknownFormat);
    await connection.end();
  });
});
