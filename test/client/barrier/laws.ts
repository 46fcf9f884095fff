// The barrier's laws P1–P6, P8, P9 as checks of what one branch's deliveries saw and left behind; P7 for messages.

import { expect } from "vitest";
import type { Effect, Observation, Pair, Row, World } from "./world.js";

/** Everything the laws speak about, for one branch. */
export interface Story {
  readonly pair: Pair;
  readonly branchId: string;
  readonly calls: number;
  readonly seen: readonly Observation[];
  readonly effects: readonly Effect[];
  readonly rows: readonly Row[];
}

/** Reads the end of a story from its world. */
export async function storyOf<Tx>(
  world: World<Tx>,
  branch: { readonly gid: string; readonly branchId: string; readonly pair: Pair; readonly calls: number },
  seen: readonly Observation[],
): Promise<Story> {
  const effects = (await world.effects(branch.gid)).filter((effect) => effect.branchId === branch.branchId);
  const rows = (await world.rows(branch.gid)).filter((row) => row.branchId === branch.branchId);
  return { ...branch, seen, effects, rows };
}

/** Asserts all laws for every barrier call of the handler (P9: calls are independent guards). */
export function assertLaws(story: Story): void {
  for (let call = 1; call <= story.calls; call++) assertCall(story, call);
  for (const observation of story.seen) {
    // P8: a caller never hears FAILURE from a delivery whose business did not say so.
    if (observation.answer === "failure") expect(observation.fate).toBe("refuses");
    expect(observation.answer, "no delivery ends in an unexpected error").not.toBe("error");
  }
}

function assertCall(story: Story, call: number): void {
  const { origin, compensation } = story.pair;
  const ofCall = (effects: readonly Effect[], op: string) =>
    effects.filter((effect) => effect.branchId === story.branchId && effect.call === call && effect.op === op).length;
  const applied = ofCall(story.effects, origin);
  const undone = ofCall(story.effects, compensation);
  expect(applied, "P1: the origin takes effect at most once").toBeLessThanOrEqual(1);
  expect(undone, "P1: the compensation takes effect at most once").toBeLessThanOrEqual(1);

  const executed = (side: Observation["side"]) =>
    story.seen.filter((one) => one.side === side && one.kinds[call - 1] === "executed").length;
  expect(applied, "an origin that refused or crashed leaves no effect").toBe(executed("origin"));
  expect(undone, "a compensation that refused or crashed leaves no effect").toBe(executed("compensation"));

  const order = story.effects.filter((effect) => effect.call === call).map((effect) => effect.op);
  if (undone > 0) expect(order, "P2: only what was done is undone, afterwards").toEqual([origin, compensation]);

  const succeeded = story.seen.filter((one) => one.answer === "success");
  for (const one of story.seen.filter(({ side, kinds }) => side === "compensation" && kinds.length >= call)) {
    const then = ofCall(one.effectsThen, origin);
    expect(applied, "P3: no origin takes effect after a compensation committed").toBe(then);
    expect(undone, "P4: after a compensation both took effect or neither").toBe(applied);
  }
  for (const one of succeeded.filter(({ side, compensationSeen }) => side === "origin" && !compensationSeen)) {
    expect(ofCall(one.effectsThen, origin), "P6: success without compensation means done exactly once").toBe(1);
  }
  assertRows(story, call, undone);
}

function assertRows(story: Story, call: number, undone: number): void {
  const { origin, compensation } = story.pair;
  const barrierId = String(call).padStart(2, "0");
  const rowOf = (op: string) => story.rows.find((row) => row.op === op && row.barrierId === barrierId);
  const originRow = rowOf(origin);
  const compensationRow = rowOf(compensation);
  if (compensationRow !== undefined) expect(originRow, "P5: no compensation row without its origin's").toBeDefined();
  if (originRow === undefined) return;
  expect([origin, compensation], "P5: the origin's row was inserted by one of the two").toContain(originRow.reason);
  const suspended = compensationRow !== undefined && undone === 0;
  expect(originRow.reason === compensation, "P5: reason names the compensation if and only if it was null").toBe(
    suspended,
  );
}
