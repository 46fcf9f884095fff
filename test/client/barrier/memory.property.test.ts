// The laws of the barrier over random interleavings on the memory model, and the same laws failing for broken barriers.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type BarrierRows, originOp } from "../../../src/client/barrier/core.js";
import type { BarrierStore } from "../../../src/client/barrier/guard.js";
import type { MemoryTx } from "../../../src/client/barrier/memory.js";
import { assertLaws, storyOf } from "./laws.js";
import { anyBranch, anyPlans } from "./traces.js";
import { memoryWorld, type Observation, play } from "./world.js";

type Bend = (store: BarrierStore<MemoryTx>) => BarrierStore<MemoryTx>;

/** Runs the laws over random traces; resolves to all observations, rejects with fast-check's report. */
async function checkLaws(bend: Bend, runs: number): Promise<readonly Observation[]> {
  const all: Observation[] = [];
  await fc.assert(
    fc.asyncProperty(anyBranch, anyPlans, fc.scheduler(), async (branch, plans, scheduler) => {
      const world = memoryWorld(bend);
      const played = play(world, branch, plans, (where) => scheduler.schedule(Promise.resolve(), where));
      const seen = await scheduler.waitFor(played);
      all.push(...seen);
      assertLaws(await storyOf(world, branch, seen));
    }),
    { numRuns: runs },
  );
  return all;
}

const sound: Bend = (store) => store;

describe("the barrier over random interleavings", () => {
  it("keeps its laws, and every kind of result occurs", async () => {
    const seen = await checkLaws(sound, 2_000);
    const kinds = new Set(seen.flatMap((one) => one.kinds));
    expect([...kinds].sort()).toEqual(["duplicate", "executed", "null-compensation", "suspended"]);
    expect(new Set(seen.map((one) => one.answer))).toEqual(new Set(["success", "failure", "none"]));
  });
});

/** Each bends one rule of the algorithm; the laws must notice. */
const mutants: Readonly<Record<string, Bend>> = {
  "the compensation does not take its origin's row": withRows((rows) => ({
    ...rows,
    insertIgnore: (row) => (originOp(row.reason) === row.op ? Promise.resolve(false) : rows.insertIgnore(row)),
  })),
  "rollback does not know its origin": withRows((rows) => ({
    ...rows,
    insertIgnore: (row) =>
      row.reason === "rollback" && row.op === "action" ? Promise.resolve(false) : rows.insertIgnore(row),
  })),
  "the count of inserted rows is ignored": withRows((rows) => ({
    ...rows,
    insertIgnore: async (row) => (await rows.insertIgnore(row)) || originOp(row.reason) !== row.op,
  })),
  "a null compensation runs its business": withRows((rows) => ({
    ...rows,
    insertIgnore: async (row) => (await rows.insertIgnore(row)) && originOp(row.reason) !== row.op,
  })),
  "the rows are inserted in another transaction": (store) => ({
    ...store,
    guarded: (_tx, statements) => store.transaction((other) => store.guarded(other, statements)),
  }),
  "nothing is rolled back": (store) => ({
    ...store,
    transaction: async (work) => {
      const ended = await store.transaction(async (tx) =>
        work(tx).then(
          (value) => ({ ok: true, value }) as const,
          (error: unknown) => ({ ok: false, error }) as const,
        ),
      );
      if (ended.ok) return ended.value;
      throw ended.error;
    },
  }),
};

type BendRows = (rows: BarrierRows) => BarrierRows;

function withRows(bendRows: BendRows): Bend {
  return (store) => ({
    ...store,
    guarded: (tx, statements) => store.guarded(tx, (rows) => statements(bendRows(rows))),
  });
}

describe("a broken barrier is noticed by the laws when", () => {
  it.each(Object.entries(mutants))("%s", async (_, bend) => {
    await expect(checkLaws(bend, 2_000)).rejects.toThrow(/Property failed/);
  });
});
