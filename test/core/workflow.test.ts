/**
 * Workflows: progress, the end, callbacks (D10), leases (C-WF-7) and refusals (C-WF-8, C-WF-10, D3).
 */
import { describe, expect, it } from "vitest";
import { decide } from "../../src/core/decide.js";
import { headOf, restoreFromHead } from "../../src/core/head.js";
import { Driver, startMs } from "./driver.js";
import { participants, prepare, prepareWorkflow, register, submit } from "./submissions.js";

const end = (status: "succeed" | "failed", reason = "", result = "") =>
  ({ kind: "finishWorkflow", status, reason, result }) as const;

function workflow(options = {}, lease?: { executorId: string; seconds: number }): Driver {
  const driver = new Driver({ script: participants() });
  driver.apply(prepareWorkflow({ options, lease }));
  return driver;
}

function calledAtS(driver: Driver): readonly number[] {
  return driver.trace.flatMap((t) => (t.kind === "called" ? [Math.round((t.call.atMs - startMs) / 1000)] : []));
}

describe("a workflow's progress", () => {
  it("is handed to whoever prepares it again, with its status and result", () => {
    const driver = workflow();
    driver.apply(register("workflow", "01", "bytes"));
    const again = driver.apply(prepareWorkflow());
    expect(again).toMatchObject({ kind: "transaction", transaction: { status: "prepared" } });
    driver.apply(end("succeed", "", "cmVz"));
    expect(driver.apply(prepareWorkflow())).toMatchObject({
      transaction: { status: "succeed", result: "cmVz", ops: [{ branchId: "01", op: "action", status: "succeed" }] },
    });
  });

  it("is refused to another name or input (C-WF-10), whatever the order of the keys", () => {
    const driver = workflow();
    const refused = [`{"name":"wf","data":"e31="}`, `{"name":"other","data":"e30="}`, ""];
    for (const customData of refused)
      expect(driver.apply(prepareWorkflow({ customData }))).toMatchObject({ code: "REFUSED" });
    expect(driver.apply(prepareWorkflow({ customData: `{"data":"e30=","name":"wf"}` }))).toMatchObject({
      kind: "transaction",
    });
  });

  it("is told from what retention leaves: a failure as it was, a success not without its result (D26, S-WF-2)", () => {
    const ask = (how: "succeed" | "failed", input = prepareWorkflow()) => {
      const driver = workflow();
      driver.apply(end(how, how === "failed" ? "no stock" : "", "cmVz"));
      return decide(restoreFromHead(headOf(driver.tx!, undefined)), input, driver.turn());
    };
    const failed = ask("failed");
    expect(failed.reply).toMatchObject({ transaction: { status: "failed", rollbackReason: "no stock" } });
    const succeeded = ask("succeed");
    expect(succeeded.reply).toMatchObject({ kind: "refused", code: "EXISTS" });
    expect(succeeded.reply).toHaveProperty("message", expect.stringMatching(/ended as 'succeed'.*no longer kept/));
    for (const { events } of [failed, succeeded]) expect(events).toEqual([]);
    const lease = { executorId: "e", seconds: 5 };
    expect(ask("failed", prepareWorkflow({ lease })).reply).not.toHaveProperty("lease");
  });

  it("takes a step once, again with the same content, never with another (D3)", () => {
    const driver = workflow();
    expect(driver.apply(register("workflow", "01", "a"))).toEqual({ kind: "accepted" });
    expect(driver.apply(register("workflow", "01", "a"))).toEqual({ kind: "accepted" });
    expect(driver.apply(register("workflow", "01", "b"))).toMatchObject({
      code: "EXISTS",
      progress: { branchId: "01", op: "action", status: "succeed" },
    });
    driver.apply(end("succeed"));
    expect(driver.apply(register("workflow", "02"))).toMatchObject({ code: "EXISTS" });
    expect(driver.tx!.ops).toHaveLength(1);
  });
});

describe("a workflow's end", () => {
  it("is answered as the first time when it is the same, refused when it is another (C-WF-8)", () => {
    const driver = workflow();
    expect(driver.apply(end("failed", "no stock"))).toEqual({ kind: "accepted" });
    expect(driver.apply(end("failed", "another reason"))).toEqual({ kind: "accepted" });
    expect(driver.apply(end("succeed"))).toMatchObject({ code: "REFUSED" });
    expect(driver.tx).toMatchObject({ status: "failed", rollbackReason: "no stock" });
  });

  it("is refused for other types and not found for unknown gids", () => {
    const saga = new Driver({ script: participants({ "action 01": "ongoing" }) });
    expect(saga.apply(end("succeed"))).toMatchObject({ code: "NOT_FOUND" });
    saga.apply(submit("saga"));
    expect(saga.apply(end("succeed"))).toMatchObject({ code: "REFUSED" });
    expect(saga.apply(prepareWorkflow())).toMatchObject({ code: "REFUSED" });
  });

  it("comes at the timeout while nothing is recorded, and only then (D10)", () => {
    const empty = workflow({ timeoutToFailS: 5 });
    const begun = workflow({ timeoutToFailS: 5, retryIntervalS: 2 });
    begun.apply(register("workflow", "01"));
    for (const driver of [empty, begun]) driver.pass(6000);
    expect(empty.tx).toMatchObject({ status: "failed", rollbackReason: "Timeout after 5 seconds" });
    expect(begun.tx).toMatchObject({ status: "prepared", overdue: true });
    expect(begun.apply(register("workflow", "02"))).toEqual({ kind: "accepted" });
    const callbacks = begun.calls.length;
    begun.pass(10_000);
    expect(begun.calls.length).toBeGreaterThan(callbacks);
    expect(begun.apply(end("succeed"))).toEqual({ kind: "accepted" });
  });
});

describe("callbacks", () => {
  it("begin one interval after the last sign of life, then come later and later", () => {
    const driver = workflow({ retryIntervalS: 2 });
    driver.pass(1500);
    driver.apply(register("workflow", "01"));
    driver.pass(1500);
    driver.apply(register("workflow", "02"));
    driver.pass(33_000);
    expect(calledAtS(driver)).toEqual([5, 9, 17, 33]);
  });

  it("begin anew with every step", () => {
    const driver = workflow({ retryIntervalS: 2 });
    driver.apply(register("workflow", "01"));
    driver.pass(7000);
    expect(calledAtS(driver)).toEqual([2, 6]);
    driver.apply(register("workflow", "02"));
    driver.pass(7000);
    expect(calledAtS(driver)).toEqual([2, 6, 9, 13]);
  });

  it("are not made without a URL", () => {
    const driver = workflow();
    const silent = new Driver({ script: participants() });
    silent.apply(prepareWorkflow({ queryPrepared: "", options: { timeoutToFailS: 60 } }));
    silent.apply(register("workflow", "01"));
    for (const each of [driver, silent]) each.pass(30_000);
    expect(silent.calls).toEqual([]);
    expect(driver.calls.length).toBeGreaterThan(0);
  });

  it("settle nothing, whatever is answered (S-RES-13)", () => {
    for (const outcome of ["success", "failure", "ongoing", "unknown"] as const) {
      const driver = new Driver({ script: participants({ "callback 00": outcome }) });
      driver.apply(prepareWorkflow());
      driver.apply(register("workflow", "01"));
      driver.pass(300_000);
      expect(driver.tx!.status).toBe("prepared");
    }
  });
});

describe("an executor's lease", () => {
  const a = { executorId: "a", seconds: 10 };
  const b = { executorId: "b", seconds: 10 };

  it("is held against others until it expires", () => {
    const driver = workflow({}, a);
    expect(driver.apply(prepareWorkflow({ lease: b }))).toMatchObject({ lease: "held" });
    expect(driver.apply(register("workflow", "01", "x", "b"))).toMatchObject({ code: "EXISTS" });
    expect(driver.apply(prepareWorkflow({ lease: a }))).toMatchObject({ lease: "granted" });
    driver.pass(10_000);
    expect(driver.apply(prepareWorkflow({ lease: b }))).toMatchObject({ lease: "granted" });
    expect(driver.apply(register("workflow", "01", "x", "a"))).toMatchObject({
      code: "EXISTS",
      message: expect.stringContaining("stale executor"),
    });
    expect(driver.apply(register("workflow", "01", "x", "b"))).toEqual({ kind: "accepted" });
  });

  it("is renewed by its holder's steps and puts callbacks off", () => {
    const driver = workflow({ retryIntervalS: 1 }, a);
    driver.pass(8000);
    driver.apply(register("workflow", "01", "x", "a"));
    driver.pass(9900);
    expect(driver.calls).toEqual([]);
    driver.pass(200);
    expect(driver.calls).toEqual(["callback 00"]);
  });

  it("is not renewed by the steps of others", () => {
    const driver = workflow({ retryIntervalS: 100, timeoutToFailS: 1000 }, a);
    driver.pass(11_000);
    expect(driver.apply(register("workflow", "01", "x", "b"))).toEqual({ kind: "accepted" });
    expect(driver.tx!.executor!.untilMs).toBe(startMs + 10_000);
    expect(driver.apply(register("workflow", "02", "x", "b"))).toEqual({ kind: "accepted" });
  });

  it("is never asked of clients that know none", () => {
    const driver = workflow({}, a);
    expect(driver.apply(prepareWorkflow())).not.toHaveProperty("lease");
    expect(driver.apply(register("workflow", "01"))).toEqual({ kind: "accepted" });
  });
});

describe("a gid of another type", () => {
  it("is refused in every operation (D21)", () => {
    const driver = workflow();
    for (const request of [submit("saga"), prepare("msg"), submit("msg"), prepare("tcc"), register("tcc", "01")])
      expect(driver.apply(request)).toMatchObject({ kind: "refused", code: "REFUSED" });
    expect(driver.rows).toHaveLength(1);
  });
});
