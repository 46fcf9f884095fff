// Random branches and deliveries for the barrier's property tests.

import fc from "fast-check";
import { type DeliveryPlan, type Fate, type Pair, pairs } from "./world.js";

const fates: readonly Fate[] = ["ok", "ok", "ok", "refuses", "crashes", "crashes between calls", "answer lost"];

/** Up to five deliveries of the two ops of a branch, each with its end. */
export const anyPlans: fc.Arbitrary<readonly DeliveryPlan[]> = fc.array(
  fc.record({ side: fc.constantFrom("origin" as const, "compensation" as const), fate: fc.constantFrom(...fates) }),
  { minLength: 1, maxLength: 5 },
);

/** A branch of any kind whose handlers make one to three barrier calls. */
export const anyBranch: fc.Arbitrary<{ gid: string; branchId: string; pair: Pair; calls: number }> = fc.record({
  gid: fc.constantFrom("g1", "Order-77", "a;b'c\"*"),
  branchId: fc.constantFrom("01", "0102"),
  pair: fc.constantFrom(...pairs),
  calls: fc.integer({ min: 1, max: 3 }),
});
