// The engine's committer over the shared store: a commit in doubt whose actor has lost its shard stays unwritten, also
// when the shard is this node's again by the time the doubt is settled.
import { describe, expect, it } from "vitest";
import { type Committed, Committer } from "../../src/engine/committer.js";
import type { Store } from "../../src/ports/store.js";
import { virtualClock } from "../engine/harness.js";
import { available, startMariadb } from "../servers.js";
import { self } from "./database.js";
import { gatedStore } from "./gated.js";
import type { ProxyMode } from "./proxy.js";

describe.runIf(await available("mysql"))("the committer over MySQL", () => {
  const at = gatedStore(startMariadb);

  /** A committer that is told `meanwhile` between a commit that went wrong and what it does about it. */
  const committerOver = (meanwhile: () => Promise<void>) => {
    const store: Store = {
      ...({} as Store),
      commit: async (batch) => {
        try {
          return await at.place.store.commit(batch);
        } catch (error) {
          await meanwhile();
          throw error;
        }
      },
      settle: (batch) => at.place.store.settle(batch),
    };
    const log = { info: () => {}, warn: () => {}, error: () => {} };
    const observer = { flushed: () => {} } as unknown as ConstructorParameters<typeof Committer>[2];
    return new Committer(store, virtualClock(), observer, log, { commitsMax: 100, bytesMax: 1_000_000, lingerMs: 0 });
  };

  it.each<[ProxyMode, number]>([
    ["loseCommit", 0],
    ["loseAnswer", 1],
  ])("writes nothing more of it (%s), and settles what was in doubt beside it", async (mode, rows) => {
    const [lost, kept] = [at.teller.tell("lost"), at.teller.tell("kept")];
    expect(lost.shard).not.toBe(kept.shard);
    let isOver = false;
    const { name, incarnation } = self;
    const committer = committerOver(async () => {
      const under = (owner: string) =>
        `UPDATE cl_shard SET epoch=epoch+1, owner='${owner}', incarnation=${incarnation} WHERE shard_id=${lost.shard}`;
      await at.ground.ask(`${under("other")}; ${under(name)}`); // waits for what is in doubt, as every claim does
      isOver = true;
    });
    const told = new Map<string, Committed>();
    at.proxy.mode = mode;
    const tell = (result: Committed) => void told.set("lost", result);
    committer.add(lost.created(), 100, tell, { isAbandoned: () => isOver });
    committer.add(kept.created(), 100, (result) => void told.set("kept", result));
    await committer.drained();
    expect(at.proxy.struck).toBe(1);
    expect([...told]).toEqual([
      ["lost", "fenced"],
      ["kept", "ok"],
    ]);
    expect(await at.place.store.history("lost")).toHaveLength(rows);
    expect(await at.place.store.history("kept")).toHaveLength(1);
    expect(at.place.shards.bumps.map(({ shard }) => shard)).toEqual([kept.shard]);
    const [row] = await at.ground.ask(`SELECT epoch FROM cl_shard WHERE shard_id=${lost.shard}`);
    expect(Number(row!.epoch)).toBe(3);
  });
});
