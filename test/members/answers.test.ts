/**
 * What clients of the other nodes are told while the owner of a transaction is dead, on virtual time.
 */
import { describe, expect, it } from "vitest";
import type { Reply } from "../../src/core/input.js";
import { shardOf } from "../../src/core/shard.js";
import { saga } from "../engine/harness.js";
import { ask, expectOneWriter, gidOf, settled, submit, until } from "./members.js";

describe("while the owner of a transaction is dead", () => {
  it("tells what is stored to who only looks, at once, while nobody answers for the shard", async () => {
    const c = await settled(["a", "b"]);
    const [ended, running, owner] = [gidOf(c, "b"), gidOf(c, "b", 1), c.at("b")];
    expect(await ask(c, "a", ended, submit(saga(["http://p.test/y"], { waitResult: true })))).toMatchObject({
      kind: "accepted",
    });
    c.participants.scripts.set("http://p.test/x", () => "ongoing");
    await ask(c, "a", running, submit(saga(["http://p.test/x"], { retryIntervalS: 60 })));
    c.kill("b");
    expect(owner.keeper.owned.has(shardOf(running))).toBe(true);
    const statuses = [ended, running, gidOf(c, "a")].map(async (gid) => {
      const startedMs = c.clock.nowMs();
      const reply = await ask(c, "a", gid, { kind: "query" });
      expect(c.clock.nowMs() - startedMs).toBeLessThan(1500);
      return reply.kind === "transaction" ? (reply.transaction?.status ?? "unknown") : reply;
    });
    expect(await Promise.all(statuses)).toEqual(["succeed", "submitted", "unknown"]);
    expect(c.at("a").view.ownerOf(shardOf(running))?.name).toBe("b");
    c.storeCut.add("a");
    expect(await ask(c, "a", running, { kind: "query" })).toMatchObject({ code: "UNAVAILABLE", retryAfterS: 1 });
  });

  it("holds wait_result through the death of the owner, and answers the end that its follower records", async () => {
    const c = await settled(["a", "b", "c"]);
    const [good, bad] = [gidOf(c, "b"), gidOf(c, "b", 1)];
    const nobody = new Promise<never>(() => {});
    c.participants.scripts.set("http://p.test/x", (_, nth) => (nth === 0 ? nobody : "success"));
    c.participants.scripts.set("http://p.test/no", (_, nth) => (nth === 0 ? nobody : "failure"));
    const ends: Record<string, Reply> = {};
    const hold = async (at: string, gid: string, url: string) => {
      ends[gid] = await c.at(at).coordinator.handle(gid, submit(saga([url], { waitResult: true })));
    };
    void hold("a", good, "http://p.test/x");
    void hold("c", bad, "http://p.test/no");
    await until(c, "both are being called", () => [good, bad].every((gid) => c.participants.of(gid).length > 0));
    c.kill("b");
    await until(c, "both are answered", () => Object.keys(ends).length === 2, 6000);
    expect(ends[good]).toMatchObject({ kind: "accepted" });
    expect(ends[bad]).toMatchObject({ kind: "refused", code: "REFUSED" });
    expect(c.participants.of(good)).toEqual(["action 01", "action 01"]);
    expectOneWriter(c);
  });
});
