/**
 * Group commit under every fault a store may have: verdicts are the commits' own, nothing is told before it is durable,
 * nobody waits for ever.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Head } from "../../src/core/head.js";
import { type Committed, Committer } from "../../src/engine/committer.js";
import type { Commit, Store, Verdict } from "../../src/ports/store.js";
import { type CommitFault, MemoryStore } from "../../src/store/memory/memory.js";
import { settle, virtualClock } from "./harness.js";

type Fate = "good" | "conflict" | "fenced" | "poisoned";

const fates: readonly Fate[] = ["good", "conflict", "fenced", "poisoned"];

const verdictOf: Readonly<Record<Fate, Committed>> = {
  good: "ok",
  conflict: "conflict",
  fenced: "fenced",
  poisoned: "refused",
};

/** A creation with that fate: shard 9 belongs to somebody else, and version 2 of nothing is a conflict. */
function commitOf(i: number, fate: Fate, gid = `g${i}`): Commit {
  const shard = fate === "fenced" ? 9 : 1;
  const head = { id: i + 1, gid, shard, status: "submitted", wakeAtMs: i } as Head;
  return {
    gid,
    id: i + 1,
    shard,
    epoch: 7,
    row: { version: fate === "conflict" ? 2 : 1, retryOf: undefined, events: [] },
    head,
  };
}

interface Setup {
  readonly store: MemoryStore;
  readonly committer: Committer;
  readonly clock: ReturnType<typeof virtualClock>;
  readonly flushes: (readonly Commit[])[];
  readonly log: string[];
}

function setup(
  limits = { commitsMax: 8, bytesMax: 8000, lingerMs: 2 },
  defect: (batch: readonly Commit[]) => void = () => {},
): Setup {
  const store = new MemoryStore((shard) => (shard === 9 ? 8 : 7));
  const clock = virtualClock();
  const flushes: (readonly Commit[])[] = [];
  const log: string[] = [];
  const line = (event: string) => void log.push(event);
  const spied: Pick<Store, "commit" | "settle"> = {
    commit(batch) {
      flushes.push(batch);
      defect(batch);
      return store.commit(batch);
    },
    settle: (batch) => store.settle(batch),
  };
  const observer = {
    finished: () => {},
    called: () => {},
    flushed: () => {},
    lateAnswer: () => {},
    breaker: () => {},
    stuck: () => {},
  };
  const committer = new Committer(
    { ...spied } as unknown as Store,
    clock,
    observer,
    { info: line, warn: line, error: line },
    limits,
  );
  return { store, committer, clock, flushes, log };
}

describe("the committer", () => {
  it("gives each of good, conflicting, fenced and poisoned commits its own verdict, whatever befalls the flushes", async () => {
    const faults = fc.array(fc.constantFrom<CommitFault>("unavailable", "doubtWritten", "doubtLost"), { maxLength: 6 });
    const met = new Set<string>();
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...fates), { minLength: 1, maxLength: 40 }),
        faults,
        fc.func(fc.boolean()),
        async (mix, bad, lingers) => {
          const { store, committer, clock } = setup();
          store.faults.nextCommits.push(...bad);
          for (const [i, fate] of mix.entries()) if (fate === "poisoned") store.faults.refusedGids.add(`g${i}`);
          const told: Committed[][] = mix.map(() => []);
          for (const [i, fate] of mix.entries())
            committer.add(
              commitOf(i, fate),
              100,
              (result) => {
                told[i]!.push(result);
                met.add(result);
              },
              { lingers: lingers(i) },
            );
          await clock.advance(60_000);
          expect(told).toEqual(mix.map((fate) => [verdictOf[fate]]));
          expect(committer.queued).toBe(0);
          const stored = await store.load(mix.map((_, i) => `g${i}`));
          expect(stored.map((tx) => tx !== undefined)).toEqual(mix.map((fate) => fate === "good"));
        },
      ),
      { numRuns: 200 },
    );
    expect([...met].sort()).toEqual(["conflict", "fenced", "ok", "refused"]);
  });

  it("sends the next flush before those of the last one hear of it: the store writes while they go on", async () => {
    const order: string[] = [];
    const { committer, clock } = setup(undefined, (batch) => {
      order.push(`sent ${batch.map(({ gid }) => gid).join(" ")}`);
    });
    const told = (i: number) => () => {
      order.push(`told g${i}`);
      if (i === 1) committer.add(commitOf(10, "good"), 100, told(10));
    };
    for (let i = 0; i < 10; i++) committer.add(commitOf(i, "good"), 100, told(i));
    await clock.advance(1000);
    const first = Array.from({ length: 8 }, (_, i) => `g${i}`);
    expect(order).toEqual([
      `sent ${first.join(" ")}`,
      "sent g8 g9",
      ...first.map((gid) => `told ${gid}`),
      "sent g10",
      ...["told g8", "told g9", "told g10"],
    ]);
  });

  it("takes a flush apart on which the store fails in no known way: the commit that brings it about stands alone", async () => {
    const { store, committer, clock, log } = setup(undefined, (batch) => {
      if (batch.some(({ gid }) => gid === "g5")) throw new TypeError("a value without a form");
    });
    const told: Committed[] = [];
    for (let i = 0; i < 8; i++)
      committer.add(commitOf(i, "good"), 100, (result) => {
        told[i] = result;
      });
    await clock.advance(1000);
    expect(told).toEqual(told.map((_, i) => (i === 5 ? "refused" : "ok")));
    expect(told).toHaveLength(8);
    expect(log).toEqual(["store_failed"]);
    expect((await store.load(["g4", "g5"])).map((stored) => stored === undefined)).toEqual([false, true]);
  });

  it("takes apart what is in doubt and refused, too: what the store has stays, what it refuses stands alone", async () => {
    const { store, committer, clock } = setup();
    store.faults.refusedGids.add("g3");
    store.faults.nextCommits.push("doubtLost");
    const told: Committed[] = [];
    for (let i = 0; i < 6; i++)
      committer.add(commitOf(i, "good"), 100, (result) => {
        told[i] = result;
      });
    await clock.advance(10_000);
    expect(told).toEqual(["ok", "ok", "ok", "refused", "ok", "ok"]);
  });

  it("tells nothing while the store is down, and all once it is back, without being asked again", async () => {
    const { store, committer, clock, log } = setup();
    store.faults.down = true;
    const told: Committed[] = [];
    for (let i = 0; i < 20; i++) committer.add(commitOf(i, "good"), 100, (result) => void told.push(result));
    await clock.advance(30_000);
    expect(told).toEqual([]);
    expect(committer.queued).toBe(20);
    expect(clock.monotonicMs() - committer.unavailableSinceMs!).toBeGreaterThan(29_000);
    store.faults.down = false;
    await clock.advance(1000);
    expect(told).toEqual(Array.from({ length: 20 }, () => "ok"));
    expect(committer.unavailableSinceMs).toBeUndefined();
    expect(log).toEqual(["store_unavailable", "store_available"]);
  });

  it("asks a store that is down less and less often, at least every second", async () => {
    const { store, committer, clock, flushes } = setup();
    store.faults.down = true;
    committer.add(commitOf(0, "good"), 100, () => {});
    await clock.advance(1000);
    const first = flushes.length;
    await clock.advance(10_000);
    expect([first, flushes.length]).toEqual([5, 15]);
  });

  it("takes what has gathered into one flush, within its limits of commits and bytes", async () => {
    const { committer, flushes } = setup();
    for (let i = 0; i < 20; i++) committer.add(commitOf(i, "good"), 100, () => {});
    for (let i = 20; i < 24; i++) committer.add(commitOf(i, "good"), 5000, () => {});
    committer.add(commitOf(24, "good"), 9000, () => {});
    await settle();
    expect(flushes.map((batch) => batch.length)).toEqual([8, 8, 5, 1, 1, 1, 1]);
  });

  it("writes what nobody waits for together with the next commit that somebody waits for", async () => {
    const { committer, flushes } = setup();
    const told: number[] = [];
    for (const i of [0, 1]) committer.add(commitOf(i, "good"), 100, () => void told.push(i), { lingers: true });
    await settle();
    expect([flushes.length, told]).toEqual([0, []]);
    committer.add(commitOf(2, "good"), 100, () => void told.push(2));
    await settle();
    expect([flushes.map((batch) => batch.length), told]).toEqual([[3], [0, 1, 2]]);
  });

  it("writes what nobody waits for by itself after its time, whether a flush went meanwhile or not", async () => {
    const { committer, clock, flushes } = setup();
    const linger = (i: number) => committer.add(commitOf(i, "good"), 100, () => {}, { lingers: true });
    linger(0);
    committer.add(commitOf(1, "good"), 100, () => linger(2));
    await settle();
    expect(flushes.map((batch) => batch.length)).toEqual([2]);
    await clock.advance(1);
    linger(3);
    expect(flushes.length).toBe(1);
    await clock.advance(1);
    expect(flushes.map((batch) => batch.length)).toEqual([2, 2]);
    linger(4);
    await clock.advance(2);
    expect(flushes.map((batch) => batch.length)).toEqual([2, 2, 1]);
    linger(5);
    await committer.drained();
    linger(6);
    await committer.close();
    expect(flushes.map((batch) => batch.length)).toEqual([2, 2, 1, 1, 1]);
  });

  it("never puts two commits of one gid into one flush", async () => {
    const { committer, flushes } = setup();
    const told: Verdict[] = [];
    for (const id of [0, 1]) committer.add(commitOf(id, "good", "same"), 100, (result) => told.push(result as Verdict));
    await settle();
    expect(flushes.map((batch) => batch.length)).toEqual([1, 1]);
    expect(told).toEqual(["ok", "conflict"]);
  });

  it("does not renew the epoch of a commit in doubt whose actor has lost its shard", async () => {
    const { store, committer } = setup();
    const settled: string[] = [];
    const settleThere = store.settle.bind(store);
    store.settle = (batch) => {
      settled.push(...batch.map(({ gid }) => gid));
      return settleThere(batch);
    };
    store.faults.nextCommits.push("doubtLost", "doubtLost");
    const told: Committed[] = [];
    const hear = (result: Committed) => void told.push(result);
    committer.add(commitOf(0, "good"), 100, hear);
    committer.add(commitOf(1, "good"), 100, hear, { isAbandoned: () => true });
    await settle();
    committer.add(commitOf(2, "good"), 100, hear, { isAbandoned: () => true });
    await settle();
    expect(told).toEqual(["ok", "fenced", "fenced"]);
    expect(settled).toEqual(["g0"]);
  });

  it("does not take the store for unavailable once what it did not answer is given up", async () => {
    const { store, committer, clock } = setup();
    store.faults.nextCommits.push("unavailable", "doubtLost");
    const told: Committed[] = [];
    committer.add(commitOf(0, "good"), 100, (result) => void told.push(result), { isAbandoned: () => true });
    await clock.advance(1000);
    expect(told).toEqual(["fenced"]);
    expect(committer.unavailableSinceMs).toBeUndefined(); // else nothing new is taken, and nothing asks it again
  });

  it("goes on when a listener throws", async () => {
    const { committer, log } = setup();
    const told: Committed[] = [];
    committer.add(commitOf(0, "good"), 100, () => {
      throw new Error("a bug");
    });
    for (const i of [1, 2]) committer.add(commitOf(i, "good"), 100, (result) => void told.push(result));
    await settle();
    committer.add(commitOf(3, "good"), 100, (result) => void told.push(result));
    await settle();
    expect(told).toEqual(["ok", "ok", "ok"]);
    expect(log).toEqual(["commit_listener_failed"]);
  });

  it("closes after what the store takes, and gives up what it does not take", async () => {
    const good = setup();
    const told: Committed[] = [];
    for (let i = 0; i < 20; i++) good.committer.add(commitOf(i, "good"), 100, (result) => void told.push(result));
    await good.committer.close();
    expect(told.length).toBe(20);

    const bad = setup();
    bad.store.faults.down = true;
    bad.committer.add(commitOf(0, "good"), 100, (result) => void told.push(result));
    await settle();
    await bad.committer.close();
    expect(told.length).toBe(20);
    expect(bad.committer.queued).toBe(0);
  });
});
