/** What is stored comes back: after a start, at its time, without holding up new work, whatever else is stored. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Submission } from "../../src/core/input.js";
import { Engine } from "../../src/engine/engine.js";
import { Recovery } from "../../src/engine/recovery.js";
import type { Answer, Call, Callers } from "../../src/ports/caller.js";
import type { Store } from "../../src/ports/store.js";
import { topicCategory } from "../../src/ports/topics.js";
import { MemoryStore } from "../../src/store/memory/memory.js";
import { saga, settings, settle, virtualClock, world } from "./harness.js";
import { leave } from "./stored.js";

const a = "http://a.test/pay";
const b = "http://b.test/ship";

const silent = { info: () => {}, warn: () => {}, error: () => {} };
const observer = {
  finished: () => {},
  called: () => {},
  flushed: () => {},
  lateAnswer: () => {},
  breaker: () => {},
  stuck: () => {},
};
const owner = { epochOf: () => 1, remainingMs: () => Number.POSITIVE_INFINITY, lost: () => {} };

/** How often recovery has looked so far for what is due. */
function countLooks(store: Store): () => number {
  let looks = 0;
  const earliest = store.earliest.bind(store);
  store.earliest = () => {
    looks++;
    return earliest();
  };
  return () => looks;
}

describe("wake times", () => {
  it("stand in the store when a transaction rests, so that a new engine goes on at the right time", async () => {
    const interval = fc.integer({ min: 1, max: 600 });
    await fc.assert(
      fc.asyncProperty(interval, fc.double({ min: 0.05, max: 0.95, noNaN: true }), async (retryIntervalS, share) => {
        const w = world();
        w.participants.scripts.set(a, (_, nth) => (nth === 0 ? "ongoing" : "success"));
        await w.ask("g", { kind: "submit", submission: saga([a], { retryIntervalS }) });
        await settle();
        const dueMs = w.clock.nowMs() + retryIntervalS * 1000;
        expect((await w.store.load(["g"]))[0]?.wakeAtMs).toBe(dueMs);
        await w.engine.close(0);
        await w.clock.advance(retryIntervalS * 1000 * share);
        const again = w.reborn();
        again.engine.start();
        await w.clock.advance(dueMs - w.clock.nowMs() - 1);
        expect(w.participants.calls.length).toBe(1);
        await w.clock.advance(10);
        expect(w.participants.calls.length).toBe(2);
      }),
      { numRuns: 60 },
    );
  });

  it("are kept however long nobody was there to look for: an idle store is looked at every ten minutes", async () => {
    const seconds = (min: number, max: number) => fc.integer({ min, max });
    await fc.assert(
      fc.asyncProperty(seconds(0, 1200), seconds(61, 1500), seconds(61, 1500), async (idleS, firstS, secondS) => {
        const w = world();
        w.participants.scripts.set(a, (_, nth) => (nth === 0 ? "ongoing" : "success"));
        const looks = countLooks(w.store);
        w.engine.start();
        await w.clock.advance(idleS * 1000);
        expect(looks()).toBeLessThanOrEqual(1 + idleS / 600);
        const due = new Map<string, number>();
        for (const [gid, retryIntervalS] of [
          ["first", firstS],
          ["second", secondS],
        ] as const) {
          await w.ask(gid, { kind: "submit", submission: saga([a], { retryIntervalS }) });
          await settle();
          due.set(gid, w.clock.nowMs() + retryIntervalS * 1000);
          await w.clock.advance(500); // the two are never due at the same moment
        }
        expect(w.engine.stats().resident).toBe(0);
        for (const [gid, atMs] of [...due].sort((x, y) => x[1] - y[1])) {
          await w.clock.advance(atMs - w.clock.nowMs() - 1);
          expect(w.participants.of(gid).length).toBe(1);
          await w.clock.advance(10);
          expect(w.participants.of(gid).length).toBe(2);
        }
      }),
      { numRuns: 60 },
    );
  });

  it("are kept when the clock is set: what is due then is found within half a minute", async () => {
    const w = world();
    w.participants.scripts.set(a, (_, nth) => (nth === 0 ? "ongoing" : "success"));
    const looks = countLooks(w.store);
    w.engine.start();
    await w.ask("g", { kind: "submit", submission: saga([a], { retryIntervalS: 3000 }) });
    await w.clock.advance(100_000);
    w.clock.jump(-3_600_000);
    const before = looks();
    await w.clock.advance(600_000);
    expect(looks()).toBeGreaterThan(before);
    w.clock.jump(7_200_000);
    await w.clock.advance(30_010);
    expect(w.participants.of("g").length).toBe(2);
  });

  it("hold for those who had to leave memory for others", async () => {
    const w = world({ residentMax: 10 });
    w.engine.start();
    w.participants.scripts.set(a, (_, nth) => (nth === 0 ? "ongoing" : "success"));
    const gids = Array.from({ length: 60 }, (_, i) => `g${i}`);
    for (const [i, gid] of gids.entries()) {
      const retryIntervalS = 10 + (i % 40);
      expect(await w.ask(gid, { kind: "submit", submission: saga([a], { retryIntervalS }) })).toEqual({
        kind: "accepted",
      });
      await settle();
    }
    expect(w.engine.stats().resident).toBeLessThanOrEqual(10);
    for (let s = 1; s <= 50; s++) {
      await w.clock.advance(1000);
      const called = w.participants.calls.length - 60;
      const due = gids.filter((_, i) => 10 + (i % 40) <= s).length;
      expect(`${s} s: ${called}`).toBe(`${s} s: ${due}`);
    }
    const states = await w.store.load(gids);
    expect(new Set(states.map((stored) => stored?.tx.status))).toEqual(new Set(["succeed"]));
  });

  it("are nobody's business once they were replaced: a transaction is called once at its newest time", async () => {
    const w = world();
    w.participants.scripts.set(a, (_, nth) => (nth < 2 ? "ongoing" : "success"));
    await w.ask("g", { kind: "submit", submission: saga([a], { retryIntervalS: 30 }) });
    await settle();
    await w.clock.advance(1000);
    await w.ask("g", { kind: "hasten", bulk: false });
    await settle();
    expect(w.participants.calls.length).toBe(2);
    await w.clock.advance(29_500);
    expect(w.participants.calls.length).toBe(2);
    await w.clock.advance(1000);
    expect(w.participants.calls.length).toBe(3);
  });
});

/** An engine over a store whose every flush takes a millisecond, and participants that answer at once. */
function plant(store: MemoryStore, over: Partial<typeof settings> = {}) {
  const clock = virtualClock();
  const flushes: number[] = [];
  const slow: Store = Object.assign(Object.create(store) as MemoryStore, {
    commit: async (batch: Parameters<Store["commit"]>[0]) => {
      flushes.push(batch.length);
      await new Promise<void>((resolve) => void clock.after(1, resolve));
      return store.commit(batch);
    },
    load: (gids: readonly string[]) => store.load(gids),
    due: (...given: Parameters<Store["due"]>) => store.due(...given),
    earliest: () => store.earliest(),
    lastId: (shard: number) => store.lastId(shard),
    purge: async () => 0,
  });
  let calls = 0;
  const callers: Callers = {
    locate: (_, url) => ({ origin: url.split("/").slice(0, 3).join("/"), target: url }),
    call: async (_: Call): Promise<Answer> => {
      calls++;
      return { outcome: "success", detail: "" };
    },
    close: async () => {},
  };
  const engine = new Engine(
    { store: slow, keyValues: store, callers, ownership: owner, clock, random: () => 0.5, log: silent, observer },
    { ...settings, ...over },
  );
  return { engine, clock, flushes, calls: () => calls };
}

/** A million are the full size, which takes minutes. */
const backlog = Number(process.env.TANDEM_TEST_BACKLOG ?? 100_000);

describe("a start with much unfinished work", () => {
  it("36: brings back what is due at once without holding up new work: newcomers are durable within a few flushes", async () => {
    const store = new MemoryStore();
    const { engine, clock, flushes, calls } = plant(store);
    const gids = Array.from({ length: backlog }, (_, i) => `old${i}`);
    await leave(
      store,
      gids.map((gid, i) => ({ gid, urls: [a], wakeAtMs: clock.nowMs() - 1000 - i })),
      clock.nowMs() - 200_000,
    );
    engine.start();
    const waits: number[] = [];
    let mostQueued = 0;
    let asked = 0;
    while (engine.stats().recovering) {
      const before = flushes.length;
      let after: number | undefined;
      void engine.handle(`new${asked++}`, { kind: "submit", submission: saga([b]) }).then((reply) => {
        expect(reply).toEqual({ kind: "accepted" });
        after = flushes.length;
      });
      while (after === undefined) {
        await clock.advance(1);
        mostQueued = Math.max(mostQueued, engine.stats().commitsQueued);
      }
      waits.push(after - before);
    }
    await clock.advance(1000);
    expect(waits.length).toBeGreaterThan(100);
    expect(Math.max(...waits)).toBeLessThanOrEqual(6);
    expect(mostQueued).toBeLessThan(settings.activeMax / 2);
    expect(calls()).toBe(backlog + asked);
    const counts = await store.count();
    expect(counts).toEqual([{ type: "saga", status: "succeed", transactions: backlog + asked }]);
    process.stdout.write(`${backlog} due at once: ${asked} new ones meanwhile, most flushes ${Math.max(...waits)}\n`);
  }, 1_800_000);

  it("goes on bringing back, slower, though new work never leaves room", async () => {
    const store = new MemoryStore();
    const clock = virtualClock();
    const revived: string[] = [];
    await leave(
      store,
      Array.from({ length: 1000 }, (_, i) => ({ gid: `g${i}`, urls: [a], wakeAtMs: clock.nowMs() - 1 })),
      clock.nowMs() - 1000,
    );
    const known = new Set<string>();
    const recovery = new Recovery(
      store,
      clock,
      silent,
      {
        owns: () => true,
        knows: (gid) => known.has(gid),
        expect: () => {},
        reserve: (gid) => {
          known.add(gid);
          return { gid, fill: () => void revived.push(gid), giveUp: () => {} };
        },
        hasRoom: () => false,
        isTight: () => false,
      },
      { horizonMs: 60_000, page: 500, batch: 128 },
    );
    recovery.look();
    await clock.advance(200);
    expect(revived.length).toBe(0);
    await clock.advance(10_000);
    expect(revived.length).toBe(1000);
    await recovery.close();
  });

  it("takes no state for the newest that was read before the transaction went on", async () => {
    const w = world();
    const nowMs = w.clock.nowMs();
    await leave(w.store, [{ gid: "g", urls: [a], wakeAtMs: nowMs - 5 }], nowMs - 10);
    const load = w.store.load.bind(w.store);
    let slow = true;
    w.store.load = async (gids) => {
      const read = await load(gids);
      if (!slow) return read;
      slow = false; // the answer to recovery's own look takes long
      await new Promise<void>((resolve) => void w.clock.after(1000, resolve));
      return read;
    };
    w.engine.start();
    await w.clock.advance(100);
    const stopped = w.ask("g", { kind: "forceStop" });
    await w.clock.advance(3000);
    expect(await stopped).toEqual({ kind: "accepted" });
    expect((await load(["g"]))[0]?.tx.status).not.toBe("submitted");
    expect(w.participants.of("g").length).toBeLessThanOrEqual(1);
    expect(w.log.filter((line) => line.includes("failed"))).toEqual([]);
  });

  it("is not held up by a participant that is away, however many wait for it", async () => {
    const w = world({ residentMax: 400, dispatch: { perOrigin: 8, perNode: 100, waitingPerTarget: 50, targets: 10 } });
    w.participants.scripts.set(a, () => ({ outcome: "unknown", detail: "refused" }));
    const nowMs = w.clock.nowMs();
    const sick = Array.from({ length: 1000 }, (_, i) => ({ gid: `sick${i}`, urls: [a], wakeAtMs: nowMs - 5000 }));
    const well = Array.from({ length: 200 }, (_, i) => ({ gid: `well${i}`, urls: [b], wakeAtMs: nowMs - 10 }));
    await leave(w.store, [...sick, ...well], nowMs - 10_000);
    w.engine.start();
    await w.clock.advance(5000);
    const states = await w.store.load(well.map(({ gid }) => gid));
    expect(states.filter((stored) => stored?.tx.status === "succeed").length).toBe(200);
    expect(w.engine.stats().resident).toBeLessThan(150);
    w.participants.scripts.delete(a);
    await w.clock.advance(90_000);
    const counts = await w.store.count();
    expect(counts).toEqual([{ type: "saga", status: "succeed", transactions: 1200 }]);
  });

  it("is not held up by a journal that cannot be read, which is looked at again a minute later", async () => {
    const w = world();
    const nowMs = w.clock.nowMs();
    const left = Array.from({ length: 300 }, (_, i) => ({ gid: `g${i}`, urls: [a], wakeAtMs: nowMs - 1000 + i }));
    await leave(w.store, left, nowMs - 10_000);
    const load = w.store.load.bind(w.store);
    let broken = true;
    w.store.load = async (gids) => {
      if (broken && gids.includes("g7")) throw new Error("journal row 3 met, needed 2");
      return load(gids);
    };
    w.engine.start();
    await w.clock.advance(1000);
    expect(w.participants.calls.length).toBe(299);
    expect(w.log.filter((line) => line === "transaction_unreadable").length).toBe(1);
    expect(await w.ask("g7", { kind: "query" })).toMatchObject({ code: "UNAVAILABLE" });
    await w.clock.advance(50_000);
    expect(w.log.filter((line) => line === "load_failed").length).toBeLessThan(60);
    broken = false;
    await w.clock.advance(70_000);
    expect(w.participants.of("g7")).toEqual(["action 01"]);
  });

  it("begins when the store can be read, and leaves nobody out for having begun in vain", async () => {
    const w = world();
    const nowMs = w.clock.nowMs();
    await leave(w.store, [{ gid: "g", urls: [a], wakeAtMs: nowMs }], nowMs - 10_000);
    w.store.faults.down = true;
    w.engine.start();
    await w.clock.advance(10_000);
    expect(w.participants.calls).toEqual([]);
    w.store.faults.down = false;
    await w.clock.advance(1100);
    expect(w.participants.of("g")).toEqual(["action 01"]);
  });

  it("wakes many that are due at one time in batches, not each by a look of its own at the store", async () => {
    const w = world();
    w.participants.call = async () => ({ outcome: "success", detail: "" });
    const atMs = w.clock.nowMs() + 20_000;
    const left = Array.from({ length: 5000 }, (_, i) => ({
      gid: `g${i}`,
      urls: [`http://p${i % 50}.test/`],
      wakeAtMs: atMs,
    }));
    await leave(w.store, left, w.clock.nowMs() - 10_000);
    w.engine.start();
    await w.clock.advance(10_000);
    expect(w.engine.stats().timers).toBe(5000);
    let loads = 0;
    const load = w.store.load.bind(w.store);
    w.store.load = (gids) => {
      loads++;
      return load(gids);
    };
    await w.clock.advance(15_000);
    const counts = await w.store.count();
    expect(counts).toEqual([{ type: "saga", status: "succeed", transactions: 5000 }]);
    expect(loads).toBeLessThan(60);
  });
});

describe("topics", () => {
  const msg = (...actions: string[]): Submission => ({ ...saga(actions), type: "msg" });
  const subscribe = (store: MemoryStore, urls: readonly string[], expected: number) =>
    store.put(topicCategory, "t", JSON.stringify(urls.map((url) => ({ url, remark: "" }))), expected, 1);

  it("are read in the turn that creates the message: the newest subscribers count, and none are looked up twice", async () => {
    const w = world();
    expect(await w.ask("g0", { kind: "submit", submission: msg("topic://t") })).toMatchObject({ code: "BAD_REQUEST" });
    await subscribe(w.store, [a], 0);
    expect(await w.ask("g1", { kind: "submit", submission: msg("topic://t") })).toEqual({ kind: "accepted" });
    await subscribe(w.store, [a, b], 1);
    expect(await w.ask("g2", { kind: "submit", submission: msg("topic://t") })).toEqual({ kind: "accepted" });
    expect(await w.ask("g1", { kind: "submit", submission: msg("topic://t") })).toEqual({ kind: "accepted" });
    await settle();
    expect([w.participants.of("g1").length, w.participants.of("g2").length]).toEqual([1, 2]);
  });

  it("that cannot be read let nothing be accepted", async () => {
    const w = world();
    await subscribe(w.store, [a], 0);
    await w.ask("warm", { kind: "submit", submission: msg(b) });
    w.store.get = async () => {
      throw new Error("away");
    };
    const reply = await w.ask("warm2", { kind: "submit", submission: msg("topic://t") });
    expect(reply).toMatchObject({ code: "UNAVAILABLE", retryAfterS: 1 });
    expect(await w.store.history("warm2")).toEqual([]);
  });
});
