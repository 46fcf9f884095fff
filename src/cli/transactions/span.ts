/** Lengths of time for people. */

const units: readonly (readonly [string, number])[] = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
  ["s", 1000],
];

/** Two digits at least, one unit: `420 ms`, `12 s`, `90 min`, `3 d`. A negative length counts as none. */
export function span(ms: number): string {
  const length = Math.max(0, ms);
  const unit = units.find(([, size]) => length >= 2 * size) ?? (length >= 1000 ? units.at(-1) : undefined);
  return unit === undefined ? `${Math.round(length)} ms` : `${Math.round(length / unit[1])} ${unit[0]}`;
}
