/** The rows of spec/crash-scenarios that concern one node, each by its number. A death is a killed process. */
import { describe, expect, it } from "vitest";
import type { Reply, Request, Submission } from "../../src/core/input.js";
import type { Transaction } from "../../src/core/transaction.js";
import type { Answer } from "../../src/ports/caller.js";
import { bytes } from "../core/submissions.js";
import { saga, settle, type World, world } from "./harness.js";
import { breaches, type Death, type Life, live, sentFor, type Wire } from "./life.js";

const a = "http://a.test/pay";
const b = "http://b.test/ship";

const submit = (urls: readonly string[], options: Partial<Submission["options"]> = {}): Request => ({
  kind: "submit",
  submission: saga(urls, options),
});

/** A first life that ends there; what the client of that life was told, if anything. */
async function fatal(request: Request, death: Death, prepare: (w: World) => void = () => {}) {
  const wire: Wire = { placed: [] };
  const first = live(wire, death);
  prepare(first.world);
  const told: Reply[] = [];
  void first.world.ask("g", request).then((reply) => told.push(reply));
  await first.world.clock.advance(100);
  expect(first.dead).toBe(true);
  return { wire, told, first };
}

async function next(life: Life, wire: Wire): Promise<World> {
  const { world: reborn } = live(wire, undefined, life.world);
  reborn.engine.start();
  await reborn.clock.advance(20);
  return reborn;
}

async function stateOf(w: World): Promise<Transaction | undefined> {
  return (await w.store.load(["g"]))[0]?.tx;
}

describe("a crash", () => {
  it("1: before the flush of a submit: no answer was given, and the repeated submit creates it", async () => {
    const { wire, told, first } = await fatal(submit([a]), { commit: 1, written: false });
    expect(told).toEqual([]);
    const w = await next(first, wire);
    expect(await stateOf(w)).toBeUndefined();
    expect(await w.ask("g", submit([a]))).toEqual({ kind: "accepted" });
    await settle();
    expect(sentFor(wire, "g")).toEqual(["action 01"]);
  });

  it("2: after the flush, before the answer: the repeated submit gets the same answer, nothing runs twice", async () => {
    const { wire, told, first } = await fatal(submit([a]), { commit: 1, written: true });
    expect(told).toEqual([]);
    const w = await next(first, wire);
    expect(await w.ask("g", submit([a]))).toEqual({ kind: "accepted" });
    await settle();
    expect(sentFor(wire, "g")).toEqual(["action 01"]);
    expect((await stateOf(w))?.status).toBe("succeed");
  });

  it("4: after the intent, before the call: the next owner calls, once", async () => {
    const { wire, first } = await fatal(submit([a, b]), { commit: 2, written: true });
    expect(sentFor(wire, "g")).toEqual(["action 01"]); // the second action's intent is stored with the first's result
    const w = await next(first, wire);
    expect(sentFor(wire, "g")).toEqual(["action 01", "action 02"]);
    expect((await stateOf(w))?.status).toBe("succeed");
  });

  it("5: after the call, before its result: it is called again", async () => {
    const { wire, first } = await fatal(submit([a]), { commit: 2, written: false });
    const w = await next(first, wire);
    expect(sentFor(wire, "g")).toEqual(["action 01", "action 01"]);
    expect((await stateOf(w))?.status).toBe("succeed");
  });

  it("6: after the result, before the next intent: no such moment, both are one commit", async () => {
    const { wire, first } = await fatal(submit([a, b]), { commit: 2, written: true });
    const [, second] = await first.world.store.history("g");
    expect(second?.events.map(({ kind }) => kind)).toEqual(["settled", "started"]);
    await next(first, wire);
    expect(breaches(wire)).toEqual([]);
  });

  it("7: between the decision to abort and the first compensation: everything sent is compensated", async () => {
    for (const written of [true, false]) {
      const refuse = (w: World) => w.participants.scripts.set(b, () => "failure");
      const { wire, first } = await fatal(submit([a, b]), { commit: 3, written }, refuse);
      const w = await next(first, wire);
      expect((await stateOf(w))?.status).toBe("failed");
      expect(sentFor(wire, "g").slice(-2)).toEqual(["compensate 02", "compensate 01"]);
    }
  });

  it("8: between the last compensation and the end: it may be compensated again, then it ends", async () => {
    const refuse = (w: World) => w.participants.scripts.set(a, () => "failure");
    const { wire, first } = await fatal(submit([a]), { commit: 3, written: false }, refuse);
    const w = await next(first, wire);
    expect(sentFor(wire, "g")).toEqual(["action 01", "compensate 01", "compensate 01"]);
    expect((await stateOf(w))?.status).toBe("failed");
  });
});

describe("a race", () => {
  it("3: a commit in doubt is settled before anything is said or done, whichever way it went", async () => {
    for (const fault of ["doubtWritten", "doubtLost"] as const) {
      const w = world();
      w.store.faults.nextCommits.push(fault);
      expect(await w.ask("g", submit([a]))).toEqual({ kind: "accepted" });
      await settle();
      expect(w.participants.of("g")).toEqual(["action 01"]);
      expect((await stateOf(w))?.status).toBe("succeed");
    }
  });

  it("20, 21: the same request again, at once or after a lost answer, makes one transaction and equal answers", async () => {
    const w = world();
    const both = await Promise.all([w.ask("g", submit([a])), w.ask("g", submit([a]))]);
    await settle();
    both.push(await w.ask("g", submit([a])));
    expect(both).toEqual([{ kind: "accepted" }, { kind: "accepted" }, { kind: "accepted" }]);
    expect(w.participants.of("g")).toEqual(["action 01"]);
  });

  it("22: a branch registered after the submit is refused, and nothing changes", async () => {
    const w = world();
    const tcc = { ...saga([]), type: "tcc" as const };
    await w.ask("g", { kind: "prepare", submission: tcc });
    await w.ask("g", { kind: "submit", submission: tcc });
    const late: Request = {
      kind: "registerBranch",
      registration: {
        type: "tcc",
        branchId: "01",
        ops: [{ op: "cancel", url: a, status: "prepared" }],
        payload: bytes(""),
        executorId: undefined,
      },
    };
    const before = await w.store.history("g");
    expect(await w.ask("g", late)).toMatchObject({ code: "REFUSED" });
    expect(await w.store.history("g")).toEqual(before);
  });

  it("25, 28: the answer to a call of a transaction that was stopped meanwhile changes nothing, and is counted", async () => {
    const w = world();
    let answer = (_: Answer) => {};
    w.participants.scripts.set(a, () => new Promise((resolve) => (answer = resolve)));
    await w.ask("g", submit([a, b]));
    await settle();
    expect(await w.ask("g", { kind: "forceStop" })).toEqual({ kind: "accepted" });
    const before = await w.store.history("g");
    answer({ outcome: "success", detail: "" });
    await w.clock.advance(60_000);
    expect(w.lateAnswers.length).toBe(1);
    expect(w.participants.of("g")).toEqual(["action 01"]);
    expect(await w.store.history("g")).toEqual(before);
  });

  it("counts a word that comes when the saga has timed out as late, silence at its deadline not", async () => {
    const w = world();
    let answer = (_: Answer) => {};
    w.participants.scripts.set(a, () => new Promise((resolve) => (answer = resolve)));
    for (const [gid, said] of [
      ["heard", { outcome: "success", detail: "" }],
      ["silent", { outcome: "unknown", detail: "no answer", timedOut: true }],
    ] as const) {
      await w.ask(gid, { kind: "submit", submission: saga([a], { timeoutToFailS: 10 }) });
      await w.clock.advance(15_000);
      answer(said);
      await w.clock.advance(1000);
      expect(w.participants.of(gid)).toEqual(["action 01", "compensate 01"]);
    }
    expect(w.lateAnswers.map(({ gid, op }) => `${gid} ${op}`)).toEqual(["heard action"]);
  });

  it("26: a compensation that fails for a day is asked again with growing, capped waits, and holds up nobody", async () => {
    const w = world();
    w.engine.start();
    const undo = `${a}/undo`;
    w.participants.scripts.set(a, () => "failure");
    w.participants.scripts.set(undo, () => ({ outcome: "unknown", detail: "out of order" }));
    await w.ask("g", submit([a]));
    await w.clock.advance(86_400_000);
    const asked = w.participants.calls.filter(({ url }) => url === undo).length;
    expect(asked).toBeGreaterThan(280); // every five minutes
    expect(asked).toBeLessThan(310);
    expect(w.stuck.length).toBeGreaterThan(asked - 5);
    expect((await w.store.history("g")).length).toBeLessThan(6);
    expect(await w.ask("well", submit([b], { waitResult: true }))).toEqual({ kind: "accepted" });
  }, 60_000);

  it("27: of an abort and a submit at the same time the first one counts, the other one is refused", async () => {
    const tcc = { ...saga([]), type: "tcc" as const };
    const requests: readonly Request[] = [
      { kind: "submit", submission: tcc },
      { kind: "abort", type: "tcc", reason: "", waitResult: false },
    ];
    for (const order of [requests, [...requests].reverse()]) {
      const w = world();
      await w.ask("g", { kind: "prepare", submission: tcc });
      const replies = await Promise.all(order.map((request) => w.ask("g", request)));
      expect(replies.map(({ kind }) => kind)).toEqual(["accepted", "refused"]);
      expect((await stateOf(w))?.status).toBe(order[0]!.kind === "submit" ? "succeed" : "failed");
    }
  });

  it("30: a store without room is asked at most once a second, and nothing is acknowledged", async () => {
    const w = world();
    let commits = 0;
    const commit = w.store.commit.bind(w.store);
    w.store.commit = (batch) => {
      commits++;
      return commit(batch);
    };
    await w.ask("warm", submit([b]));
    await settle();
    w.store.faults.nextCommits.push(...Array.from({ length: 1000 }, () => "unavailable" as const));
    const told: Reply[] = [];
    void w.ask("warm2", submit([b])).then((reply) => told.push(reply));
    await settle();
    const before = commits;
    await w.clock.advance(60_000);
    expect(commits - before).toBeLessThan(70);
    expect(told.every(({ kind }) => kind === "refused")).toBe(true);
  });

  it("35: a gid used again after retention removed it is a new transaction", async () => {
    const w = world();
    w.engine.start();
    await w.ask("g", submit([a]));
    await settle();
    const first = (await stateOf(w))!.id;
    await w.clock.advance(8 * 86_400_000);
    expect(await w.ask("g", submit([b]))).toMatchObject({ code: "REFUSED" }); // its head is still there (S9, D26)
    await w.clock.advance(23 * 86_400_000);
    expect(await stateOf(w)).toBeUndefined();
    expect(await w.ask("g", submit([b]))).toEqual({ kind: "accepted" });
    await settle();
    expect((await stateOf(w))!.id).toBeGreaterThan(first);
    expect(w.participants.of("g")).toEqual(["action 01", "action 01"]);
  }, 60_000);
});
