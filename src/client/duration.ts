// Durations as people write them: a number of milliseconds, or text such as "250ms", "30s", "10m", "2h", "7d".
// The wire counts whole seconds; a fraction is rounded up, so that nothing ever waits shorter than asked.

import { invalidInput } from "./errors.js";

/** Milliseconds, or a number with a unit. */
export type Duration = number | `${number}${"ms" | "s" | "m" | "h" | "d"}`;

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Milliseconds of a duration; rejects negative, infinite and unreadable ones with DTX_INVALID_INPUT. */
export function toMs(duration: Duration): number {
  const match = typeof duration === "number" ? undefined : /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(duration);
  const ms = match ? Number(match[1]) * unitMs[match[2] as keyof typeof unitMs] : duration;
  if (typeof ms === "number" && Number.isFinite(ms) && ms >= 0) return ms;
  throw invalidInput(`not a duration: ${JSON.stringify(duration)}`, {
    hint: 'write milliseconds (1500) or a number with a unit ("30s", "10m", "2h", "7d")',
  });
}

/** Whole seconds for the wire, rounded up; 0 stays 0. */
export function toSeconds(duration: Duration): number {
  return Math.ceil(toMs(duration) / 1_000);
}
