/**
 * Admission on virtual time: a store that takes sixteen commits every ten milliseconds gets four times the newcomers it
 * can serve, for twenty seconds. A rule on counts: no clock of this machine is looked at.
 */
import { describe, expect, it } from "vitest";
import type { Reply } from "../../src/core/input.js";
import { Engine } from "../../src/engine/engine.js";
import type { Callers } from "../../src/ports/caller.js";
import type { Store } from "../../src/ports/store.js";
import { MemoryStore } from "../../src/store/memory/memory.js";
import { saga, settings, virtualClock } from "../engine/harness.js";

const flush = { commits: 16, everyMs: 10 } as const;

/** An engine that is as fast as its store lets it be; participants answer at once. */
function plant() {
  const clock = virtualClock();
  const store = new MemoryStore();
  const commit = store.commit.bind(store);
  const slow: Store = Object.assign(store, {
    commit: async (batch: Parameters<Store["commit"]>[0]) => {
      await new Promise<void>((resolve) => void clock.after(flush.everyMs, resolve));
      return commit(batch);
    },
  });
  const callers: Callers = {
    locate: (_, url) => ({ origin: "http://a.test", target: url }),
    call: async () => ({ outcome: "success", detail: "" }),
    close: async () => {},
  };
  const finished = { count: 0 };
  const silent = { info: () => {}, warn: () => {}, error: () => {} };
  const observer = {
    finished: () => void finished.count++,
    called: () => {},
    flushed: () => {},
    lateAnswer: () => {},
    breaker: () => {},
    stuck: () => {},
  };
  const engine = new Engine(
    {
      store: slow,
      keyValues: store,
      callers,
      ownership: { epochOf: () => 1, remainingMs: () => Number.POSITIVE_INFINITY, lost: () => {} },
      clock,
      random: () => 0.5,
      observer,
      log: silent,
    },
    { ...settings, flush: { commitsMax: flush.commits, bytesMax: 8 << 20, lingerMs: 2 } },
  );
  return { engine, clock, store, finished };
}

/** Sends so many one-branch sagas a second; tells what became of them. */
async function pour(plantOf: ReturnType<typeof plant>, perSecond: number, seconds: number, name: string) {
  const { engine, clock, finished } = plantOf;
  const told = { accepted: 0, refused: 0, other: [] as Reply[], mostResident: 0, longestMs: 0 };
  const from = finished.count;
  let sent = 0;
  for (let ms = 0; ms < seconds * 1000; ms += 5) {
    for (; sent < (ms * perSecond) / 1000; sent++) {
      const beganMs = clock.monotonicMs();
      void engine.handle(`${name}${sent}`, { kind: "submit", submission: saga(["http://a.test/"]) }).then((reply) => {
        if (reply.kind === "accepted") told.accepted++;
        else if (reply.kind === "refused" && reply.code === "OVERLOADED" && reply.retryAfterS === 1) told.refused++;
        else told.other.push(reply);
        told.longestMs = Math.max(told.longestMs, clock.monotonicMs() - beganMs);
      });
    }
    await clock.advance(5);
    told.mostResident = Math.max(told.mostResident, engine.stats().resident);
  }
  return { ...told, sent, finished: finished.count - from };
}

describe("a node that gets four times what it can do", () => {
  it("goes on at its peak, answers everybody within bounds, ends all that it acknowledged, and recovers", async () => {
    const peak = ((1000 / flush.everyMs) * flush.commits) / 2; // two commits each
    const node = plant();
    const calm = await pour(node, peak * 0.8, 5, "calm");
    expect(calm.refused).toBe(0);
    const flood = await pour(node, peak * 4, 20, "flood");
    expect(flood.finished).toBeGreaterThanOrEqual(peak * 20 * 0.8);
    expect(flood.refused).toBeGreaterThan(peak * 20);
    expect(flood.other).toEqual([]);
    expect(flood.mostResident).toBeLessThan(peak);
    expect(flood.longestMs).toBeLessThan(6000);
    await node.clock.advance(10_000);
    const counts = await node.store.count();
    const [all] = counts;
    expect(counts).toEqual([{ type: "saga", status: "succeed", transactions: node.finished.count }]);
    expect(all!.transactions).toBeGreaterThanOrEqual(calm.accepted + flood.accepted);
    expect(node.engine.stats()).toMatchObject({ resident: 0, commitsQueued: 0, overloaded: false });
    const after = await pour(node, peak * 0.8, 5, "after");
    expect(after.refused).toBe(0);
  }, 60_000);

  it("never refuses what concerns a transaction that exists", async () => {
    const node = plant();
    const tcc = { ...saga([]), type: "tcc" as const };
    for (let i = 0; i < 20; i++) {
      const prepared = node.engine.handle(`tcc${i}`, { kind: "prepare", submission: tcc });
      await node.clock.advance(50);
      expect(await prepared).toEqual({ kind: "accepted" });
    }
    const flooding = pour(node, 3200, 8, "flood");
    const replies: (Reply | undefined)[] = [];
    const end = node.clock.after(6000, () => {
      for (let i = 0; i < 20; i++) {
        const at = replies.push(undefined) - 1;
        void node.engine.handle(`tcc${i}`, { kind: "submit", submission: tcc }).then((reply) => {
          replies[at] = reply;
        });
      }
    });
    const { refused } = await flooding;
    end();
    await node.clock.advance(1000);
    expect(refused).toBeGreaterThan(100);
    expect(replies).toEqual(Array.from({ length: 20 }, () => ({ kind: "accepted" })));
  }, 60_000);
});
