// When a barrier row may go. Too early means that a late delivery runs a second time, so there is a floor.

import { type Duration, toMs, toSeconds } from "../duration.js";
import { invalidInput } from "../errors.js";

/** Seconds of an age that rows may be deleted at; less than a day is refused. */
export function olderThan(age: Duration): number {
  if (toMs(age) >= toMs("1d")) return toSeconds(age);
  throw invalidInput("barrier rows younger than a day must not be deleted", {
    hint: "a late delivery whose row is gone runs again",
  });
}
