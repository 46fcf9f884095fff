/**
 * Crash scenarios that need an engine around the core: what is answered, called and remembered when a commit fails,
 * hangs or is in doubt, and when the process dies between two moments.
 */
import { describe, expect, it } from "vitest";
import type { Transaction } from "../../src/core/transaction.js";
import type { Clock } from "../../src/ports/clock.js";
import { saga, settle, virtualClock, type World, world } from "../engine/harness.js";

const a = "http://a.test/pay";
const b = "http://b.test/ship";

async function stateOf({ engine }: World, gid: string): Promise<Transaction> {
  const reply = await engine.handle(gid, { kind: "query" });
  if (reply.kind !== "transaction" || reply.transaction === undefined) throw new Error(`gid ${gid} is not there`);
  return reply.transaction;
}

/** A world whose timers die with its process, and the kill that does it: the next one over the same store and time. */
function mortal(past?: World): { readonly w: World; kill(): ReturnType<typeof mortal> } {
  let dead = false;
  const inner = past?.clock ?? virtualClock();
  const after: Clock["after"] = (delayMs, task) => inner.after(delayMs, () => dead || task());
  const clock = { ...inner, after };
  const w = world({}, { clock }, { ...(past ?? world()), clock: inner });
  w.engine.start();
  return {
    w,
    kill() {
      dead = true;
      return mortal(w);
    },
  };
}

/** Submits, and says whether the answer has come. */
function submitted(w: World, gid: string, urls: readonly string[], options = {}) {
  const state = { answered: false };
  const reply = w.ask(gid, { kind: "submit", submission: saga(urls, options) }).then((given) => {
    state.answered = true;
    return given;
  });
  return { state, reply };
}

describe("while a commit has not succeeded", () => {
  it("S1: nobody is told that it has", async () => {
    const w = world();
    w.store.faults.nextCommits.push("unavailable");
    const { state, reply } = submitted(w, "g", [a]);
    await settle();
    expect(state.answered).toBe(false);
    await w.clock.advance(100);
    expect(await reply).toEqual({ kind: "accepted" });
    expect(await w.store.history("g")).not.toEqual([]);
  });

  it("S5: no participant is called", async () => {
    const w = world();
    w.store.faults.nextCommits.push("unavailable");
    const { reply } = submitted(w, "g", [a]);
    await settle();
    expect(w.participants.calls).toEqual([]);
    await w.clock.advance(100);
    await reply;
    expect(w.participants.of("g")).toEqual(["action 01"]);
  });

  it("S5: nor is the next one, when the result of the step before cannot be stored", async () => {
    const w = world();
    w.participants.scripts.set(a, () => {
      w.store.faults.nextCommits.push("unavailable");
      return "success";
    });
    await submitted(w, "g", [a, b]).reply;
    await settle();
    expect(w.participants.of("g")).toEqual(["action 01"]);
    await w.clock.advance(100);
    expect(w.participants.of("g")).toEqual(["action 01", "action 02"]);
  });

  it.each(["doubtWritten", "doubtLost"] as const)("nothing is lost or done twice in doubt (%s)", async (fault) => {
    const w = world();
    w.store.faults.nextCommits.push(fault);
    expect(await submitted(w, "g", [a, b], { waitResult: true }).reply).toEqual({ kind: "accepted" });
    expect(w.participants.of("g")).toEqual(["action 01", "action 02"]);
    expect((await w.store.history("g")).map(({ version }) => version)).toEqual([1, 2, 3]);
  });

  it("L3: one that the store refuses does not take the others of its flush along", async () => {
    const w = world();
    w.store.faults.refusedGids.add("bad");
    const replies = await Promise.all(["g1", "bad", "g2", "g3"].map((gid) => submitted(w, gid, [a]).reply));
    expect(replies.map((reply) => (reply.kind === "refused" ? reply.code : reply.kind))).toEqual([
      "accepted",
      "INTERNAL",
      "accepted",
      "accepted",
    ]);
    await settle();
    for (const gid of ["g1", "g2", "g3"]) expect((await stateOf(w, gid)).status).toBe("succeed");
  });
});

describe("after a restart", () => {
  it("a transaction that waits for a retry wakes after a restart, at its time", async () => {
    const before = mortal();
    const { w } = before;
    w.participants.scripts.set(a, (_, nth) => (nth === 0 ? "unknown" : "success"));
    await submitted(w, "g", [a]).reply;
    await settle();
    await w.clock.advance(1000);
    const again = before.kill().w;
    await again.clock.advance(8000);
    expect(again.participants.calls).toHaveLength(1);
    await again.clock.advance(1500);
    expect(again.participants.calls).toHaveLength(2);
    expect((await stateOf(again, "g")).status).toBe("succeed");
  });

  it("a deadline fires after a restart though nobody asks", async () => {
    const before = mortal();
    const { w } = before;
    w.participants.scripts.set(a, () => "ongoing");
    await submitted(w, "g", [a], { timeoutToFailS: 5, retryIntervalS: 600 }).reply;
    await settle();
    const again = before.kill().w;
    await again.clock.advance(6000);
    expect(await stateOf(again, "g")).toMatchObject({ status: "failed", rollbackReason: "Timeout after 5 seconds" });
  });

  it("tries are counted on: the retry limit is not begun anew", async () => {
    let alive = mortal();
    const { w } = alive;
    w.participants.scripts.set(a, () => "unknown");
    await submitted(w, "g", [a], { retryLimit: 2, retryIntervalS: 1 }).reply;
    await settle();
    for (let i = 0; i < 4; i++) {
      await w.clock.advance(1100);
      alive = alive.kill();
    }
    expect(w.participants.of("g").filter((name) => name === "action 01")).toHaveLength(3);
    expect((await stateOf(alive.w, "g")).rollbackReason).toBe("RetryCount is greater than RetryLimit, RetryLimit: 2");
  });
});
