// When a barrier row may go, and how many go at a time. Too early means that a late delivery runs a second time, so
// there is a floor.

import { type Duration, toMs, toSeconds } from "../duration.js";
import { invalidInput } from "../errors.js";

/** Rows deleted by one statement, so that none holds many locks for long. */
export const cleanBatch = 1_000;

/** Repeats a statement that deletes up to `cleanBatch` rows until it finds fewer; resolves to the number of all. */
export async function inBatches(deleteSome: () => Promise<number>): Promise<number> {
  for (let total = 0; ; ) {
    const deleted = await deleteSome();
    total += deleted;
    if (deleted < cleanBatch) return total;
  }
}

/** Seconds of an age that rows may be deleted at; less than a day is refused. */
export function olderThan(age: Duration): number {
  if (toMs(age) >= toMs("1d")) return toSeconds(age);
  throw invalidInput("barrier rows younger than a day must not be deleted", {
    hint: "a late delivery whose row is gone runs again",
  });
}
