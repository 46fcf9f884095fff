/**
 * Figures of several engines as those of one node.
 */
import type { EngineStats, TargetState } from "../../src/ports/targets.js";

/** Of an engine that has not reported yet. */
export const noStats: EngineStats = {
  resident: 0,
  residentBytes: 0,
  commitsQueued: 0,
  callsInFlight: 0,
  callsWaiting: 0,
  timers: 0,
  overloaded: false,
  swamped: false,
  storeUnavailableMs: undefined,
  recovering: true,
};

/** The node is in whatever trouble one of its engines is in. */
export function joinStats(all: readonly EngineStats[]): EngineStats {
  const sum = (read: (stats: EngineStats) => number) => all.reduce((total, stats) => total + read(stats), 0);
  const away = all.flatMap(({ storeUnavailableMs }) => storeUnavailableMs ?? []);
  return {
    resident: sum(({ resident }) => resident),
    residentBytes: sum(({ residentBytes }) => residentBytes),
    commitsQueued: sum(({ commitsQueued }) => commitsQueued),
    callsInFlight: sum(({ callsInFlight }) => callsInFlight),
    callsWaiting: sum(({ callsWaiting }) => callsWaiting),
    timers: sum(({ timers }) => timers),
    overloaded: all.some(({ overloaded }) => overloaded),
    swamped: all.some(({ swamped }) => swamped),
    storeUnavailableMs: away.length === 0 ? undefined : Math.max(...away),
    recovering: all.some(({ recovering }) => recovering),
  };
}

/** Worst first. */
const breakers = ["open", "probing", "closed"] as const;

/** One entry for each participant, however many engines call it: the worst that one of them knows. */
export function joinTargets(all: readonly (readonly TargetState[])[]): readonly TargetState[] {
  const joined = new Map<string, TargetState>();
  for (const one of all.flat()) {
    const known = joined.get(one.target);
    joined.set(one.target, known === undefined ? one : join(known, one));
  }
  return [...joined.values()];
}

function join(a: TargetState, b: TargetState): TargetState {
  const worse = breakers.indexOf(a.breaker) <= breakers.indexOf(b.breaker) ? a : b;
  return {
    ...worse,
    inFlight: a.inFlight + b.inFlight,
    waiting: a.waiting + b.waiting,
    unknownsInRow: Math.max(a.unknownsInRow, b.unknownsInRow),
    lastError: worse.lastError || a.lastError || b.lastError,
  };
}
