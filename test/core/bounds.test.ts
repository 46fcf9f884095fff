/**
 * What must not grow: a year of retries, a saga of a thousand branches, reasons and errors, an operator's impatience.
 */
import { performance } from "node:perf_hooks";
import { Packr } from "msgpackr";
import { describe, expect, it } from "vitest";
import { fold } from "../../src/core/evolve.js";
import { CHECK } from "../../src/core/transaction.js";
import { Driver } from "./driver.js";
import { abort, participants, prepare, prepareWorkflow, register, sagaSteps, submit } from "./submissions.js";

const yearMs = 365 * 86_400_000;

function storedBytes(driver: Driver): number {
  return new Packr().pack(driver.rows).length;
}

describe("a year of retries", () => {
  it.each([
    ["a saga's action", [submit("saga", { steps: sagaSteps(3) })], { "action 01": "unknown" }],
    ["a concurrent msg", [submit("msg", { options: { concurrent: true } })], { "action 01": "unknown" }],
    ["a check-back", [prepare("msg", { queryPrepared: "http://busi/q" })], { "msg 00": "unknown" }],
    ["a workflow's callback", [prepareWorkflow(), register("workflow", "01")], { "callback 00": "unknown" }],
  ] as const)("of %s stays within 64 KiB and folds in no time", (_name, requests, answers) => {
    const detail = "x".repeat(5000);
    const script = participants(answers);
    const driver = new Driver({ script: (call, tx) => ({ ...script(call, tx), detail }), folds: false });
    for (const request of requests) driver.apply(request);
    driver.pass(30 * 86_400_000);
    const monthly = storedBytes(driver);
    driver.trace.length = 0;
    driver.pass(yearMs - 30 * 86_400_000);
    expect(driver.calls.length).toBeGreaterThan(90_000);
    expect(storedBytes(driver)).toBeLessThan(64 * 1024);
    expect(storedBytes(driver) - monthly).toBeLessThan(100);
    expect(fold(driver.rows)).toEqual(driver.tx);
    // The best of several: a busy machine is no slow fold.
    const times = Array.from({ length: 10 }, () => {
      const began = performance.now();
      fold(driver.rows);
      return performance.now() - began;
    });
    expect(Math.min(...times)).toBeLessThan(50);
  });
});

describe("a saga of 1,000 branches", () => {
  it.each([
    ["one after the other", "", 1001],
    ["at once", `{"concurrent":true}`, 1001],
  ])("run %s has linear events and few rows", (_name, customData, rowsMost) => {
    const bytesOf = (steps: number) => {
      const driver = new Driver({ script: participants(), folds: false });
      driver.apply(submit("saga", { steps: sagaSteps(steps), customData }));
      driver.rest();
      expect(driver.tx!.status).toBe("succeed");
      expect(driver.rows.length).toBeLessThanOrEqual((rowsMost * steps) / 1000 + 1);
      expect(fold(driver.rows)).toEqual(driver.tx);
      return storedBytes(driver);
    };
    expect(bytesOf(1000) / bytesOf(100)).toBeLessThan(11);
  });

  it("takes n + 1 commits when all goes well", () => {
    const driver = new Driver({ script: participants() });
    driver.apply(submit("saga", { steps: sagaSteps(7) }));
    driver.rest();
    expect(driver.rows).toHaveLength(8);
  });

  it("is refused from 1,001 on, and nothing is stored", () => {
    const driver = new Driver({ script: participants() });
    expect(driver.apply(submit("saga", { steps: sagaSteps(1001) }))).toMatchObject({ code: "BAD_REQUEST" });
    expect(driver.tx).toBeUndefined();
    expect(driver.rows).toEqual([]);
  });
});

describe("texts", () => {
  const long = `a${"😀".repeat(2000)}`;
  const wellFormed = (text: string) => new TextDecoder().decode(new TextEncoder().encode(text)) === text;

  it("of participants keep their head, in whole characters", () => {
    const driver = new Driver({ script: participants({ "action 01": [{ outcome: "unknown", detail: long }] }) });
    driver.apply(submit("saga"));
    driver.step();
    const { lastError } = driver.tx!.ops[1]!.tries!;
    expect(lastError.length).toBeLessThanOrEqual(1024);
    expect(wellFormed(lastError)).toBe(true);
  });

  it("of a refusal keep their head and the word that old clients look for", () => {
    for (const pad of ["", "a"]) {
      const refusal = { outcome: "failure", detail: pad + long } as const;
      const driver = new Driver({ script: participants({ "action 01": refusal }) });
      driver.apply(submit("saga"));
      driver.rest();
      expect(driver.tx!.rollbackReason).toMatch(/^url:http:\/\/busi\/a1 return failed: a.* FAILURE$/u);
      expect(driver.tx!.rollbackReason.length).toBeLessThanOrEqual(1024);
      expect(wellFormed(driver.tx!.rollbackReason)).toBe(true);
    }
  });

  it("of an abort and of a workflow's end keep their head", () => {
    const tcc = new Driver({ script: participants() });
    tcc.apply(prepare("tcc"));
    tcc.apply(abort("tcc", long));
    const workflow = new Driver({ script: participants() });
    workflow.apply(prepareWorkflow());
    workflow.apply({ kind: "finishWorkflow", status: "failed", reason: long, result: "" });
    for (const { tx } of [tcc, workflow]) {
      expect(tx!.rollbackReason.length).toBeLessThanOrEqual(1024);
      expect(tx!.rollbackReason.length).toBeGreaterThan(1000);
      expect(wellFormed(tx!.rollbackReason)).toBe(true);
    }
  });
});

describe("an impatient operator", () => {
  it("adds no rows by hastening what does not wait", () => {
    const driver = new Driver({ script: participants({ "action 01": { outcome: "unknown", afterMs: 1000 } }) });
    driver.apply(submit("saga"));
    for (let i = 0; i < 100; i++) driver.apply({ kind: "hasten", bulk: false });
    expect(driver.rows).toHaveLength(1);
    driver.pass(1000);
    for (let i = 0; i < 100; i++) driver.apply({ kind: "hasten", bulk: true });
    expect(driver.rows.length).toBeLessThanOrEqual(3);
    expect(driver.calls).toHaveLength(2);
  });

  it("is told in bulk, by a refusal, what has no next try to bring forward", () => {
    const driver = new Driver({ script: participants({ "confirm 01": "unknown" }) });
    const bulk = () => driver.apply({ kind: "hasten", bulk: true });
    expect(bulk()).toMatchObject({ kind: "refused", code: "NOT_FOUND" });
    driver.apply(prepare("tcc"));
    driver.apply(register("tcc", "01"));
    expect(bulk()).toMatchObject({ kind: "refused", code: "REFUSED" });
    expect(driver.apply({ kind: "hasten", bulk: false })).toEqual({ kind: "accepted" });
    driver.apply(submit("tcc"));
    driver.pass(1000);
    expect(bulk()).toEqual({ kind: "accepted" });
    driver.apply(abort("tcc"));
    driver.apply({ kind: "forceStop" });
    expect(bulk()).toMatchObject({ kind: "refused", code: "REFUSED" });
  });

  it("calls a workflow back at once, before its first callback is due", () => {
    const driver = new Driver({ script: participants() });
    driver.apply(prepareWorkflow());
    driver.apply({ kind: "hasten", bulk: false });
    expect(driver.calls).toEqual(["callback 00"]);
    expect(driver.tx!.check === undefined || driver.tx!.check.attempts === 0).toBe(true);
    expect(driver.tx!.checkStartedAtMs).toBeDefined();
    expect(CHECK).toBeLessThan(0);
  });
});
