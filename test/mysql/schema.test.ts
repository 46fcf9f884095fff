// Tables: made once by many, refused when they are not ours, enough for a user with few rights, found by indexes.
import { createConnection } from "mysql2/promise";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { StoreUnavailable } from "../../src/ports/store.js";
import { formatVersion, UnknownFormat } from "../../src/store/codec.js";
import { migrateMysql, openMysql } from "../../src/store/mysql/mysql.js";
import { privileges, SchemaError, schemaVersion } from "../../src/store/mysql/schema.js";
import { someOp, someTimeMs, Teller } from "../conformance/story.js";
import { available, type Database, makeDatabase, type Server, startMariadb } from "../servers.js";
import { clear, makeGround, openPlace, Shards } from "./database.js";

describe.runIf(await available("mysql"))("the tables of the shared store", () => {
  let server: Server;
  let database: Database;

  beforeAll(async () => {
    server = await startMariadb({ own: true });
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    database = await makeDatabase(server);
  });
  afterEach(() => database.drop());

  const open = () => openMysql({ url: database.url, owner: new Shards() });
  const administer = async (sql: string) => {
    const connection = await createConnection({ uri: database.url, multipleStatements: true });
    const [rows] = await connection.query(sql);
    await connection.end();
    return rows as Record<string, unknown>[];
  };

  it("are made once by several nodes that start at once", async () => {
    const results = await Promise.all(Array.from({ length: 6 }, () => migrateMysql(database.url)));
    expect(results.filter(({ from }) => from === 0)).toHaveLength(1);
    expect(results.filter(({ from }) => from === schemaVersion)).toHaveLength(5);
    const [shards] = await administer("SELECT COUNT(*) AS shards, SUM(epoch) AS epochs FROM cl_shard");
    expect(shards).toEqual({ shards: 256, epochs: "0" });
    expect(await administer("SELECT COUNT(*) AS clusters FROM meta WHERE name='cluster'")).toEqual([{ clusters: 1 }]);
    await (await open()).close();
  });

  it("are asked for, not made, when a store is opened without them", async () => {
    await expect(open()).rejects.toThrow(SchemaError);
    await expect(open()).rejects.toThrow("run `tandem migrate`");
    expect(await administer("SHOW TABLES")).toEqual([]);
  });

  it("are completed when whoever made them was killed halfway", async () => {
    await migrateMysql(database.url);
    await administer("DROP TABLE kv; DELETE FROM meta");
    expect(await migrateMysql(database.url)).toEqual({ from: 0, to: schemaVersion });
    const store = await open();
    expect(await store.put("topics", "t", "[]", 0, 1)).toBe(true);
    await store.close();
  });

  it.each([
    ["a later version of the tables", "UPDATE meta SET value='99' WHERE name LIKE 'schema%'", UnknownFormat],
    ["an unknown format", `UPDATE meta SET value='${formatVersion + 1}' WHERE name='format'`, UnknownFormat],
    ["other shards", "UPDATE meta SET value='64 fnv1a' WHERE name='shards'", SchemaError],
  ])("of %s are refused and left as they are", async (_, change, error) => {
    await migrateMysql(database.url);
    await administer(change);
    const before = await administer("SELECT name, value FROM meta ORDER BY name");
    await expect(open()).rejects.toThrow(error);
    await expect(migrateMysql(database.url)).rejects.toThrow(error);
    expect(await administer("SELECT name, value FROM meta ORDER BY name")).toEqual(before);
  });

  it("of a database that cannot be reached: the store is unavailable", async () => {
    const nowhere = new URL(database.url);
    nowhere.port = "1";
    await expect(migrateMysql(nowhere.href)).rejects.toThrow(StoreUnavailable);
    await expect(openMysql({ url: nowhere.href, owner: new Shards() })).rejects.toThrow(StoreUnavailable);
  });

  it("serve a user with few rights, and are migrated by one with a few more", async () => {
    const user = `u${database.name.slice(-12)}`;
    const grant = (rights: readonly string[]) =>
      administer(`GRANT ${rights.join(",")} ON ${database.name}.* TO '${user}'@'%'`);
    await administer(`CREATE USER '${user}'@'%' IDENTIFIED BY 'secret'`);
    await grant(privileges.serve);
    const url = new URL(database.url);
    url.username = user;
    url.password = "secret";
    await expect(migrateMysql(url.href)).rejects.toThrow(/denied/);
    await grant(privileges.migrate);
    await migrateMysql(url.href);
    await administer(`REVOKE ${privileges.migrate.join(",")} ON ${database.name}.* FROM '${user}'@'%'`);
    await administer("UPDATE cl_shard SET epoch=1, owner='self', incarnation=1");
    const store = await openMysql({ url: url.href, owner: new Shards() });
    const saga = new Teller().tell("g", { ops: [someOp(0)] });
    expect(await store.commit([saga.created()])).toEqual(["ok"]);
    const step = saga.retried(0, 1);
    expect(await store.settle([step])).toEqual(["ok"]);
    expect((await store.load(["g"]))[0]?.tx).toEqual(saga.tx);
    expect(await store.due(saga.shard, someTimeMs, undefined, 9)).toHaveLength(1);
    expect((await store.list({ unfinished: true }, undefined, 9)).heads).toHaveLength(1);
    expect(await store.put("topics", "t", "[]", 0, 1)).toBe(true);
    await administer(`UPDATE head SET ended_at=1`);
    expect(await store.purge(2, 2, 9)).toBe(0);
    expect(await store.purge(someTimeMs * 2, someTimeMs * 2, 9)).toBe(1);
    await store.close();
    await administer(`DROP USER '${user}'@'%'`);
  });

  it("give pages by an index, however much else they hold", async () => {
    const ground = await makeGround(server);
    const place = await openPlace(ground);
    const teller = new Teller();
    for (let n = 0; n < 3000; n += 250) {
      const sagas = Array.from({ length: 250 }, (_, k) => teller.tell(`gid ${n + k}`, { ops: [] }));
      await place.store.commit(sagas.map((saga) => saga.created()));
      const done = sagas.filter((_, k) => k % 25 !== 0);
      await place.store.commit(done.map((saga) => saga.finished()));
    }
    await ground.ask("ANALYZE TABLE head");
    const readsOf = async (work: () => Promise<unknown>): Promise<number> => {
      const sum = async () => {
        const rows = await ground.ask("SHOW GLOBAL STATUS LIKE 'Handler_read%'");
        return rows.reduce((total, row) => total + Number(row.Value), 0);
      };
      const before = await sum();
      await work();
      return (await sum()) - before;
    };
    const { store } = place;
    expect(await readsOf(() => store.list({}, undefined, 20))).toBeLessThan(100);
    expect(await readsOf(() => store.list({ unfinished: true }, undefined, 20))).toBeLessThan(1500);
    expect(await readsOf(() => store.due(7, Number.MAX_SAFE_INTEGER, undefined, 20))).toBeLessThan(100);
    expect(await readsOf(() => store.earliest())).toBeLessThan(1500);
    expect(await readsOf(() => store.lastId(7))).toBeLessThan(100);
    expect(await readsOf(() => store.load(["gid 100"]))).toBeLessThan(30);
    await clear(ground);
    await place.dispose();
    await ground.drop();
  });
});
