/**
 * Properties over random histories: requests, answers, time and crashes in any order (reliability 2 and 12a). Every
 * property has a floor of judged situations, so that one which no longer meets any fails.
 */
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { Packr } from "msgpackr";
import { describe, expect, it } from "vitest";
import { evolve, fold, type JournalRow } from "../../src/core/evolve.js";
import { isFinal, type TransType, transTypes } from "../../src/core/transaction.js";
import type { Driver } from "./driver.js";
import { plans, play, recover } from "./histories.js";
import {
  type Findings,
  s3Monotone,
  s4LegalStep,
  s5NoOrphan,
  s6NoHole,
  s7Order,
  s8NoCallAfterFinal,
  s9IdempotentSubmit,
} from "./invariants.js";

/** 1,000 as a part of the suite; more for a long run. */
const numRuns = Number(process.env.TANDEM_RUNS ?? 1000);

function holds(check: (driver: Driver) => Findings, floor: number, types: readonly TransType[] = transTypes): void {
  let judged = 0;
  const property = fc.property(plans(types), (plan) => {
    const driver = play(plan);
    recover(driver);
    const findings = check(driver);
    judged += findings.judged;
    expect(findings.wrong).toEqual([]);
  });
  fc.assert(property, { numRuns });
  expect(judged, "situations judged").toBeGreaterThan((floor * numRuns) / 1000);
}

describe("any history of any transaction", () => {
  it("S3: versions never go down and a final status never changes", () => holds(s3Monotone, 6000));
  it("S4: every change of status is an edge of the state machine", () => holds(s4LegalStep, 500));
  it("S5: what was ever sent is compensated when the transaction fails", () =>
    holds(s5NoOrphan, 120, ["saga", "tcc", "xa"]));
  it("S6: nothing succeeds with a hole", () => holds(s6NoHole, 300));
  it("S7: actions keep their order and compensations reverse it", () => holds(s7Order, 400, ["saga"]));
  it("S8: no call starts after the final status", () => holds(s8NoCallAfterFinal, 500));
  it("S9: a repeated submit changes nothing and gets the same answer", () =>
    holds(s9IdempotentSubmit, 250, ["saga", "tcc", "xa", "msg"]));

  it("gets final once its participants recover", () => {
    const ends = new Map<string, number>();
    const property = fc.property(plans(), (plan) => {
      const driver = play(plan);
      if (driver.tx === undefined) return;
      recover(driver);
      expect(isFinal(driver.tx), `status '${driver.tx.status}', next at ${driver.nextAtMs}`).toBe(true);
      const end = `${driver.tx.type} ${driver.tx.status}`;
      ends.set(end, (ends.get(end) ?? 0) + 1);
    });
    fc.assert(property, { numRuns });
    expect([...ends.keys()].sort()).toEqual(transTypes.flatMap((type) => [`${type} failed`, `${type} succeed`]).sort());
  });

  it("keeps a head that is the fold of its journal, rows in any order", () => {
    let retryRows = 0;
    const property = fc.property(plans(), fc.infiniteStream(fc.nat()), (plan, chance) => {
      const driver = play(plan);
      retryRows += driver.rows.filter(({ retryOf }) => retryOf !== undefined).length;
      expect(isDeepStrictEqual(fold(shuffled(driver.rows, chance)), driver.tx)).toBe(true);
    });
    fc.assert(property, { numRuns });
    expect(retryRows).toBeGreaterThan(numRuns / 10);
  });

  it("has the same state after every decision as the fold of all events until then", () => {
    const property = fc.property(plans(), (plan) => {
      const driver = play(plan);
      let tx = undefined as Driver["tx"];
      for (const entry of driver.trace) {
        if (entry.kind !== "decided" || entry.lost) continue;
        for (const event of entry.decision.events) tx = evolve(tx, event);
        expect({ ...tx, version: 0 }).toEqual({ ...entry.decision.tx, version: 0 });
      }
    });
    fc.assert(property, { numRuns: numRuns / 4 });
  });

  it("survives the way to a store and back: events are plain data", () => {
    const packr = new Packr({ useRecords: false });
    const property = fc.property(plans(), (plan) => {
      const { rows } = play(plan);
      const before = fold(rows);
      const unpacked = packr.unpack(packr.pack(rows)) as JournalRow[];
      expect(toJson(fold(unpacked))).toBe(toJson(before));
      expect(toJson(fold(fromJson(toJson(rows))))).toBe(toJson(before));
    });
    fc.assert(property, { numRuns: numRuns / 4 });
  });

  it("hits crashes in every place", () => {
    const places = new Map<string, number>();
    const property = fc.property(plans(), (plan) => {
      for (const entry of play(plan).trace) {
        if (entry.kind === "crashed") count(places, entry.onTheWire > 0 ? "call on the wire" : "no call on the wire");
        if (entry.kind === "decided" && entry.lost && entry.decision.events.length > 0) count(places, "before commit");
      }
    });
    fc.assert(property, { numRuns });
    for (const place of ["call on the wire", "no call on the wire", "before commit"])
      expect(places.get(place) ?? 0, place).toBeGreaterThan(numRuns / 10);
  });
});

function count(places: Map<string, number>, place: string): void {
  places.set(place, (places.get(place) ?? 0) + 1);
}

function shuffled(rows: readonly JournalRow[], chance: fc.Stream<number>): readonly JournalRow[] {
  return rows
    .map((row) => ({ row, at: chance.next().value as number }))
    .sort((a, b) => a.at - b.at)
    .map(({ row }) => row);
}

/** Bytes of any kind as base64; members in a fixed order, `undefined` ones left out. */
function toJson(value: unknown): string {
  return JSON.stringify(value, function (this: Record<string, unknown>, key, given: unknown) {
    const bytes = this[key];
    if (bytes instanceof Uint8Array) return { base64: Buffer.from(bytes).toString("base64") };
    return given;
  });
}

function fromJson(text: string): JournalRow[] {
  return JSON.parse(text, (_key, value: unknown) =>
    typeof value === "object" && value !== null && "base64" in value
      ? new Uint8Array(Buffer.from(String(value.base64), "base64"))
      : value,
  ) as JournalRow[];
}
