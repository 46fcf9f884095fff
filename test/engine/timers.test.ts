/** The heap of wake times against the plainest model: a map. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Timers } from "../../src/engine/timers.js";
import { virtualClock } from "./harness.js";

type Step =
  | { readonly kind: "set"; readonly key: string; readonly inMs: number }
  | { readonly kind: "clear"; readonly key: string }
  | { readonly kind: "clearIf"; readonly prefix: string }
  | { readonly kind: "pass"; readonly ms: number };

const key = fc.constantFrom("a1", "a2", "b1", "b2", "b3", "c");
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("set" as const), key, inMs: fc.integer({ min: -5, max: 60 }) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("clear" as const), key }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("clearIf" as const), prefix: fc.constantFrom("a", "b") }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("pass" as const), ms: fc.integer({ min: 0, max: 30 }) }) },
);

describe("wake times", () => {
  it("come up once each, in order, at their newest time, and never when cleared", async () => {
    let fired = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80, size: "max" }), async (steps) => {
        const clock = virtualClock(0);
        const seen: string[] = [];
        const timers = new Timers(clock, (name) => void seen.push(`${name}@${clock.nowMs()}`));
        const model = new Map<string, number>();
        const expected: string[] = [];
        const play = (untilMs: number) => {
          const due = [...model].filter(([, atMs]) => atMs <= untilMs);
          for (const [name, atMs] of due) {
            model.delete(name);
            expected.push(`${name}@${atMs}`);
          }
        };
        for (const what of steps) {
          if (what.kind === "set") {
            const atMs = Math.max(0, clock.nowMs() + what.inMs);
            timers.set(what.key, atMs);
            model.set(what.key, Math.max(atMs, clock.nowMs()));
          } else if (what.kind === "clear") {
            timers.clear(what.key);
            model.delete(what.key);
          } else if (what.kind === "clearIf") {
            timers.clearIf((name) => name.startsWith(what.prefix));
            for (const name of [...model.keys()]) if (name.startsWith(what.prefix)) model.delete(name);
          } else {
            const untilMs = clock.nowMs() + what.ms;
            await clock.advance(what.ms);
            play(untilMs);
          }
          expect(timers.size).toBe(model.size);
        }
        await clock.advance(1000);
        play(clock.nowMs());
        expect([...seen].sort()).toEqual([...expected].sort());
        const times = seen.map((text) => Number(text.split("@")[1]));
        expect(times).toEqual([...times].sort((a, b) => a - b));
        fired += seen.length;
      }),
      { numRuns: 300 },
    );
    expect(fired).toBeGreaterThan(1000);
  });

  it("keep no more memory than four times what is set, however often a time is replaced", () => {
    const timers = new Timers(virtualClock(0), () => {});
    let entries = 0;
    for (let i = 0; i < 10_000; i++) {
      timers.set(`k${i % 10}`, 1_000_000 - i);
      entries = Math.max(entries, timers.entries);
    }
    expect(entries).toBeGreaterThan(10);
    expect(entries).toBeLessThanOrEqual(65);
  });

  it("fire nothing and take nothing after close", async () => {
    const clock = virtualClock(0);
    const seen: string[] = [];
    const timers = new Timers(clock, (name) => void seen.push(name));
    timers.set("a", 5);
    timers.close();
    timers.set("b", 6);
    await clock.advance(100);
    expect(seen).toEqual([]);
    expect(timers.size).toBe(0);
  });
});
