/**
 * The real clock. Wall time is followed, but never backwards: while the wall clock is behind what was given out, time
 * stands still.
 */
import type { Cancel, Clock } from "./ports/clock.js";

/** Longest native timer (D25), milliseconds; whoever needs more looks again then. */
const longestMs = 3_600_000;

/** A clock of one process. All threads of it have the same monotonic milliseconds. */
export function systemClock(): Clock {
  let lastMs = 0;
  const startedMs = Number(process.hrtime.bigint()) / 1e6 - performance.now();
  return {
    nowMs() {
      lastMs = Math.max(lastMs, Date.now());
      return lastMs;
    },
    monotonicMs: () => startedMs + performance.now(),
    after(delayMs, task): Cancel {
      const timer = setTimeout(task, Math.min(delayMs, longestMs));
      timer.unref();
      return () => clearTimeout(timer);
    },
  };
}
