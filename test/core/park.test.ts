/**
 * Parking (D8): an operator's or the server's halt beside the status.
 */
import { describe, expect, it } from "vitest";
import { headOf } from "../../src/core/head.js";
import { Driver } from "./driver.js";
import { abort, participants, prepare, register, submit } from "./submissions.js";

const park = { kind: "park", by: "olga", reason: "stock is counted" } as const;

function parked(answers: Parameters<typeof participants>[0], options = {}): Driver {
  const driver = new Driver({ script: participants(answers) });
  driver.apply(submit("saga", { options }));
  driver.apply(park);
  return driver;
}

describe("while a transaction is parked", () => {
  it("no call starts and no timeout fires", () => {
    const driver = parked({ "action 01": "unknown" }, { timeoutToFailS: 5 });
    driver.pass(60_000);
    expect(driver.calls).toEqual(["action 01"]);
    expect(driver.tx).toMatchObject({ status: "submitted", parked: { by: "olga", reason: "stock is counted" } });
    expect(driver.wakeAtMs).toBeUndefined();
    expect(headOf(driver.tx!, 5)).toMatchObject({ parked: true, wakeAtMs: undefined });
  });

  it("answers of calls in flight are recorded", () => {
    const driver = parked({});
    driver.pass(1000);
    expect(driver.tx!.ops[1]!.status).toBe("succeed");
    expect(driver.calls).toEqual(["action 01"]);
    const refused = parked({ "action 01": "failure" });
    refused.pass(1000);
    expect(refused.tx!.status).toBe("aborting");
    expect(refused.calls).toEqual(["action 01"]);
  });

  it("a crash changes nothing", () => {
    const driver = parked({});
    driver.crash();
    driver.pass(60_000);
    expect(driver.calls).toEqual(["action 01"]);
  });

  it("parking again keeps the first reason", () => {
    const driver = parked({});
    expect(driver.apply({ ...park, by: "paul" })).toEqual({ kind: "accepted" });
    expect(driver.tx!.parked!.by).toBe("olga");
  });
});

describe("a parked transaction goes on", () => {
  it.each([
    ["unpark", { kind: "unpark" } as const],
    ["retry or resetNextCronTime", { kind: "hasten", bulk: false } as const],
  ])("by %s", (_name, request) => {
    const driver = parked({});
    driver.pass(1000);
    expect(driver.apply(request)).toEqual({ kind: "accepted" });
    driver.rest();
    expect(driver.tx).toMatchObject({ status: "succeed", parked: undefined });
  });

  it("by an abort", () => {
    const driver = new Driver({ script: participants({ "cancel 01": ["ongoing", "success"] }) });
    driver.apply(prepare("tcc"));
    driver.apply(register("tcc", "01"));
    driver.apply(park);
    driver.apply(abort("tcc"));
    driver.step();
    driver.apply(park);
    driver.apply(abort("tcc"));
    driver.rest();
    expect(driver.tx).toMatchObject({ status: "failed", parked: undefined });
  });

  it("with a timeout that has passed meanwhile: it fires at once", () => {
    const driver = parked({ "action 01": "ongoing" }, { timeoutToFailS: 5 });
    driver.pass(60_000);
    driver.apply({ kind: "unpark" });
    expect(driver.tx).toMatchObject({ status: "aborting", rollbackReason: "Timeout after 5 seconds" });
  });

  it("but not by the bulk reset", () => {
    const driver = parked({});
    driver.apply({ kind: "hasten", bulk: true });
    expect(driver.tx!.parked).toBeDefined();
  });

  it("and cannot be parked once it is final, or unknown", () => {
    const driver = new Driver({ script: participants() });
    expect(driver.apply(park)).toMatchObject({ code: "NOT_FOUND" });
    driver.apply(submit("saga"));
    driver.rest();
    expect(driver.apply(park)).toMatchObject({ code: "REFUSED" });
  });
});

describe("ParkAfter", () => {
  const parkAfterRun = (parkAfter: number, outcome: "unknown" | "ongoing") => {
    const driver = new Driver({ script: participants({ "action 01": outcome }), parkAfter });
    driver.apply(submit("saga", { options: { retryIntervalS: 1 } }));
    driver.pass(3_600_000);
    return driver;
  };

  it("parks after that many tries without a clear answer, in the same commit", () => {
    const driver = parkAfterRun(4, "unknown");
    expect(driver.calls).toHaveLength(4);
    expect(driver.tx!.parked).toMatchObject({ by: "server" });
    expect(driver.tx!.ops[1]!.tries!.unknowns).toBe(4);
  });

  it("does not count ongoing, and 0 is never", () => {
    expect(parkAfterRun(4, "ongoing").tx!.parked).toBeUndefined();
    expect(parkAfterRun(0, "unknown").tx!.parked).toBeUndefined();
  });

  it("does not take over what an operator has parked", () => {
    const driver = new Driver({ script: participants({ "action 01": "unknown" }), parkAfter: 1 });
    driver.apply(submit("saga"));
    driver.apply(park);
    driver.pass(1000);
    expect(driver.tx!.ops[1]!.tries!.unknowns).toBe(1);
    expect(driver.tx!.parked!.by).toBe("olga");
  });
});
