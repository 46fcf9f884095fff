/**
 * A clock that follows the store's: all nodes mean the same moment by a stored wake time, whatever their own wall
 * clocks say or jump to. Between two looks at the store the monotonic clock carries it on. Never runs backwards.
 */
import type { Clock } from "../src/ports/clock.js";

/** See the file's head. */
export interface StoreClock extends Clock {
  /** The store said `storeNowMs` in answer to what was sent at `sentMs`, monotonic. */
  anchor(storeNowMs: number, sentMs: number): void;
  /** How far the store's time is ahead of the monotonic clock; `undefined` before the first anchor. */
  readonly aheadMs: number | undefined;
}

/** Deviations up to this are left alone: an answer tells the time no better. */
const toleranceMs = 50;

/** `base` with the wall time that its monotonic time is `aheadMs()` behind of; its own while that is undefined. */
export function shiftedClock(base: Clock, aheadMs: () => number | undefined): Clock {
  let lastMs = Number.NEGATIVE_INFINITY;
  return {
    nowMs() {
      const byMs = aheadMs();
      if (byMs === undefined) return base.nowMs();
      lastMs = Math.max(lastMs, Math.floor(base.monotonicMs() + byMs));
      return lastMs;
    },
    monotonicMs: () => base.monotonicMs(),
    after: (delayMs, task) => base.after(delayMs, task),
  };
}

/** Follows `base` until the first anchor. */
export function storeClock(base: Clock): StoreClock {
  let aheadMs: number | undefined;
  return {
    ...shiftedClock(base, () => aheadMs),
    get aheadMs() {
      return aheadMs;
    },
    anchor(storeNowMs, sentMs) {
      const halfWayMs = (base.monotonicMs() - sentMs) / 2;
      const measuredMs = storeNowMs - sentMs - halfWayMs;
      if (aheadMs === undefined || Math.abs(measuredMs - aheadMs) > toleranceMs + halfWayMs) aheadMs = measuredMs;
    },
  };
}
