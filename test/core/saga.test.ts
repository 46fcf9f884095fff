/**
 * Sagas: which compensations run and in which order (S-SAGA-2, 4 to 7), deadlines, and answers that come too late.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { findCycle, readOrder } from "../../src/core/pattern/saga.js";
import { isFinal } from "../../src/core/transaction.js";
import { Driver } from "./driver.js";
import { participants, prepare, sagaSteps, submit } from "./submissions.js";

function saga(steps: number, answers: Parameters<typeof participants>[0] = {}, customData = "", options = {}): Driver {
  const driver = new Driver({ script: participants(answers) });
  driver.apply(submit("saga", { steps: sagaSteps(steps), customData, options }));
  return driver;
}

/** Statuses of the ops: compensate 1, action 1, compensate 2, … */
function rows(driver: Driver): string {
  return driver.tx!.ops.map(({ status }) => status).join(",");
}

describe("a sequential saga", () => {
  it("runs its actions one after the other", () => {
    const driver = saga(3);
    driver.rest();
    expect(driver.calls).toEqual(["action 01", "action 02", "action 03"]);
    expect(rows(driver)).toBe("prepared,succeed,prepared,succeed,prepared,succeed");
  });

  it("compensates the failing step too, strictly backwards (S-SAGA-5, S-SAGA-6)", () => {
    const driver = saga(4, { "action 03": "failure" });
    driver.rest();
    expect(driver.calls.slice(3)).toEqual(["compensate 03", "compensate 02", "compensate 01"]);
    expect(rows(driver)).toBe("succeed,succeed,succeed,succeed,succeed,failed,prepared,prepared");
  });

  it("waits with a compensation until the later one has succeeded", () => {
    const driver = saga(2, { "action 02": "failure", "compensate 02": ["unknown", "failure", "success"] });
    driver.rest();
    const backwards = ["compensate 02", "compensate 02", "compensate 02", "compensate 01"];
    expect(driver.calls.slice(2)).toEqual(backwards);
  });

  it("has the final branch states of S-SAGA-7", () => {
    const failed = saga(2, { "action 02": "failure" });
    const late = saga(2, { "action 01": "ongoing" }, "", { timeoutToFailS: 3, retryIntervalS: 1 });
    const limited = saga(2, { "action 02": "unknown" }, "", { retryLimit: 1, retryIntervalS: 1 });
    for (const driver of [failed, late, limited]) driver.rest();
    expect(rows(failed)).toBe("succeed,succeed,succeed,failed");
    expect(rows(late)).toBe("succeed,prepared,prepared,prepared");
    expect(rows(limited)).toBe("succeed,succeed,succeed,prepared");
  });

  it("ends at once without steps (S-SAGA-11)", () => {
    expect(saga(0).tx!.status).toBe("succeed");
  });

  it("takes an op without URL as done, without a call (S-BR-1)", () => {
    const driver = new Driver({ script: participants({ "action 02": "failure" }) });
    const [first, second] = sagaSteps(2);
    driver.apply(submit("saga", { steps: [{ ...first!, compensate: "" }, second!] }));
    driver.rest();
    expect(driver.calls).toEqual(["action 01", "action 02", "compensate 02"]);
    expect(rows(driver)).toBe("succeed,succeed,succeed,failed");
  });

  it("honours orders beside the sequence (S-SAGA-2)", () => {
    const driver = saga(3, {}, `{"orders":{"2":[0]}}`);
    driver.rest();
    expect(driver.calls).toEqual(["action 01", "action 02", "action 03"]);
  });
});

describe("a concurrent saga", () => {
  const concurrent = `{"concurrent":true,"orders":{"2":[0,1],"3":[2]}}`;

  it("is one whatever the case of the names in its custom data (S-ODD-19)", () => {
    const calls = (customData: string) => {
      const driver = saga(5, {}, customData);
      driver.rest();
      return driver.calls;
    };
    const sequential = calls("");
    expect(calls(concurrent)).not.toEqual(sequential);
    expect(calls(`{"Concurrent":true,"ORDERS":{"2":[0,1],"3":[2]}}`)).toEqual(calls(concurrent));
    expect(calls(`{"Concurrent":true,"concurrent":false}`)).toEqual(sequential);
  });

  it("starts at once what waits for nothing, the rest after its predecessors", () => {
    const driver = saga(5, {}, concurrent);
    expect(driver.calls).toEqual(["action 01", "action 02", "action 05"]);
    driver.rest();
    expect(driver.calls.slice(3)).toEqual(["action 03", "action 04"]);
  });

  it("compensates in the reverse of its orders, the rest at once", () => {
    const driver = saga(5, { "action 04": "failure" }, concurrent);
    driver.rest();
    expect(driver.calls.slice(5)).toEqual([
      "compensate 04",
      "compensate 05",
      "compensate 03",
      "compensate 01",
      "compensate 02",
    ]);
  });

  it("never compensates a step that was never sent", () => {
    const driver = saga(4, { "action 02": "failure" }, concurrent);
    driver.rest();
    expect(driver.calls).toEqual(["action 01", "action 02", "compensate 01", "compensate 02"]);
    expect(rows(driver).endsWith("prepared,prepared,prepared,prepared")).toBe(true);
  });

  it("calls no compensation while its own action is on the wire, and takes the late success as no progress", () => {
    const slow = { outcome: "success", afterMs: 2000 } as const;
    const driver = saga(2, { "action 01": slow, "action 02": "failure" }, `{"concurrent":true}`);
    driver.pass(1000);
    expect(driver.calls).toEqual(["action 01", "action 02", "compensate 02"]);
    expect(driver.tx!.status).toBe("aborting");
    driver.pass(1000);
    expect(driver.calls.at(-1)).toBe("compensate 01");
    expect(driver.tx!.ops[1]!.status).toBe("prepared");
    driver.rest();
    expect(rows(driver)).toBe("succeed,prepared,succeed,failed");
  });

  it("does not wait for steps that a prepare did not bring (S-HTTP-35)", () => {
    const driver = new Driver({ script: participants() });
    driver.apply(prepare("saga", { steps: sagaSteps(2) }));
    driver.apply(submit("saga", { steps: sagaSteps(3), customData: `{"concurrent":true,"orders":{"1":[2]}}` }));
    driver.rest();
    expect(driver.tx!.status).toBe("succeed");
    expect(driver.calls).toEqual(["action 01", "action 02"]);
  });

  it("gets final for every graph of orders, and never calls ahead of it", () => {
    const graph = fc.integer({ min: 1, max: 7 }).chain((steps) =>
      fc.record({
        steps: fc.constant(steps),
        pairs: fc.array(fc.tuple(fc.nat({ max: steps - 1 }), fc.nat({ max: steps - 1 })), { maxLength: 10 }),
        failing: fc.option(fc.nat({ max: steps - 1 }), { nil: undefined }),
      }),
    );
    fc.assert(
      fc.property(graph, ({ steps, pairs, failing }) => {
        const orders: Record<string, number[]> = {};
        for (const [a, b] of pairs) orders[a] = [...(orders[a] ?? []), b];
        const customData = JSON.stringify({ concurrent: true, orders });
        const stuck = findCycle(steps, readOrder(customData));
        fc.pre(stuck === undefined);
        const refusing = failing === undefined ? {} : { [`action 0${failing + 1}`]: "failure" as const };
        const driver = saga(steps, refusing, customData);
        driver.rest();
        expect(isFinal(driver.tx!)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});

describe("a graph of orders", () => {
  it.each([
    [`{"concurrent":true,"orders":{"0":[0]}}`, 0],
    [`{"concurrent":true,"orders":{"0":[1],"1":[2],"2":[0]}}`, 0],
    [`{"concurrent":true,"orders":{"1":[2],"2":[1]}}`, 1],
    [`{"orders":{"1":[2]}}`, 1],
    [`{"concurrent":true,"orders":{"1":[2]}}`, undefined],
    [`{"orders":{"2":[0,1]}}`, undefined],
    ["", undefined],
    ["null", undefined],
    [`{"orders":null}`, undefined],
    [`{"orders":{"1":null}}`, undefined],
  ])("of three steps %s is stuck at %s", (customData, stuck) => {
    expect(findCycle(3, readOrder(customData))).toBe(stuck);
  });
});

describe("a saga's deadline", () => {
  it("aborts a submitted saga at its own timeout, to the millisecond, and never without one", () => {
    const driver = saga(1, { "action 01": "ongoing" }, "", { timeoutToFailS: 4, retryIntervalS: 1 });
    driver.pass(3999);
    expect(driver.tx!.status).toBe("submitted");
    driver.pass(1);
    expect(driver.tx).toMatchObject({ status: "aborting", rollbackReason: "Timeout after 4 seconds" });
    const patient = saga(1, { "action 01": "ongoing" });
    patient.pass(86_400_000);
    expect(patient.tx!.status).toBe("submitted");
  });

  it("lets a success at the last moment win (S-SAGA-8)", () => {
    const driver = saga(1, { "action 01": { outcome: "success", afterMs: 4000 } }, "", { timeoutToFailS: 4 });
    driver.rest();
    expect(driver.tx!.status).toBe("succeed");
  });
});
