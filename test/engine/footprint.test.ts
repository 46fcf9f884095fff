/**
 * What transactions in memory hold of clients' bytes is bounded, whatever their participants do (architecture 6).
 */
import { describe, expect, it } from "vitest";
import type { Submission } from "../../src/core/input.js";
import { saga, settle, world } from "./harness.js";

const sick = "http://sick.test/pay";
const well = "http://well.test/pay";

/** Three steps that hold 30 kB together. */
function large(url: string, waitResult = false): Submission {
  const submission = saga([url, url, url], { waitResult });
  return { ...submission, steps: submission.steps.map((step) => ({ ...step, payload: new Uint8Array(10_000) })) };
}

/** Room for twenty of them. */
const residentBytesMax = 600_000;

describe("memory", () => {
  it("stays flat while hundreds of large sagas wait for a participant that is away, and they end when it is back", async () => {
    const w = world({ residentBytesMax });
    let away = true;
    w.participants.scripts.set(sick, () => (away ? { outcome: "unknown", detail: "refused" } : "success"));
    const gids = Array.from({ length: 200 }, (_, n) => `g${n}`);
    let most = 0;
    const look = () => {
      most = Math.max(most, w.engine.stats().residentBytes);
    };
    for (const gid of gids) {
      expect(await w.ask(gid, { kind: "submit", submission: large(sick) })).toEqual({ kind: "accepted" });
      await settle();
      look();
    }
    for (let i = 0; i < 60; i++) {
      await w.clock.advance(1000);
      look();
    }
    expect(most).toBeGreaterThan(residentBytesMax * 0.4); // some do wait in memory
    expect(most).toBeLessThan(residentBytesMax);
    expect(w.engine.stats().overloaded).toBe(false);
    const reply = await w.ask("healthy", { kind: "submit", submission: large(well, true) });
    expect(reply).toEqual({ kind: "accepted" });
    away = false;
    await w.clock.advance(400_000);
    look();
    const stored = await w.store.load(gids);
    expect(stored.filter((one) => one?.tx.status !== "succeed")).toEqual([]);
    expect(most).toBeLessThan(residentBytesMax);
    expect(w.engine.stats()).toMatchObject({ resident: 0, residentBytes: 0 });
  });

  it("is left by those that wait for their next try, though nobody new comes, until half of it is free", async () => {
    const w = world({ residentBytesMax });
    const answers: (() => void)[] = [];
    w.participants.script = () =>
      new Promise((resolve) => answers.push(() => resolve({ outcome: "unknown", detail: "out of order" })));
    for (let n = 0; n < 18; n++) await w.ask(`g${n}`, { kind: "submit", submission: large(`${sick}/${n}`) });
    expect(w.engine.stats().residentBytes).toBeGreaterThan(500_000);
    for (const answer of answers) answer();
    await settle();
    expect(w.engine.stats().residentBytes).toBeLessThan(residentBytesMax / 2);
    expect(w.engine.stats().resident).toBeGreaterThan(5);
    w.participants.script = undefined;
    await w.clock.advance(20_000);
    expect((await w.store.count()).map(({ status }) => status)).toEqual(["succeed"]);
  });

  it("refuses new transactions when those at work fill it, and nothing that exists", async () => {
    const w = world({ residentBytesMax });
    const answers: (() => void)[] = [];
    w.participants.scripts.set(
      well,
      () => new Promise((resolve) => answers.push(() => resolve({ outcome: "success", detail: "" }))),
    );
    const submit = (gid: string) => w.ask(gid, { kind: "submit", submission: large(well) });
    for (let n = 0; n < 20; n++) expect(await submit(`g${n}`)).toEqual({ kind: "accepted" });
    expect(w.engine.stats()).toMatchObject({
      residentBytes: 20 * (30_000 + 3 * 2 * well.length + 3 * 5),
      overloaded: true,
    });
    expect(await submit("new")).toMatchObject({ code: "OVERLOADED", retryAfterS: 1 });
    expect(await submit("g0")).toEqual({ kind: "accepted" });
    expect(await w.ask("g0", { kind: "query" })).toMatchObject({ kind: "transaction" });
    while (answers.length > 0) {
      answers.shift()!();
      await settle();
    }
    expect(w.engine.stats()).toMatchObject({ resident: 0, residentBytes: 0, overloaded: false });
    expect(await submit("new")).toEqual({ kind: "accepted" });
  });
});
