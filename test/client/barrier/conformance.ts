// What every barrier store must do alike: the truth table, the laws over random traces, messages, independence of ids.
// The memory model passes it without a server; adapters run the same against real databases.

import fc from "fast-check";
import { expect, it } from "vitest";
import { barrierFrom } from "../../../src/client/barrier/delivery.js";
import { Duplicated, Failure, isDuplicated, isOngoing } from "../../../src/client/errors.js";
import { assertLaws, storyOf } from "./laws.js";
import { anyBranch, anyPlans } from "./traces.js";
import { memoryWorld, type Pair, pairs, play, type Row, type World } from "./world.js";

/** How a store is tested: how many random traces, and how long deliveries dawdle (0: one turn of the event loop). */
export interface Pace {
  readonly traces: number;
  readonly pauseMsMax: number;
}

/** Gives every trace an id that no earlier one used. */
let gidCount = 0;
const freshGid = (prefix: string): string => `${prefix}-${process.pid}-${Date.now().toString(36)}-${gidCount++}`;

/** Registers the conformance tests of a store; `world` is asked inside the tests only. */
export function barrierConformance<Tx>(world: () => World<Tx>, pace: Pace): void {
  it.each(truthTable)("truth table: $before, then $delivery: $kind", async (line) => {
    for (const pair of pairs) await checkLine(world(), pair, line);
  });

  it("keeps the laws over random traces with real concurrency, and every kind of result occurs", async () => {
    const kinds = new Set<string>();
    const dawdle = fc.infiniteStream(fc.integer({ min: 0, max: pace.pauseMsMax }));
    await fc.assert(
      fc.asyncProperty(anyBranch, anyPlans, dawdle, async (sample, plans, delays) => {
        const branch = { ...sample, gid: freshGid(sample.gid) };
        const seen = await play(world(), branch, plans, () => pauseMs(delays.next().value as number));
        for (const one of seen) for (const kind of one.kinds) kinds.add(kind);
        assertLaws(await storyOf(world(), branch, seen));
      }),
      { numRuns: pace.traces },
    );
    expect([...kinds].sort()).toEqual(["duplicate", "executed", "null-compensation", "suspended"]);
  });

  differential(world, pace);
  messageLaws(world, pace);
  independence(world);
}

/** P11: one delivery after the other, of any op, every store says and keeps what the memory model does. */
function differential<Tx>(world: () => World<Tx>, pace: Pace): void {
  const anyDelivery = fc.record({
    op: fc.constantFrom("action", "compensate", "try", "confirm", "cancel", "commit", "rollback", "msg", "other"),
    branchId: fc.constantFrom("01", "0102"),
    calls: fc.integer({ min: 1, max: 2 }),
    refuses: fc.boolean(),
  });
  it("does what the memory model does on any sequence of deliveries (P11)", async () => {
    const seen = new Set<string>();
    const sequences = fc.array(anyDelivery, { minLength: 1, maxLength: 10 });
    await fc.assert(
      fc.asyncProperty(sequences, async (sequence) => {
        const [real, model, gid] = [world(), memoryWorld(), freshGid("p11")];
        for (const delivery of sequence) {
          const [said, expected] = [await outcomes(real, gid, delivery), await outcomes(model, gid, delivery)];
          expect(said).toEqual(expected);
          for (const one of said) seen.add(one);
        }
        expect(await real.effects(gid)).toEqual(await model.effects(gid));
        const shown = ({ branchId, op, barrierId, reason }: Row) => [branchId, op, barrierId, reason].join(" ");
        expect((await real.rows(gid)).map(shown).sort()).toEqual((await model.rows(gid)).map(shown).sort());
      }),
      { numRuns: pace.traces, examples: [[ofEverything]] },
    );
    const all = ["duplicate", "duplicated", "executed", "failed", "null-compensation", "suspended"];
    expect([...seen].sort()).toEqual(all);
  });
}

/** Deliveries that come to everything that one can come to, whatever chance draws beside them. */
const ofEverything = [
  ...["msg", "msg", "action", "action"].map((op) => ({ op, branchId: "01", calls: 1, refuses: false })),
  ...["compensate", "action"].map((op) => ({ op, branchId: "0102", calls: 1, refuses: false })),
  { op: "try", branchId: "01", calls: 1, refuses: true },
];

/** What each barrier call of one delivery came to; the first that is refused ends it. */
async function outcomes<Tx>(
  world: World<Tx>,
  gid: string,
  delivery: { readonly op: string; readonly branchId: string; readonly calls: number; readonly refuses: boolean },
): Promise<readonly string[]> {
  const { op, branchId, calls, refuses } = delivery;
  const one = barrierFrom({ gid, trans_type: "saga", branch_id: branchId, op });
  const said: string[] = [];
  for (let call = 1; call <= calls; call++) {
    const business = async (tx: Tx) => {
      await world.apply(tx, gid, { branchId, op, call });
      if (refuses) throw new Failure("no");
    };
    said.push(await world.guard.run(one, business).then(({ kind }) => kind, refusalOf));
    if (said.at(-1) === "failed") break;
  }
  return said;
}

const pauseMs = (ms: number): Promise<void> =>
  new Promise((resolve) => (ms === 0 ? setImmediate(resolve) : setTimeout(resolve, ms)));

type Side = "origin" | "compensation";

interface Line {
  readonly before: string;
  readonly earlier: readonly Side[];
  readonly delivery: Side;
  readonly fails?: true;
  readonly kind: string;
  /** Rows afterwards as op(reason); o and c stand for the ops of the pair. */
  readonly after: readonly string[];
}

/** Section 1.5 of the barrier's contract, line by line. */
const truthTable: readonly Line[] = [
  { before: "{}", earlier: [], delivery: "origin", kind: "executed", after: ["o(o)"] },
  { before: "{}", earlier: [], delivery: "origin", fails: true, kind: "failure", after: [] },
  { before: "{}", earlier: [], delivery: "compensation", kind: "null-compensation", after: ["c(c)", "o(c)"] },
  { before: "{o(o)}", earlier: ["origin"], delivery: "origin", kind: "duplicate", after: ["o(o)"] },
  { before: "{o(o)}", earlier: ["origin"], delivery: "compensation", kind: "executed", after: ["c(c)", "o(o)"] },
  { before: "{o(o)}", earlier: ["origin"], delivery: "compensation", fails: true, kind: "failure", after: ["o(o)"] },
  { before: "{o(c),c}", earlier: ["compensation"], delivery: "origin", kind: "suspended", after: ["c(c)", "o(c)"] },
  {
    before: "{o(c),c}",
    earlier: ["compensation"],
    delivery: "compensation",
    kind: "duplicate",
    after: ["c(c)", "o(c)"],
  },
  {
    before: "{o(o),c}",
    earlier: ["origin", "compensation"],
    delivery: "origin",
    kind: "duplicate",
    after: ["c(c)", "o(o)"],
  },
  {
    before: "{o(o),c}",
    earlier: ["origin", "compensation"],
    delivery: "compensation",
    kind: "duplicate",
    after: ["c(c)", "o(o)"],
  },
];

async function checkLine<Tx>(world: World<Tx>, pair: Pair, line: Line): Promise<void> {
  const branch = { gid: freshGid("truth"), branchId: "01", pair, calls: 1 };
  const go = (side: Side, fails?: true) =>
    play(world, branch, [{ side, fate: fails ? "refuses" : "ok" }], () => Promise.resolve());
  for (const side of line.earlier) await go(side);
  const effectsBefore = (await world.effects(branch.gid)).length;
  const [seen] = await go(line.delivery, line.fails);
  expect(line.fails ? seen?.answer : seen?.kinds[0]).toBe(line.kind);
  expect((await world.effects(branch.gid)).length - effectsBefore).toBe(line.kind === "executed" ? 1 : 0);
  const letter = (op: string) => (op === pair.origin ? "o" : "c");
  const rows = (await world.rows(branch.gid)).map((row) => `${letter(row.op)}(${letter(row.reason)})`);
  expect(rows.sort()).toEqual(line.after);
}

/** P7, and the truth table's lines for ops without an origin. */
function messageLaws<Tx>(world: () => World<Tx>, pace: Pace): void {
  it.each(["confirm", "commit", "action"])("runs %s once although it undoes nothing", async (op) => {
    const gid = freshGid("once");
    const go = () => localWork(world(), gid, { branchId: "01", op, transType: "tcc" });
    expect((await go()).kind).toBe("executed");
    expect((await go()).kind).toBe("duplicate");
    expect(await world().effects(gid)).toHaveLength(1);
  });

  it("tells a repeated local transaction of a message that it is a duplicate", async () => {
    const gid = freshGid("msg");
    expect((await localWork(world(), gid, message)).kind).toBe("executed");
    await expect(localWork(world(), gid, message)).rejects.toThrow(Duplicated);
    expect(await world().effects(gid)).toHaveLength(1);
  });

  it("never lets a local transaction commit after a check-back said it did not", async () => {
    const gid = freshGid("msg");
    expect(await checkBack(world(), gid)).toBe("rolled-back");
    await expect(localWork(world(), gid, message)).rejects.toThrow(Duplicated);
    expect(await world().effects(gid)).toHaveLength(0);
    expect(await checkBack(world(), gid)).toBe("rolled-back");
    const [row] = await world().rows(gid);
    expect(row).toMatchObject({ branchId: "00", op: "msg", barrierId: "01", reason: "rollback" });
  });

  it("gives check-backs that race a local transaction one answer, true for ever (P7)", async () => {
    const answers = new Set<string>();
    const race = fc.record({
      fails: fc.boolean(),
      workAfterMs: ms(pace),
      checksAfterMs: fc.array(ms(pace), { minLength: 1, maxLength: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(race, async ({ fails, workAfterMs, checksAfterMs }) => {
        const gid = freshGid("race");
        const work = pauseMs(workAfterMs).then(() => localWork(world(), gid, message, fails));
        const checks = checksAfterMs.map((after) => pauseMs(after).then(() => checkBack(world(), gid)));
        const [ended, ...heard] = await Promise.all([work.then(() => "committed", refusalOf), ...checks]);
        const final = await checkBack(world(), gid);
        expect(new Set(heard), "all check-backs agree").toEqual(new Set([final]));
        expect(await world().effects(gid)).toHaveLength(final === "committed" ? 1 : 0);
        if (ended === "committed") expect(final).toBe("committed");
        answers.add(`${ended}/${final}`);
      }),
      { numRuns: pace.traces },
    );
    expect(answers).toContain("committed/committed");
    expect(answers).toContain("duplicated/rolled-back");
  });
}

const ms = (pace: Pace) => fc.integer({ min: 0, max: pace.pauseMsMax });
const message = { branchId: "00", op: "msg", transType: "msg" };
const refusalOf = (error: unknown) => {
  if (isDuplicated(error)) return "duplicated";
  if (error instanceof Failure) return "failed";
  if (isOngoing(error)) return "ongoing";
  throw error;
};

async function localWork<Tx>(
  world: World<Tx>,
  gid: string,
  branch: { branchId: string; op: string; transType: string },
  fails = false,
) {
  const { branchId, op } = branch;
  return world.guard.run(barrierFrom({ gid, ...branch }), async (tx) => {
    await world.apply(tx, gid, { branchId, op, call: 1 });
    await pauseMs(1);
    if (fails) throw new Failure("no");
  });
}

/** Asks as a coordinator does: again after "not yet". */
async function checkBack<Tx>(world: World<Tx>, gid: string): Promise<string> {
  for (;;) {
    try {
      return await world.guard.queryPrepared({ gid, trans_type: "msg", branch_id: "00", op: "msg" });
    } catch (error) {
      if (!isOngoing(error)) throw error;
    }
  }
}

/** P10: what looks alike is not the same. */
function independence<Tx>(world: () => World<Tx>): void {
  const base = freshGid("p10");
  const long = `${base}-`.padEnd(127, "x");
  const alike: readonly (readonly [gid: string, branchId: string])[] = [
    [`${base}-AbC`, "01"],
    [`${base}-aBc`, "01"],
    [`${base}-àbc`, "01"],
    [`${long}1`, "01"],
    [`${long}2`, "01"],
    [`${base}-a-b`, "c"],
    [`${base}-a`, "b-c"],
    [`${base}'; drop table x; --`, "01"],
    [`${base}-🦜`, "01"],
    [`${base}-🦚`, "01"],
    [`${base}%`, "01"],
    [`${base}_`, "01"],
  ];

  it("keeps branches apart whose ids look alike (P10)", async () => {
    for (const [gid, branchId] of alike) {
      const result = await localWork(world(), gid, { branchId, op: "action", transType: "saga" });
      expect([gid, branchId, result.kind]).toEqual([gid, branchId, "executed"]);
    }
    for (const [gid, branchId] of alike) {
      const result = await localWork(world(), gid, { branchId, op: "compensate", transType: "saga" });
      expect([gid, branchId, result.kind]).toEqual([gid, branchId, "executed"]);
    }
  });

  it("refuses an id that is too long to be told from another", async () => {
    const gid = `${long}12`;
    await expect(async () => localWork(world(), gid, message)).rejects.toThrow(/gid has more than 128 characters/);
  });
}
