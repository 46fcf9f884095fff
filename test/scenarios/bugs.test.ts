/**
 * The defects of DTM that are a matter of the core (section 14 of the protocol notes), each with the behaviour that is
 * right. Those of gateways, callers and stores have theirs beside those folders.
 */
import { describe, expect, it } from "vitest";
import { CHECK } from "../../src/core/transaction.js";
import { Driver, startMs } from "../core/driver.js";
import { abort, participants, prepare, prepareWorkflow, register, submit } from "../core/submissions.js";

const accepted = { kind: "accepted" };

function played(answers: Parameters<typeof participants>[0], ...requests: readonly Parameters<Driver["apply"]>[0][]) {
  const driver = new Driver({ script: participants(answers) });
  for (const request of requests) driver.apply(request);
  return driver;
}

function callTimes(driver: Driver): readonly number[] {
  return driver.trace.flatMap((t) => (t.kind === "called" ? [Math.round((t.call.atMs - startMs) / 1000)] : []));
}

describe("defects of DTM that we do not share", () => {
  it.each(["tcc", "xa"] as const)("S-BUG-1: a repeated submit of a %s never ends it without its branches", (type) => {
    const ending = type === "tcc" ? "confirm 01" : "commit 01";
    const answers = { [ending]: ["unknown", "unknown", "success"] as const };
    const driver = played(answers, prepare(type), register(type, "01"), submit(type));
    driver.step();
    expect(driver.apply(submit(type))).toEqual(accepted);
    expect(driver.tx).toMatchObject({ status: "submitted" });
    driver.rest();
    expect(driver.calls).toEqual([ending, ending, ending]);
    expect(driver.tx!.ops[1]!.status).toBe("succeed");
  });

  it("S-BUG-1: a repeated submit of a saga calls no action again", () => {
    const driver = played({ "action 02": ["ongoing", "success"] }, submit("saga"));
    driver.pass(1000);
    driver.apply(submit("saga"));
    driver.rest();
    expect(driver.calls).toEqual(["action 01", "action 02", "action 02"]);
  });

  it("S-BUG-2: a call that takes long is not made a second time meanwhile", () => {
    const driver = played({ "action 01": { outcome: "success", afterMs: 60_000 } }, submit("saga"));
    driver.pass(59_000);
    driver.apply({ kind: "hasten", bulk: false });
    driver.apply({ kind: "woke" });
    expect(driver.calls).toEqual(["action 01"]);
  });

  it("S-BUG-5: a long refusal keeps its head and aborts at once", () => {
    const driver = played({ "action 01": { outcome: "failure", detail: "x".repeat(2000) } }, submit("saga"));
    driver.rest();
    expect(driver.tx!.status).toBe("failed");
    expect(driver.tx!.rollbackReason).toMatch(/^url:http:\/\/busi\/a1 return failed: x{900,} FAILURE$/);
  });

  it("S-BUG-6: an abort checks the stored type, not that of the request", () => {
    const saga = played({}, prepare("saga"));
    const workflow = played({}, prepareWorkflow());
    for (const driver of [saga, workflow]) {
      expect(driver.apply(abort("tcc"))).toMatchObject({ code: "REFUSED" });
      expect(driver.tx!.status).toBe("prepared");
    }
  });

  it("S-BUG-8: the retry limit waits between calls, counts no ongoing and survives a crash", () => {
    const answers = { "action 01": ["ongoing", "unknown", "ongoing", "unknown", "unknown"] } as const;
    const driver = played(answers, submit("saga", { options: { retryLimit: 2, retryIntervalS: 1 } }));
    driver.pass(1500);
    driver.crash();
    driver.rest();
    expect(driver.calls.filter((name) => name === "action 01")).toHaveLength(5);
    expect(new Set(callTimes(driver)).size).toBeGreaterThan(4);
    expect(driver.tx!.status).toBe("failed");
  });

  it("S-BUG-9: a prepared saga ends at its timeout, without a call", () => {
    const driver = played({}, prepare("saga"));
    driver.pass(35_000);
    expect(driver.tx).toMatchObject({ status: "failed", rollbackReason: "Timeout after 35 seconds" });
    expect(driver.calls).toEqual([]);
  });

  it("S-BUG-10: first retry after one interval, capped, and timers that are exact", () => {
    const driver = played({ "action 01": "unknown" }, submit("saga", { options: { retryIntervalS: 60 } }));
    driver.pass(86_400_000);
    const times = callTimes(driver);
    expect(times.slice(0, 4)).toEqual([0, 60, 180, 420]);
    expect(times.at(-1)! - times.at(-2)!).toBe(300);
    const late = played({}, prepare("tcc", { options: { timeoutToFailS: 3 } }));
    late.pass(3000);
    expect(late.tx!.endedAtMs).toBe(startMs + 3000);
  });

  it("S-BUG-18: an abort repeated at once is answered as the first", () => {
    const driver = played({ "cancel 01": "ongoing" }, prepare("tcc"), register("tcc", "01"), abort("tcc"));
    expect(driver.apply(abort("tcc"))).toEqual(accepted);
  });

  it("S-BUG-22: stuck check-backs and callbacks alert as well", () => {
    const asked = prepare("msg", { queryPrepared: "http://busi/q" });
    for (const driver of [
      played({ "msg 00": "unknown" }, asked),
      played({ "callback 00": "unknown" }, prepareWorkflow(), register("workflow", "01")),
    ]) {
      const alerts: number[] = [];
      for (let i = 0; i < 20; i++) {
        driver.step();
        alerts.push(...driver.last!.alerts.map(({ op }) => op));
      }
      expect(alerts.length).toBeGreaterThan(2);
      expect(new Set(alerts)).toEqual(new Set([CHECK]));
    }
  });

  it("S-BUG-26: callbacks respect the interval, back off, and do not come while steps do", () => {
    const driver = played({}, prepareWorkflow({ options: { retryIntervalS: 3 } }));
    for (let i = 1; i <= 4; i++) {
      driver.pass(2000);
      driver.apply(register("workflow", `0${i}`));
    }
    expect(driver.calls).toEqual([]);
    driver.pass(25_000);
    expect(callTimes(driver)).toEqual([11, 17, 29]);
  });

  it("S-BUG-27: branches of a concurrent msg have schedules of their own, and it waits for all", () => {
    const answers = { "action 01": ["unknown", "unknown", "success"] } as const;
    const driver = played(answers, submit("msg", { options: { concurrent: true } }));
    driver.pass(1000);
    expect(driver.tx!.ops.map(({ status }) => status)).toEqual(["prepared", "succeed"]);
    driver.rest();
    expect(driver.calls).toEqual(["action 01", "action 02", "action 01", "action 01"]);
    expect(driver.tx!.status).toBe("succeed");
  });
});
