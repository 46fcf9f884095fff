/** The circuit breaker of one target, rule by rule of D30. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Breaker, breakerDefaults } from "../../src/engine/breaker.js";

/** Opens it by ten unknown answers of three transactions at time 0. */
function opened(): Breaker {
  const breaker = new Breaker();
  for (let i = 0; i < 10; i++) breaker.answered(false, `g${i % 3}`, 0);
  return breaker;
}

describe("the breaker", () => {
  it("opens after exactly ten unclear answers in a row from at least three transactions, and on nothing else", () => {
    const answer = fc.record({
      isClear: fc.constantFrom(false, false, false, false, false, true, true),
      gid: fc.constantFrom("a", "a", "a", "b", "c", "d"),
    });
    let opens = 0;
    fc.assert(
      fc.property(fc.array(answer, { minLength: 5, maxLength: 60, size: "max" }), (answers) => {
        const breaker = new Breaker();
        let row: string[] = [];
        for (const { isClear, gid } of answers) {
          row = isClear ? [] : [...row, gid];
          const opensNow = row.length >= 10 && new Set(row).size >= 3;
          expect(breaker.answered(isClear, gid, 0)).toBe(opensNow);
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
      breaker.answered(false, "probe", nowMs, true);
    }
    expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  });

  it("does not take the silence of calls sent before it opened for the probe's", () => {
    const breaker = opened();
    breaker.sent();
    for (let i = 0; i < 50; i++) breaker.answered(false, `old${i}`, 1000 + i);
    expect(breaker.state).toBe("probing");
    expect(breaker.admits(60_000, 0)).toBe(false);
    breaker.answered(false, "probe", 1100, true);
    expect(breaker.openUntilMs).toBe(1100 + 2 * breakerDefaults.firstProbeMs);
  });

  it("closes at a clear answer, whoever brings it", () => {
    for (const probe of [true, false]) {
      const breaker = opened();
      if (probe) breaker.sent();
      expect(breaker.answered(true, "g", 1500, probe)).toBe(true);
      expect([breaker.state, breaker.openUntilMs, breaker.unknownsInRow]).toEqual(["closed", undefined, 0]);
    }
  });

  it("lets calls through in growing numbers after it closed: four at first, one more with every clear answer", () => {
    const breaker = opened();
    breaker.sent();
    breaker.answered(true, "g", 1000, true);
    for (let clear = 0; clear < 100; clear++) {
      expect([breaker.admits(1000, 3 + clear), breaker.admits(1000, 4 + clear)]).toEqual([true, false]);
      breaker.answered(true, "g", 1000);
    }
  });
});
