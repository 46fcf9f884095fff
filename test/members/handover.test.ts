/**
 * Shards that change hands in good order: nodes that join, leave, die half way, or must not be there at all. On virtual
 * time; names that begin with a number belong to that row in the table of scenarios.
 */
import { describe, expect, it } from "vitest";
import type { Reply } from "../../src/core/input.js";
import { shardOf } from "../../src/core/shard.js";
import { saga } from "../engine/harness.js";
import { ask, type Cluster, cluster, expectOneWriter, gidOf, meanwhile, owned, ownedByAll, until } from "./members.js";

/** Submits from every living node in turn until `done`; resolves to the replies that were no success. */
async function load(c: Cluster, done: () => boolean, url: string): Promise<{ refusals: Reply[]; gids: string[] }> {
  const refusals: Reply[] = [];
  const gids: string[] = [];
  const pending: Promise<void>[] = [];
  for (let i = 0; !done() && i < 2000; i++) {
    const names = [...c.members.keys()];
    const gid = `load-${i}`;
    gids.push(gid);
    const submission = saga([url]);
    pending.push(
      c
        .at(names[i % names.length]!)
        .coordinator.handle(gid, { kind: "submit", submission })
        .then((reply) => {
          if (reply.kind !== "accepted") refusals.push(reply);
        }),
    );
    await c.clock.advance(20);
  }
  await meanwhile(c, Promise.all(pending));
  return { refusals, gids };
}

function answersAfter(c: Cluster, url: string, ms: number): void {
  c.participants.scripts.set(
    url,
    () =>
      new Promise((resolve) => void c.clock.after(ms, () => resolve({ outcome: "success" as const, detail: "late" }))),
  );
}

async function allEnd(c: Cluster, at: string, gids: readonly string[]): Promise<void> {
  for (const gid of gids) {
    for (let ms = 0; ; ms += 200) {
      const reply = await ask(c, at, gid, { kind: "query" });
      if (reply.kind === "transaction" && reply.transaction?.status === "succeed") break;
      if (ms > 60_000) throw new Error(`${gid} does not end: ${JSON.stringify(reply)}`);
      await c.clock.advance(200);
    }
  }
}

describe("joining", () => {
  for (const [words, ms] of [
    ["quick", 50],
    ["slow", 2900],
  ] as const)
    it(`34: a node that joins under load with ${words} participants has its share within 10 s, and nobody is refused`, async () => {
      const c = cluster();
      await c.join("a");
      await c.join("b");
      await c.clock.advance(9000);
      answersAfter(c, "http://p.test/x", ms);
      const joined = c.join("c");
      const sinceMs = c.clock.nowMs();
      const isDone = () => c.members.has("c") && c.at("c").keeper.owned.size > 60;
      const { refusals, gids } = await load(c, isDone, "http://p.test/x");
      await joined;
      expect(c.clock.nowMs() - sinceMs).toBeLessThan(10_000 + 3000);
      expect(refusals).toEqual([]);
      expect(gids.length).toBeGreaterThan(10);
      await until(c, "every shard has its place", () => ownedByAll(c) === 256);
      await allEnd(c, "c", gids);
      expectOneWriter(c);
    });

  it("32: a call in flight is waited for, and not repeated by the new owner", async () => {
    const c = cluster();
    await c.join("a");
    answersAfter(c, "http://p.test/x", 200);
    await c.join("b");
    const leaving: string[] = [];
    const { gids } = await load(
      c,
      () => {
        const { handingOver } = c.at("a").keeper;
        const onTheWire = c.at("a").engine.stats().callsInFlight > 0;
        if (onTheWire && handingOver.size > 0) leaving.push([...handingOver].join());
        return ownedByAll(c) === 256 && c.at("b").keeper.owned.size > 100;
      },
      "http://p.test/x",
    );
    expect(leaving.length).toBeGreaterThan(5);
    await allEnd(c, "b", gids);
    for (const gid of gids) expect(c.participants.of(gid), gid).toEqual(["action 01"]);
  });

  it("32: a call that outlasts the wait is repeated by the new owner, and its late answer counts for nothing", async () => {
    const c = cluster();
    await c.join("a");
    c.participants.scripts.set("http://p.test/x", (_, nth) => {
      if (nth > 0) return "success";
      return new Promise((resolve) => void c.clock.after(15_000, () => resolve({ outcome: "failure", detail: "" })));
    });
    const gids = Array.from({ length: 40 }, (_, i) => `f${i}`);
    for (const gid of gids) await ask(c, "a", gid, { kind: "submit", submission: saga(["http://p.test/x"]) });
    await c.join("b");
    await c.clock.advance(10_000);
    const moved = gids.filter((gid) => c.at("b").keeper.owned.has(shardOf(gid)));
    expect(moved.length).toBeGreaterThan(5);
    await allEnd(c, "a", moved);
    await c.clock.advance(10_000);
    for (const gid of moved) expect(c.participants.of(gid)).toEqual(["action 01", "action 01"]);
    expect(c.log.filter((line) => line === "a late answer").length).toBeGreaterThanOrEqual(moved.length);
  });

  it("a node without any shard takes every request", async () => {
    const c = cluster();
    await c.join("a");
    c.participants.scripts.set("http://p.test/x", () => "success");
    const inner = c.after;
    c.after = (node, method, result) => (node === "late" && method === "claim" ? [] : inner(node, method, result));
    c.storeCut.add("late-is-not-cut");
    await c.join("late");
    c.at("a").keeper.owned.size; // the newcomer is asked before anything was handed to it
    expect(c.at("late").keeper.owned.size).toBeLessThan(128);
    for (let i = 0; i < 20; i++)
      expect(
        await ask(c, "late", `z${i}`, {
          kind: "submit",
          submission: saga(["http://p.test/x"], { waitResult: true }),
        }),
      ).toMatchObject({ kind: "accepted" });
  });
});

describe("leaving", () => {
  it("hands everything over under load: nobody is refused, nothing is called twice", async () => {
    const c = cluster();
    for (const name of ["a", "b", "c"]) await c.join(name);
    await c.clock.advance(9000);
    answersAfter(c, "http://p.test/x", 50);
    const leaver = c.at("b");
    let left = false;
    void leaver.close(8000).then(() => {
      left = true;
    });
    c.members.delete("b"); // no new requests are sent to it
    const { refusals, gids } = await load(c, () => left, "http://p.test/x");
    expect(refusals).toEqual([]);
    await until(c, "every shard is served", () => ownedByAll(c) === 256);
    await allEnd(c, "a", gids);
    for (const gid of gids) expect(c.participants.of(gid)).toEqual(["action 01"]);
    expect(c.log.filter((line) => line.includes("peer_dead"))).toEqual([]);
    expectOneWriter(c);
  });

  it("33: a node that dies in the middle of handing over is followed after its lease", async () => {
    const c = cluster();
    await c.join("a");
    answersAfter(c, "http://p.test/x", 3000);
    const gids = Array.from({ length: 60 }, (_, i) => `h${i}`);
    for (const gid of gids) await ask(c, "a", gid, { kind: "submit", submission: saga(["http://p.test/x"]) });
    await c.join("b");
    await until(c, "a is handing over", () => c.at("a").keeper.handingOver.size > 0);
    expect(c.at("b").keeper.owned.size).toBeLessThan(100);
    c.kill("a");
    await until(c, "b owns everything", () => c.at("b").keeper.owned.size === 256, 5000);
    await allEnd(c, "b", gids);
    expectOneWriter(c);
  });

  it("takes over from the dead while a hand-over waits for calls", async () => {
    const c = cluster();
    for (const name of ["a", "b"]) await c.join(name);
    await c.clock.advance(9000);
    answersAfter(c, "http://p.test/x", 20_000);
    for (let i = 0; i < 30; i++)
      await ask(c, "a", gidOf(c, "a", i), { kind: "submit", submission: saga(["http://p.test/x"]) });
    await c.join("c");
    await until(c, "a is handing over", () => c.at("a").keeper.handingOver.size > 0);
    c.kill("b");
    const sinceMs = c.clock.nowMs();
    const deadShards = () => 256 - ownedByAll(c) - c.at("a").keeper.handingOver.size;
    await until(c, "the dead node's shards are served", () => deadShards() <= 8);
    expect(c.clock.nowMs() - sinceMs).toBeLessThan(3500);
  });
});

describe("one node alone on a shared store", () => {
  it("keeps a second one out, which waits for one lease and names the owner", async () => {
    const c = cluster();
    await c.join("first", { address: "" });
    const sinceMs = c.clock.nowMs();
    await expect(c.join("second", { address: "" })).rejects.toThrow(/node 'first', which runs alone/);
    expect(c.clock.nowMs() - sinceMs).toBeGreaterThan(3000);
    await expect(c.join("member")).rejects.toThrow(/first/);
    expect(owned(c)).toEqual({ first: 256 });
  });

  it("is kept out by a cluster", async () => {
    const c = cluster();
    await c.join("a");
    await expect(c.join("second", { address: "" })).rejects.toThrow(/listens at http:\/\/a/);
  });

  it("follows one that has died", async () => {
    const c = cluster();
    await c.join("first", { address: "" });
    c.kill("first");
    await c.join("second", { address: "" });
    await until(c, "the second owns everything", () => c.at("second").keeper.owned.size === 256, 5000);
  });

  it("of two that start at once one stays", async () => {
    const c = cluster();
    const results = await Promise.allSettled(["x", "y"].map((name) => c.join(name, { address: "" })));
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
    await until(c, "x owns everything", () => c.at("x").keeper.owned.size === 256, 8000);
  });
});
