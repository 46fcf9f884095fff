/**
 * Ownership and routing among several nodes, on virtual time.
 */
import { describe, expect, it } from "vitest";
import { desiredOwner } from "../../cluster/assign.js";
import { shardOf } from "../../src/core/shard.js";
import { saga } from "../engine/harness.js";
import { ask, cluster, owned } from "./members.js";

describe("ownership", () => {
  it("gives every shard to exactly one node, and a newcomer its share by hand-over", async () => {
    const c = cluster();
    await c.join("a");
    expect(owned(c)).toEqual({ a: 256 });
    await c.join("b");
    await c.join("c");
    await c.clock.advance(10_000);
    const counts = owned(c);
    expect(Object.values(counts).reduce((x, y) => x + y)).toBe(256);
    for (const count of Object.values(counts)) expect(count).toBeGreaterThan(60);
    for (const [name, { keeper }] of c.members)
      for (const shard of keeper.owned.keys()) expect(desiredOwner(shard, ["a", "b", "c"])).toBe(name);
    expect(c.log.filter((line) => line.includes("dead"))).toEqual([]);
  });

  it("serves a dead node's shards again within the lease and half a second", async () => {
    const c = cluster();
    for (const name of ["a", "b", "c"]) await c.join(name);
    await c.clock.advance(10_000);
    c.kill("b");
    await c.clock.advance(3500);
    expect(Object.values(owned(c)).reduce((x, y) => x + y)).toBe(256);
  });

  it("fences nobody when the store was away for longer than a lease", async () => {
    const c = cluster();
    for (const name of ["a", "b"]) await c.join(name);
    await c.clock.advance(5000);
    const before = owned(c);
    c.leases.down = true;
    await c.clock.advance(10_000);
    expect(c.members.get("a")!.keeper.suspended).toBe(true);
    c.leases.down = false;
    await c.clock.advance(10_000);
    expect(owned(c)).toEqual(before);
    expect(c.log.filter((line) => line.includes("dead"))).toEqual([]);
  });
});

describe("routing", () => {
  it("takes any request at any node and holds wait_result across nodes", async () => {
    const c = cluster();
    for (const name of ["a", "b", "c"]) await c.join(name);
    await c.clock.advance(8000);
    for (const [i, at] of ["a", "b", "c", "a", "b", "c"].entries()) {
      const submission = saga([`http://p.test/${i}`], { waitResult: true });
      expect(await ask(c, at, `g${i}`, { kind: "submit", submission })).toMatchObject({ kind: "accepted" });
      for (const other of ["a", "b", "c"])
        expect(await ask(c, other, `g${i}`, { kind: "query" })).toMatchObject({ transaction: { status: "succeed" } });
    }
    expect(c.participants.calls.length).toBe(6);
  });

  it("goes on with a transaction whose owner died in the middle, and answers who waits for it elsewhere", async () => {
    const c = cluster();
    for (const name of ["a", "b"]) await c.join(name);
    await c.clock.advance(8000);
    const gid = Array.from({ length: 100 }, (_, i) => `g${i}`).find(
      (g) => c.members.get("a")!.view.ownerOf(shardOf(g))?.name === "b",
    )!;
    c.participants.scripts.set("http://p.test/slow", (_, nth) => (nth === 0 ? new Promise(() => {}) : "success"));
    const submission = saga(["http://p.test/slow"], { waitResult: true });
    const waiting = ask(c, "a", gid, { kind: "submit", submission });
    await c.clock.advance(100);
    c.kill("b");
    expect(await waiting).toMatchObject({ kind: "accepted" });
    expect(c.participants.of(gid)).toEqual(["action 01", "action 01"]);
  });
});
