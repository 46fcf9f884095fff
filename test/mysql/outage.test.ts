// The server is killed under load: what was acknowledged is there afterwards, what was in doubt is decided.
import { setTimeout as delay } from "node:timers/promises";
import { createConnection } from "mysql2/promise";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Commit, StoreInDoubt, StoreUnavailable, type Verdict } from "../../src/ports/store.js";
import { migrateMysql, openMysql } from "../../src/store/mysql/mysql.js";
import { Teller } from "../conformance/story.js";
import { available, type Database, makeDatabase, type Server, startMariadb } from "../servers.js";
import { Shards, self } from "./database.js";

describe.runIf(await available("mysql"))("a database that is killed under load", () => {
  let server: Server;
  let database: Database;

  beforeAll(async () => {
    server = await startMariadb({ own: true });
    database = await makeDatabase(server);
    await migrateMysql(database.url);
    const admin = await createConnection({ uri: database.url });
    await admin.query(`UPDATE cl_shard SET epoch=1, owner='${self.name}', incarnation=${self.incarnation}`);
    await admin.end();
  });
  afterAll(() => server.stop());

  it("17: has everything that was acknowledged, once, and takes new commits by itself", {
    timeout: 120_000,
  }, async () => {
    const shards = new Shards();
    const store = await openMysql({ url: database.url, owner: shards, timeoutMs: 3_000 });
    const teller = new Teller((shard) => shards.epochOf(shard));
    const acknowledged: string[] = [];
    const outages = { unavailable: 0, inDoubt: 0 };

    /** As the committer does it: again while unavailable, settled while in doubt. */
    const write = async (batch: readonly Commit[]): Promise<readonly Verdict[]> => {
      let doubt = false;
      for (;;) {
        try {
          return await (doubt ? store.settle(batch) : store.commit(batch));
        } catch (error) {
          if (error instanceof StoreInDoubt) outages.inDoubt++;
          else if (error instanceof StoreUnavailable) outages.unavailable++;
          else throw error;
          doubt ||= error instanceof StoreInDoubt;
          await delay(50);
        }
      }
    };
    const restarts = (async () => {
      for (let n = 0; n < 3; n++) {
        const seen = acknowledged.length;
        while (acknowledged.length < seen + 100) await delay(5);
        server.kill("SIGKILL");
        await delay(300);
        await server.start();
      }
    })();
    let done = false;
    const finished = restarts.finally(() => {
      done = true;
    });
    for (let n = 0; !done || acknowledged.length < 500; n++) {
      const sagas = Array.from({ length: 8 }, (_, k) => teller.tell(`gid ${n} ${k}`));
      expect(await write(sagas.map((saga) => saga.created()))).toEqual(sagas.map(() => "ok"));
      acknowledged.push(...sagas.map((saga) => saga.gid));
    }
    await finished;
    expect(outages.unavailable + outages.inDoubt).toBeGreaterThanOrEqual(3);
    const loaded = await store.load(acknowledged);
    expect(loaded.map((stored) => stored?.tx.version)).toEqual(acknowledged.map(() => 1));
    expect((await store.list({}, undefined, 1_000_000)).heads).toHaveLength(acknowledged.length);
    expect(shards.regressions).toEqual([]);
    await store.close();
  });
});
