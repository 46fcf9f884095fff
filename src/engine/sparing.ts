/**
 * Lines of the log for troubles that thousands of transactions meet at once: the first of each second is written, with
 * how many there have been so far.
 */
import type { Clock } from "../ports/clock.js";
import type { Log } from "../ports/observer.js";

/** Between two lines, milliseconds. */
const betweenMs = 1000;

/** Writes lines of one event, at most one a second. */
export function sparing(
  log: Log,
  clock: Pick<Clock, "monotonicMs">,
  event: string,
): (fields: Readonly<Record<string, unknown>>) => void {
  let saidMs = Number.NEGATIVE_INFINITY;
  let soFar = 0;
  return (fields) => {
    soFar++;
    const nowMs = clock.monotonicMs();
    if (nowMs - saidMs < betweenMs) return;
    saidMs = nowMs;
    log.warn(event, { ...fields, soFar });
  };
}
