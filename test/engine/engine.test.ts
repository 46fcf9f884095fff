/**
 * The engine's own rules: durable before acted upon, held replies, restarts, isolation of sick participants.
 */
import { describe, expect, it } from "vitest";
import { shardOf } from "../../src/core/shard.js";
import type { Transaction } from "../../src/core/transaction.js";
import { saga, settle, type World, world } from "./harness.js";

const a = "http://a.test/pay";
const b = "http://b.test/ship";

async function stateOf({ engine }: World, gid: string): Promise<Transaction> {
  const reply = await engine.handle(gid, { kind: "query" });
  if (reply.kind !== "transaction" || reply.transaction === undefined) throw new Error(`gid ${gid} is not there`);
  return reply.transaction;
}

describe("a query", () => {
  it("shows the target that a call waits for: for want of a place in its line, or even in its queue", async () => {
    const w = world({ dispatch: { perOrigin: 2, perNode: 100, waitingPerTarget: 1, targets: 100 } });
    w.participants.scripts.set(a, () => new Promise(() => {}));
    for (const gid of ["g1", "g2", "held", "away"]) await w.ask(gid, { kind: "submit", submission: saga([a]) });
    await settle();
    expect(w.engine.stats()).toMatchObject({ callsInFlight: 2, callsWaiting: 1, resident: 3 });
    const blocked = async (gid: string) => {
      const reply = await w.ask(gid, { kind: "query" });
      return reply.kind === "transaction" ? reply.blocked : reply;
    };
    expect(await Promise.all(["g1", "held", "away"].map(blocked))).toEqual([{}, { 1: a }, { 1: a }]);
  });
});

describe("one transaction", () => {
  it("runs a saga forward, one action after the other, and answers a held submit when it has succeeded", async () => {
    const w = world();
    expect(await w.ask("g", { kind: "submit", submission: saga([a, b], { waitResult: true }) })).toEqual({
      kind: "accepted",
    });
    expect(w.participants.of("g")).toEqual(["action 01", "action 02"]);
    expect((await stateOf(w, "g")).status).toBe("succeed");
    expect((await w.store.history("g")).length).toBe(3); // n steps, n + 1 commits
  });

  it("compensates in reverse order after a refusal, the refusing step too", async () => {
    const w = world();
    w.participants.scripts.set(b, () => ({ outcome: "failure", detail: "sold out" }));
    const reply = await w.ask("g", { kind: "submit", submission: saga([a, b], { waitResult: true }) });
    expect(reply).toMatchObject({
      kind: "refused",
      code: "REFUSED",
      message: `url:${b} return failed: sold out FAILURE`,
    });
    expect(w.participants.of("g")).toEqual(["action 01", "action 02", "compensate 02", "compensate 01"]);
  });

  it("answers a held submit with ONGOING, naming branch and error, when only a retry timer is left", async () => {
    const w = world();
    w.participants.scripts.set(a, (_, nth) => (nth === 0 ? { outcome: "unknown", detail: "out of order" } : "success"));
    const reply = await w.ask("g", { kind: "submit", submission: saga([a], { waitResult: true }) });
    expect(reply).toMatchObject({ code: "ONGOING", message: expect.stringMatching(/branch 01 action .*out of order/) });
    await w.clock.advance(9_900);
    expect(w.participants.calls.length).toBe(1);
    await w.clock.advance(200);
    expect((await stateOf(w, "g")).status).toBe("succeed");
  });

  it("lets the final status wait for company unless somebody waits for it", async () => {
    const lingerMs = 40;
    const w = world({ flush: { commitsMax: 256, bytesMax: 8 << 20, lingerMs } });
    const flushed: number[] = [];
    const commit = w.store.commit.bind(w.store);
    w.store.commit = (batch) => {
      flushed.push(batch.length);
      return commit(batch);
    };
    await w.ask("alone", { kind: "submit", submission: saga([a]) });
    await settle();
    expect([w.participants.of("alone"), flushed]).toEqual([["action 01"], [1]]);
    await w.ask("next", { kind: "submit", submission: saga([a]) });
    await settle();
    expect(flushed).toEqual([1, 2]); // the end of the one with the beginning of the other
    expect((await stateOf(w, "alone")).status).toBe("succeed");
    const waited = w.ask("waited for", { kind: "submit", submission: saga([a], { waitResult: true }) });
    expect(await waited).toEqual({ kind: "accepted" });
    expect(flushed.reduce((sum, commits) => sum + commits)).toBe(6);
    await w.ask("last", { kind: "submit", submission: saga([a]) });
    await w.clock.advance(lingerMs);
    expect((await stateOf(w, "last")).status).toBe("succeed");
  });

  it("starts nothing twice for a thousand equal submits at once", async () => {
    const w = world();
    const submits = Array.from({ length: 1000 }, () => w.ask("g", { kind: "submit", submission: saga([a, b]) }));
    expect(new Set((await Promise.all(submits)).map(({ kind }) => kind))).toEqual(new Set(["accepted"]));
    await settle();
    expect(w.participants.of("g")).toEqual(["action 01", "action 02"]);
  });

  it("finds a gid that rests in the store when it is submitted again, and never overwrites it", async () => {
    const w = world();
    w.participants.scripts.set(a, () => "ongoing");
    await w.ask("g", { kind: "submit", submission: saga([a], { retryIntervalS: 600 }) });
    await settle();
    expect(w.engine.stats().resident).toBe(0);
    expect(await w.ask("g", { kind: "submit", submission: saga([b]) })).toMatchObject({ code: "REFUSED" });
    expect(await w.ask("g", { kind: "submit", submission: saga([a], { retryIntervalS: 600 }) })).toEqual({
      kind: "accepted",
    });
    expect(w.participants.calls.length).toBe(1);
  });

  it("goes on after a restart at any moment, from the store alone", async () => {
    const w = world();
    w.participants.scripts.set(a, (_, nth) => (nth === 0 ? new Promise(() => {}) : "success"));
    await w.ask("g", { kind: "submit", submission: saga([a, b]) });
    await settle();
    const again = w.reborn();
    again.engine.start();
    await again.clock.advance(10);
    expect((await stateOf(again, "g")).status).toBe("succeed");
    expect(again.participants.of("g")).toEqual(["action 01", "action 01", "action 02"]);
  });

  it("calls no op again whose answer waits behind the commit of another's", async () => {
    const w = world();
    const commit = w.store.commit.bind(w.store);
    w.store.commit = async (batch) => {
      await new Promise<void>((resolve) => void w.clock.after(20, resolve));
      return commit(batch);
    };
    const urls = [a, b, "http://c.test/bill"];
    await Promise.all([
      w.ask("g", { kind: "submit", submission: saga(urls, {}, '{"concurrent":true}') }),
      w.clock.advance(500),
    ]);
    expect((await stateOf(w, "g")).status).toBe("succeed");
    expect(w.participants.of("g").sort()).toEqual(["action 01", "action 02", "action 03"]);
  });

  it("does not call a compensation while the action's own call is on the wire", async () => {
    const w = world();
    let answer = (_: { outcome: "success"; detail: string }) => {};
    w.participants.scripts.set(a, () => new Promise((resolve) => (answer = resolve)));
    await w.ask("g", { kind: "submit", submission: saga([a], { timeoutToFailS: 2 }) });
    await w.clock.advance(2500);
    expect((await stateOf(w, "g")).status).toBe("aborting");
    expect(w.participants.of("g")).toEqual(["action 01"]);
    answer({ outcome: "success", detail: "" });
    await settle();
    expect(w.participants.of("g")).toEqual(["action 01", "compensate 01"]);
    const tx = await stateOf(w, "g");
    expect([tx.status, ...tx.ops.map(({ status }) => status)]).toEqual(["failed", "succeed", "prepared"]);
  });
});

describe("hand-over", () => {
  it("starts no call of a shard that is being drained, also none that was held back before", async () => {
    const w = world({ dispatch: { perOrigin: 1, perNode: 10, waitingPerTarget: 10, targets: 10 } });
    let answer = (_: { outcome: "success"; detail: string }) => {};
    w.participants.scripts.set(a, () => new Promise((resolve) => (answer = resolve)));
    await w.ask("first", { kind: "submit", submission: saga([a]) });
    await w.ask("second", { kind: "submit", submission: saga([a]) });
    const drained = w.engine.drain(new Set([shardOf("first"), shardOf("second")]), 5000);
    await w.clock.advance(20);
    answer({ outcome: "success", detail: "" });
    await w.clock.advance(100);
    await drained;
    expect(w.participants.calls.map(({ gid }) => gid)).toEqual(["first"]);
  });

  it("serves a shard that was lost while it was being drained, when it is the node's again", async () => {
    let epoch: number | undefined = 1;
    const ownership = { epochOf: () => epoch, remainingMs: () => Number.POSITIVE_INFINITY, lost: () => {} };
    const w = world({}, { ownership });
    w.participants.scripts.set(a, () => new Promise(() => {}));
    await w.ask("g", { kind: "submit", submission: saga([a]) });
    const drained = w.engine.drain(new Set([shardOf("g")]), 500);
    await w.clock.advance(100);
    epoch = undefined;
    w.engine.lost(new Set([shardOf("g")]));
    await w.clock.advance(1000);
    await drained;
    epoch = 3;
    w.engine.gained();
    await w.clock.advance(10);
    expect((await stateOf(w, "g")).status).toBe("submitted");
  });
});

describe("isolation", () => {
  it("keeps 1,000 sagas whose participant is away for ten minutes, and ends them soon after its return", async () => {
    const w = world();
    let away = true;
    w.participants.scripts.set(a, () => (away ? { outcome: "unknown", detail: "refused" } : "success"));
    const gids = Array.from({ length: 1000 }, (_, i) => `g${i}`);
    for (const gid of gids) await w.ask(gid, { kind: "submit", submission: saga([a], { retryLimit: 3 }) });
    await w.clock.advance(600_000);
    const attempts = w.participants.calls.length;
    expect(attempts).toBeLessThan(600);
    away = false;
    await w.clock.advance(60_000);
    const states = await Promise.all(gids.map((gid) => stateOf(w, gid)));
    const failed = states.filter(({ status }) => status !== "succeed");
    expect(failed.length).toBe(0);
    expect(w.participants.mostInFlight).toBeLessThanOrEqual(256);
  }, 120_000);
});
