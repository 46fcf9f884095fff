/** The circuit breaker of one target, rule by rule of D30. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Outcome } from "../../src/core/transaction.js";
import { Breaker, breakerDefaults } from "../../src/engine/breaker.js";

/** Opens it by ten unknown answers of three transactions at time 0. */
function opened(): Breaker {
  const breaker = new Breaker();
  for (let i = 0; i < 10; i++) breaker.answered("unknown", `g${i % 3}`, 0);
  return breaker;
}

describe("the breaker", () => {
  it("opens after exactly ten unknown answers in a row from at least three transactions, and on nothing else", () => {
    const answer = fc.record({
      outcome: fc.constantFrom<Outcome>("unknown", "unknown", "unknown", "unknown", "success", "failure", "ongoing"),
      gid: fc.constantFrom("a", "a", "a", "b", "c", "d"),
    });
    let opens = 0;
    fc.assert(
      fc.property(fc.array(answer, { minLength: 5, maxLength: 60, size: "max" }), (answers) => {
        const breaker = new Breaker();
        let row: string[] = [];
        for (const { outcome, gid } of answers) {
          row = outcome === "unknown" ? [...row, gid] : [];
          const opensNow = row.length >= 10 && new Set(row).size >= 3;
          expect(breaker.answered(outcome, gid, 0)).toBe(opensNow);
          if (!opensNow) continue;
          expect(breaker.state).toBe("open");
          opens++;
          return;
        }
        expect(breaker.state).toBe("closed");
      }),
      { numRuns: 1000 },
    );
    expect(opens).toBeGreaterThan(20);
  });

  it("lets one probe go after one second, and the next twice as long after its failure, up to thirty seconds", () => {
    const breaker = opened();
    let nowMs = 0;
    const waits: number[] = [];
    for (let i = 0; i < 8; i++) {
      const untilMs = breaker.openUntilMs!;
      waits.push(untilMs - nowMs);
      expect(breaker.admits(untilMs - 1, 0)).toBe(false);
      expect(breaker.admits(untilMs, 0)).toBe(true);
      nowMs = untilMs;
      expect(breaker.sent()).toBe(true);
      expect(breaker.state).toBe("probing");
      expect(breaker.admits(nowMs + 100_000, 0)).toBe(false);
      breaker.answered("unknown", "probe", nowMs, true);
    }
    expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  });

  it("does not take the silence of calls sent before it opened for the probe's", () => {
    const breaker = opened();
    breaker.sent();
    for (let i = 0; i < 50; i++) breaker.answered("unknown", `old${i}`, 1000 + i);
    expect(breaker.state).toBe("probing");
    expect(breaker.admits(60_000, 0)).toBe(false);
    breaker.answered("unknown", "probe", 1100, true);
    expect(breaker.openUntilMs).toBe(1100 + 2 * breakerDefaults.firstProbeMs);
  });

  it.each(["success", "failure", "ongoing"] as const)("closes at %s, whoever brings it", (outcome) => {
    for (const probe of [true, false]) {
      const breaker = opened();
      if (probe) breaker.sent();
      expect(breaker.answered(outcome, "g", 1500, probe)).toBe(true);
      expect([breaker.state, breaker.openUntilMs, breaker.unknownsInRow]).toEqual(["closed", undefined, 0]);
    }
  });

  it("lets calls through in growing numbers after it closed: four at first, one more with every clear answer", () => {
    const breaker = opened();
    breaker.sent();
    breaker.answered("success", "g", 1000, true);
    for (let clear = 0; clear < 100; clear++) {
      expect([breaker.admits(1000, 3 + clear), breaker.admits(1000, 4 + clear)]).toEqual([true, false]);
      breaker.answered("failure", "g", 1000);
    }
  });
});
