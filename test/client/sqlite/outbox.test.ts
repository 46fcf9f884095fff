// The outbox in SQLite, by each driver there is, beside the barrier on the same connection.

import { describe, expect, it } from "vitest";
import { barrierFrom } from "../../../src/client/barrier/delivery.js";
import { sqliteBarrier, sqliteLibrary } from "../../../src/client/barrier/sqlite.js";
import { sqlOutbox } from "../../../src/client/outbox/outbox.js";
import { type OutboxScene, outboxRules, recorder } from "../outbox/rules.js";
import { drivers, type Opened } from "./drivers.js";

describe.each(drivers().map((driver) => [driver.name, driver] as const))("outbox in SQLite by %s", (_, driver) => {
  const open = async (): Promise<OutboxScene<Opened>> => {
    const database = driver.open(":memory:");
    const library = sqliteLibrary(database);
    const scene: OutboxScene<Opened> = {
      outbox: (options) => sqlOutbox(library, options),
      transaction: (work) => library.transaction(work),
      hasten: async (gid) => database.prepare("update tandem_outbox set retry_at = created_at where gid = ?").run(gid),
    };
    await scene.outbox().migrate();
    return scene;
  };
  outboxRules(open);

  it("takes turns with the barrier: a message of a handler that fails is gone with its work", async () => {
    const database = driver.open(":memory:");
    const [guard, own] = [sqliteBarrier(database), sqlOutbox(sqliteLibrary(database))];
    await guard.migrate();
    await own.migrate();
    const delivery = (gid: string) => barrierFrom({ gid, trans_type: "saga", branch_id: "01", op: "action" });
    const failing = guard.run(delivery("one"), async (tx) => {
      await own.enqueue(tx, { gid: "of one", to: "http://p/in" });
      await new Promise((resolve) => setTimeout(resolve, 20));
      throw new Error("changed my mind");
    });
    const working = guard.run(delivery("two"), (tx) => own.enqueue(tx, { gid: "of two", to: "http://p/in" }));
    const { submitted, client } = recorder();
    const looks = [own.relayOnce(client), own.relayOnce(client)];
    await expect(failing).rejects.toThrow("changed my mind");
    await Promise.all([working, ...looks]);
    await own.relayOnce(client);
    expect(submitted).toEqual(["of two"]);
  });
});
