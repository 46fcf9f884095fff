/**
 * The retry schedule (D7), the retry limit (D8), alerts (S-RTY-10) and contract violations (D9).
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { nextTries, retryCapMs } from "../../src/core/retry.js";
import type { Tries } from "../../src/core/transaction.js";
import { Driver, startMs } from "./driver.js";
import { participants, prepare, register, sagaSteps, submit } from "./submissions.js";

const unknown = { outcome: "unknown", detail: "no answer", refusal: false } as const;
const ongoing = { outcome: "ongoing", detail: "busy", refusal: false } as const;

/** Waits after each of `count` answers, without jitter. */
function waits(count: number, baseMs: number): readonly number[] {
  let tries: Tries | undefined;
  return Array.from({ length: count }, () => {
    tries = nextTries(tries, unknown, baseMs, 0, 0.5);
    return tries.nextAtMs;
  });
}

/** Seconds since the start at which calls of that name were made. */
function calledAt(driver: Driver, name: string): readonly number[] {
  return driver.trace.flatMap((entry) =>
    entry.kind === "called" && entry.call.name === name ? [Math.round((entry.call.atMs - startMs) / 1000)] : [],
  );
}

describe("the retry schedule", () => {
  it("waits one interval first, then doubles, up to five minutes", () => {
    expect(waits(8, 10_000)).toEqual([10, 20, 40, 80, 160, 300, 300, 300].map((s) => s * 1000));
  });

  it("never shortens an interval above the cap", () => {
    expect(waits(3, 600_000)).toEqual([600_000, 600_000, 600_000]);
  });

  it("keeps the interval while the participant says ongoing", () => {
    const grown = [1, 2, 3].reduce<Tries | undefined>((t) => nextTries(t, unknown, 1000, 0, 0.5), undefined)!;
    expect(grown.intervalMs).toBe(8000);
    const kept = nextTries(nextTries(grown, ongoing, 1000, 0, 0.5), ongoing, 1000, 0, 0.5);
    expect(kept).toMatchObject({ intervalMs: 8000, nextAtMs: 8000, attempts: 5, unknowns: 3 });
  });

  it("spreads every wait evenly over 0.8 to 1.2 of the interval", () => {
    const answers = fc.array(fc.constantFrom(unknown, ongoing), { minLength: 1, maxLength: 40 });
    const jitters = fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }));
    fc.assert(
      fc.property(answers, jitters, fc.integer({ min: 1, max: 604_800 }), (given, jitter, seconds) => {
        let tries: Tries | undefined;
        for (const answer of given) {
          const interval = tries?.intervalMs ?? seconds * 1000;
          tries = nextTries(tries, answer, seconds * 1000, 0, jitter.next().value as number);
          expect(tries.nextAtMs).toBeGreaterThanOrEqual(interval * 0.8 - 1);
          expect(tries.nextAtMs).toBeLessThanOrEqual(interval * 1.2 + 1);
          expect(tries.intervalMs).toBeLessThanOrEqual(Math.max(retryCapMs, seconds * 1000));
        }
      }),
    );
    expect(nextTries(undefined, unknown, 10_000, 0, 0).nextAtMs).toBe(8000);
    expect(nextTries(undefined, unknown, 10_000, 0, 0.999_999).nextAtMs).toBe(12_000);
  });

  it("calls again exactly then", () => {
    const driver = new Driver({ script: participants({ "action 01": "unknown" }) });
    driver.apply(submit("saga", { steps: sagaSteps(1) }));
    driver.pass(160_000);
    expect(calledAt(driver, "action 01")).toEqual([0, 10, 30, 70, 150]);
  });

  it("is each op's own: another branch's success does not reset it", () => {
    const script = participants({ "action 01": "unknown", "action 02": ["unknown", "success"] });
    const driver = new Driver({ script });
    driver.apply(submit("msg", { options: { concurrent: true, retryIntervalS: 2 } }));
    driver.pass(15_000);
    expect(calledAt(driver, "action 01")).toEqual([0, 2, 6, 14]);
    expect(calledAt(driver, "action 02")).toEqual([0, 2]);
  });

  it("takes the transaction's interval, else a shorter timeout, else the server's (S-RTY-2)", () => {
    const first = (options: object) => {
      const driver = new Driver({ script: participants({ "action 01": "ongoing" }) });
      driver.apply(submit("saga", { options }));
      driver.pass(50);
      return (driver.tx!.ops[1]!.tries!.nextAtMs - startMs) / 1000;
    };
    expect(first({ retryIntervalS: 3 })).toBeCloseTo(3, 1);
    expect(first({ timeoutToFailS: 4 })).toBeCloseTo(4, 1);
    expect(first({ timeoutToFailS: 40 })).toBeCloseTo(10, 1);
    expect(first({})).toBeCloseTo(10, 1);
  });

  it("is not started anew by a crash", () => {
    const driver = new Driver({ script: participants({ "action 01": "unknown" }) });
    driver.apply(submit("saga", { steps: sagaSteps(1) }));
    for (const s of [5, 10, 20]) {
      driver.pass(s * 1000);
      driver.crash();
    }
    driver.pass(40_000);
    expect(calledAt(driver, "action 01")).toEqual([0, 10, 30, 70]);
  });
});

describe("retry_limit", () => {
  const limited = (answers: Parameters<typeof participants>[0], retryLimit: number) => {
    const driver = new Driver({ script: participants(answers) });
    driver.apply(submit("saga", { options: { retryLimit, retryIntervalS: 1 } }));
    return driver;
  };
  const reason = "RetryCount is greater than RetryLimit, RetryLimit: 2";

  it("allows n more calls with backoff after the first, then aborts", () => {
    const driver = limited({ "action 01": "unknown" }, 2);
    driver.pass(60_000);
    expect(calledAt(driver, "action 01")).toEqual([0, 1, 3]);
    expect(driver.tx).toMatchObject({ status: "failed", rollbackReason: reason });
    expect(driver.calls.at(-1)).toBe("compensate 01");
  });

  it("does not count ongoing", () => {
    const driver = limited({ "action 01": "ongoing" }, 2);
    driver.pass(20_000);
    expect(driver.calls.length).toBeGreaterThan(15);
    expect(driver.tx!.status).toBe("submitted");
    const atTheLimit = limited({ "action 01": ["unknown", "unknown", "ongoing", "success"] }, 2);
    atTheLimit.pass(60_000);
    expect(atTheLimit.tx!.status).toBe("succeed");
  });

  it("counts over all actions of the transaction", () => {
    const driver = limited({ "action 01": ["unknown", "success"], "action 02": "unknown" }, 2);
    driver.pass(60_000);
    expect(driver.calls.filter((name) => name === "action 02")).toHaveLength(2);
    expect(driver.tx!.rollbackReason).toBe(reason);
  });

  it("counts across crashes", () => {
    const driver = limited({ "action 01": "unknown" }, 2);
    driver.step();
    driver.crash();
    driver.step();
    driver.step();
    driver.crash();
    driver.pass(60_000);
    expect(driver.calls.filter((name) => name === "action 01")).toHaveLength(3);
    expect(driver.tx!.rollbackReason).toBe(reason);
  });

  it("does not count a call that was never put on the wire", () => {
    const driver = limited({ "action 01": "unknown" }, 2);
    driver.crash();
    driver.crash();
    expect(driver.tx!.ops[1]!.tries).toBeUndefined();
  });

  it.each(["compensate 01"])("spares %s: it is asked for ever", (name) => {
    const driver = limited({ "action 01": "failure", [name]: "unknown" }, 2);
    driver.pass(3_600_000);
    expect(driver.tx!.status).toBe("aborting");
    expect(driver.calls.filter((call) => call === name).length).toBeGreaterThan(10);
  });

  it("spares the endings of a tcc", () => {
    const driver = new Driver({ script: participants({ "confirm 01": ["unknown", "unknown", "unknown", "success"] }) });
    driver.apply(prepare("tcc", { options: { retryLimit: 1, retryIntervalS: 1 } }));
    driver.apply(register("tcc", "01"));
    driver.apply(submit("tcc"));
    driver.pass(30_000);
    expect(driver.tx!.status).toBe("succeed");
  });
});

describe("somebody is told", () => {
  it("from the third try without a clear answer on, every time (S-RTY-10)", () => {
    const driver = new Driver({ script: participants({ "action 01": "unknown" }) });
    driver.apply(submit("saga", { steps: sagaSteps(1) }));
    const alerts: number[] = [];
    for (let i = 0; i < 10; i++) {
      driver.step();
      alerts.push(...driver.last!.alerts.map(({ tries }) => tries.unknowns));
    }
    expect(alerts).toEqual([3, 4, 5]);
  });

  it("when an op that must not refuse does, and it is retried (D9)", () => {
    const driver = new Driver({
      script: participants({ "action 01": [{ outcome: "failure", detail: "no" }, "success"] }),
    });
    driver.apply(submit("msg"));
    driver.step();
    expect(driver.tx!.ops[0]).toMatchObject({ status: "prepared", tries: { refusals: 1, lastError: "no" } });
    driver.pass(60_000);
    expect(driver.tx).toMatchObject({ status: "succeed" });
    expect(driver.tx!.ops[0]!.tries!.refusals).toBe(1);
  });
});
