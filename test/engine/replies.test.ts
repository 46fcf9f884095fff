/**
 * Who is told what, and when: held replies (D1), refusals under load and while the store is away, the end of a node.
 */
import { describe, expect, it } from "vitest";
import type { Reply, Request } from "../../src/core/input.js";
import type { Answer } from "../../src/ports/caller.js";
import { bytes } from "../core/submissions.js";
import { saga, settle, type World, world } from "./harness.js";

const a = "http://a.test/pay";
const b = "http://b.test/ship";

const submit = (urls: readonly string[], waitResult = false): Request => ({
  kind: "submit",
  submission: saga(urls, { waitResult }),
});

/** A reply that may not be there yet. */
function asked(w: World, gid: string, request: Request, signal?: AbortSignal): { reply: Reply | undefined } {
  const box: { reply: Reply | undefined } = { reply: undefined };
  void w.engine.handle(gid, request, signal).then((reply) => {
    box.reply = reply;
  });
  return box;
}

/** Lets the test decide when calls of a URL are answered. */
function held(w: World, url: string): ((answer: Answer) => void)[] {
  const answers: ((answer: Answer) => void)[] = [];
  w.participants.scripts.set(url, () => new Promise((resolve) => void answers.push(resolve)));
  return answers;
}

const success: Answer = { outcome: "success", detail: "" };

/** Opens the breaker of a URL by ten sagas that get no clear word. */
async function openBreaker(w: World, url: string): Promise<void> {
  w.participants.scripts.set(url, () => ({ outcome: "unknown", detail: "refused" }));
  for (let i = 0; i < 10; i++) await w.ask(`opener${i}`, submit([url]));
  await settle();
  expect(w.log).toContain(`open ${url}`);
}

describe("a held reply", () => {
  it("waits as long as a call is on the wire, and at most twenty seconds", async () => {
    const w = world();
    held(w, a);
    const box = asked(w, "g", submit([a], true));
    await w.clock.advance(19_900);
    expect(box.reply).toBeUndefined();
    await w.clock.advance(200);
    expect(box.reply).toMatchObject({ code: "ONGOING" });
  });

  it("is given at once, naming the target, when the branch is blocked by an open breaker", async () => {
    const w = world();
    await openBreaker(w, a);
    const box = asked(w, "g", submit([a], true));
    await settle();
    expect(box.reply).toMatchObject({ code: "ONGOING", message: expect.stringContaining(`blocked by ${a}`) });
  });

  it("is given when the breaker opens while the call waits for a place", async () => {
    const w = world({ dispatch: { perOrigin: 16, perNode: 100, waitingPerTarget: 100, targets: 100 } });
    const answers = held(w, a);
    for (let i = 0; i < 30; i++) await w.ask(`g${i}`, submit([a]));
    const box = asked(w, "late", submit([a], true));
    await settle();
    for (let i = 0; i < 10; i++) {
      expect(box.reply).toBeUndefined();
      answers.shift()!({ outcome: "unknown", detail: "reset" });
      await settle();
    }
    expect(box.reply).toMatchObject({ code: "ONGOING", message: expect.stringContaining(`blocked by ${a}`) });
    expect(w.participants.of("late")).toEqual([]);
  });

  it("is given, with who and why, when the transaction is parked; and not before the call on the wire has ended", async () => {
    const w = world();
    const answers = held(w, a);
    const box = asked(w, "g", submit([a, b], true));
    await settle();
    await w.ask("g", { kind: "park", by: "eve", reason: "audit" });
    await settle();
    expect(box.reply).toBeUndefined();
    answers[0]!(success);
    await settle();
    expect(box.reply).toMatchObject({ code: "ONGOING", message: expect.stringMatching(/parked by eve: audit/) });
    expect(w.participants.of("g")).toEqual(["action 01"]);
    const again = asked(w, "g", { kind: "await", of: "submit" });
    await settle();
    expect(again.reply).toMatchObject({ code: "ONGOING" });
  });

  it("ends with its caller, and with nothing else: the call and the transaction go on", async () => {
    const w = world();
    const answers = held(w, a);
    const caller = new AbortController();
    const box = asked(w, "g", submit([a], true), caller.signal);
    await settle();
    caller.abort();
    await settle();
    expect(box.reply).toMatchObject({ code: "ONGOING" });
    answers[0]!(success);
    await settle();
    expect((await w.store.load(["g"]))[0]?.tx.status).toBe("succeed");
  });

  it("is not held at all for a caller that has left already", async () => {
    const w = world();
    held(w, a);
    const box = asked(w, "g", submit([a], true), AbortSignal.abort());
    await settle();
    expect(box.reply).toMatchObject({ code: "ONGOING" });
  });

  it("counts as waiting: beyond the mailbox's limit further requests for the gid are refused", async () => {
    const w = world({ mailboxMax: 5 });
    held(w, a);
    const boxes = Array.from({ length: 5 }, () => asked(w, "g", submit([a], true)));
    await settle();
    expect(await w.ask("g", submit([a], true))).toMatchObject({ code: "TOO_MANY", retryAfterS: 1 });
    expect(await w.ask("other", submit([b]))).toEqual({ kind: "accepted" });
    expect(boxes.map(({ reply }) => reply)).toEqual([undefined, undefined, undefined, undefined, undefined]);
  });
});

describe("a store that takes nothing", () => {
  it("lets nothing be accepted: those who wait are told after a while, newcomers at once, all to come again", async () => {
    const w = world();
    w.store.faults.nextCommits.push(...Array.from({ length: 1000 }, () => "unavailable" as const));
    const first = Array.from({ length: 10 }, (_, i) => asked(w, `g${i}`, submit([a])));
    await w.clock.advance(100);
    expect(await w.ask("new", submit([a]))).toMatchObject({ code: "UNAVAILABLE", retryAfterS: 2 });
    expect(first.every(({ reply }) => reply === undefined)).toBe(true);
    await w.clock.advance(7000);
    for (const { reply } of first) expect(reply).toMatchObject({ code: "UNAVAILABLE", retryAfterS: 2 });
    expect(w.participants.calls).toEqual([]);
    w.store.faults.nextCommits.length = 0;
    await w.clock.advance(2000);
    for (let i = 0; i < 10; i++) expect(await w.ask(`g${i}`, submit([a]))).toEqual({ kind: "accepted" });
    await settle();
    expect(w.participants.calls.length).toBe(10); // what was queued and what was sent again are one
  });

  it("loses no answer of a call on the wire: it is recorded afterwards, and the call not made again", async () => {
    const w = world();
    const answers = held(w, a);
    await w.ask("g", submit([a, b]));
    await settle();
    w.store.faults.down = true;
    answers[0]!(success);
    await w.clock.advance(30_000);
    expect(w.participants.of("g")).toEqual(["action 01"]);
    w.store.faults.down = false;
    await w.clock.advance(2000);
    expect(w.participants.of("g")).toEqual(["action 01", "action 02"]);
    expect((await w.store.load(["g"]))[0]?.tx.status).toBe("succeed");
  });

  it("31: refuses only the transaction at fault when a row cannot be stored; its gid is stopped, the others go on", async () => {
    const w = world();
    w.store.faults.refusedGids.add("bad");
    const boxes = ["g1", "bad", "g2", "g3"].map((gid) => asked(w, gid, submit([a])));
    await settle();
    expect(boxes.map(({ reply }) => reply?.kind)).toEqual(["accepted", "refused", "accepted", "accepted"]);
    expect(boxes[1]!.reply).toMatchObject({ code: "INTERNAL" });
    expect(await w.ask("bad", submit([a]))).toMatchObject({ code: "INTERNAL" });
    expect(await w.ask("bad", { kind: "query" })).toMatchObject({ kind: "transaction", transaction: undefined });
    expect(w.log).toContain("transaction_isolated");
  });

  it("serves others at once when the store comes back with nothing but a refusal", async () => {
    const w = world();
    const answers: ((answer: Answer) => void)[] = [];
    w.participants.scripts.set(a, () => new Promise<Answer>((resolve) => answers.push(resolve)));
    await w.ask("bad", submit([a]));
    w.store.faults.refusedGids.add("bad");
    w.store.faults.down = true;
    answers[0]!({ outcome: "success", detail: "" });
    await w.clock.advance(3000);
    w.store.faults.down = false;
    await w.clock.advance(2000);
    expect(w.log).toContain("transaction_isolated");
    expect(await w.ask("good", submit([a]))).toMatchObject({ kind: "accepted" });
  });

  it("calls nobody for a stopped transaction, however often it is looked at", async () => {
    const w = world();
    w.participants.scripts.set(a, () => "ongoing");
    await w.ask("g", { kind: "submit", submission: saga([a], { retryIntervalS: 1 }) });
    w.store.faults.refusedGids.add("g");
    await w.clock.advance(5000);
    expect(w.log).toContain("transaction_isolated");
    const calls = w.participants.of("g").length;
    for (let i = 0; i < 3; i++) {
      expect(await w.ask("g", { kind: "query" })).toMatchObject({ transaction: { status: "submitted" } });
      await w.clock.advance(5000);
    }
    expect(w.participants.of("g")).toHaveLength(calls);
  });

  it("answers from the store when it cannot be read: unavailable, and served as soon as it can", async () => {
    const w = world();
    w.participants.scripts.set(a, () => "ongoing");
    await w.ask("g", { kind: "submit", submission: saga([a], { retryIntervalS: 600 }) });
    await settle();
    expect(w.engine.stats().resident).toBe(0);
    w.store.faults.down = true;
    expect(await w.ask("g", { kind: "query" })).toMatchObject({ code: "UNAVAILABLE", retryAfterS: 1 });
    w.store.faults.down = false;
    expect(await w.ask("g", { kind: "query" })).toMatchObject({ transaction: { status: "submitted" } });
  });
});

describe("a bug in a turn", () => {
  it("ends one actor: its request is told, nothing is written, its gid is stopped, all others go on", async () => {
    const w = world();
    await w.ask("bad", submit([a, b]));
    const answers = held(w, a);
    await w.ask("victim", submit([a, b]));
    await settle();
    const before = (await w.store.history("victim")).length;
    w.participants.locate = (_protocol, url) => {
      if (url === b) throw new Error("a bug");
      return { origin: "http://a.test", target: url };
    };
    answers[0]!(success);
    await settle();
    expect(w.log).toContain("turn_failed");
    expect((await w.store.history("victim")).length).toBe(before + 1); // the answer was durable before the bug was met
    expect(await w.ask("victim", { kind: "query" })).toMatchObject({ transaction: { status: "submitted" } });
    expect(await w.ask("victim", { kind: "forceStop" })).toMatchObject({ code: "INTERNAL" });
    expect(await w.ask("well", submit([a]))).toEqual({ kind: "accepted" });
    await settle();
    expect(answers.length).toBe(2);
  });

  it("met before anything exists stops nothing: the same gid may be tried again", async () => {
    const w = world();
    const broken = { ...saga([a]), steps: undefined } as unknown as ReturnType<typeof saga>;
    expect(await w.ask("g", { kind: "submit", submission: broken })).toMatchObject({ code: "INTERNAL" });
    expect(await w.ask("g", submit([a]))).toEqual({ kind: "accepted" });
  });
});

describe("the end of a node", () => {
  it("takes no more requests, waits for the call on the wire, records its answer, and starts no other", async () => {
    const w = world();
    const answers = held(w, a);
    const box = asked(w, "g", submit([a, b], true));
    await settle();
    let closed = false;
    const end = w.engine.close(5000).then(() => {
      closed = true;
    });
    await w.clock.advance(1000);
    expect(await w.ask("new", submit([a]))).toMatchObject({ code: "UNAVAILABLE", retryAfterS: 1 });
    expect([closed, box.reply]).toEqual([false, undefined]);
    answers[0]!(success);
    await w.clock.advance(100);
    await end;
    expect(box.reply).toMatchObject({ code: "UNAVAILABLE" });
    expect(w.participants.of("g")).toEqual(["action 01"]);
    const again = w.reborn();
    again.engine.start();
    await again.clock.advance(10);
    expect(again.participants.of("g")).toEqual(["action 01", "action 02"]);
  });

  it("does not wait beyond its grace, and takes the call it gives up for no attempt", async () => {
    const w = world();
    w.participants.call = (call, signal) => {
      w.participants.calls.push(call);
      return new Promise((resolve) =>
        signal?.addEventListener("abort", () => resolve({ outcome: "unknown", detail: "aborted" })),
      );
    };
    await w.ask("g", { kind: "submit", submission: saga([a], { retryLimit: 1 }) });
    await settle();
    const end = w.engine.close(2000);
    await w.clock.advance(2100);
    await end;
    await settle();
    const [stored] = await w.store.load(["g"]);
    expect(stored?.tx).toMatchObject({ status: "submitted", ops: [{}, { tries: undefined }] });
  });

  it("comes though the store is away: what it never took was never acknowledged", async () => {
    const w = world();
    w.store.faults.down = true;
    const box = asked(w, "g", submit([a]));
    await settle();
    const end = w.engine.close(1000);
    await w.clock.advance(3000);
    await end;
    expect(box.reply).toMatchObject({ code: "UNAVAILABLE" });
    w.store.faults.down = false;
    await w.clock.advance(60_000);
    expect(await w.store.history("g")).toEqual([]);
  });

  it("leaves no timer that fires", async () => {
    const w = world();
    w.participants.scripts.set(a, () => "ongoing");
    await w.ask("g", submit([a]));
    await settle();
    await w.engine.close(1000);
    await w.clock.advance(3_600_000);
    expect(w.participants.calls.length).toBe(1);
  });
});

describe("requests of one gid", () => {
  it("are answered once each when another writer was faster: reload, and the same request again", async () => {
    const w = world();
    const tcc = { ...saga([]), type: "tcc" as const };
    await w.ask("g", { kind: "prepare", submission: tcc });
    const other = w.reborn();
    const register = (branchId: string): Request => ({
      kind: "registerBranch",
      registration: {
        type: "tcc",
        branchId,
        ops: [
          { op: "cancel", url: `${a}/cancel`, status: "prepared" },
          { op: "confirm", url: `${a}/confirm`, status: "prepared" },
        ],
        payload: bytes("{}"),
        executorId: undefined,
      },
    });
    // both engines hold the actor; the second one's picture is a version behind at each turn
    expect(await other.ask("g", register("01"))).toEqual({ kind: "accepted" });
    const boxes = ["02", "03", "02"].map((branchId) => asked(w, "g", register(branchId)));
    await settle();
    expect(boxes.map(({ reply }) => reply)).toEqual([{ kind: "accepted" }, { kind: "accepted" }, { kind: "accepted" }]);
    const [stored] = await w.store.load(["g"]);
    expect(stored?.tx.ops.map(({ branchId }) => branchId)).toEqual(["01", "01", "02", "02", "03", "03"]);
  });
});
