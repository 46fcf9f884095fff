/**
 * The real clock. Wall time is followed, but never backwards: while the wall clock is behind what was given out, time
 * stands still.
 */
import type { Cancel, Clock } from "./ports/clock.js";

/** Longest native timer (D25), milliseconds; whoever needs more looks again then. */
const longestMs = 3_600_000;

/** A clock for one process; two of them know nothing of each other. */
export function systemClock(): Clock {
  let lastMs = 0;
  return {
    nowMs() {
      lastMs = Math.max(lastMs, Date.now());
      return lastMs;
    },
    monotonicMs: () => performance.now(),
    after(delayMs, task): Cancel {
      const timer = setTimeout(task, Math.min(delayMs, longestMs));
      timer.unref();
      return () => clearTimeout(timer);
    },
  };
}
