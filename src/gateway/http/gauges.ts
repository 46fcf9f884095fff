/**
 * Gauges, read when metrics are asked for. What is dear to count is counted at most once in a while.
 */
import type { Clock } from "../../ports/clock.js";
import type { Meters } from "../../ports/meters.js";
import type { Store } from "../../ports/store.js";
import type { EngineStats, Targets } from "../../ports/targets.js";

/** Where the gauges read what they show. */
export interface GaugeDeps {
  readonly metrics: Meters;
  readonly clock: Clock;
  readonly store: Pick<Store, "count" | "oldestUnfinished">;
  readonly stats: () => EngineStats;
  readonly targets: Targets;
}

/** Between two looks into the store. */
const countEveryMs = 10_000;

/** Targets whose breaker is shown, open ones first. */
const breakersMax = 500;

/** Registers all of them. */
export function registerGauges({ metrics, clock, store, stats, targets }: GaugeDeps): void {
  const one = (name: string, help: string, read: (stats: EngineStats) => number) =>
    metrics.gauge(name, help, [], () => [[{}, read(stats())]]);
  one("tandem_resident_transactions", "Transactions in memory", (now) => now.resident);
  one("tandem_resident_bytes", "Bytes of clients that transactions in memory hold", (now) => now.residentBytes);
  one("tandem_commit_queue_length", "Transitions that wait for a flush", (now) => now.commitsQueued);
  one("tandem_calls_in_flight", "Calls on the wire", (now) => now.callsInFlight);
  one("tandem_calls_waiting", "Calls held back by breakers and limits", (now) => now.callsWaiting);
  one("tandem_timers", "Wake times in memory", (now) => now.timers);
  one("tandem_overloaded", "1 while new transactions are refused", (now) => Number(now.overloaded));
  one("tandem_store_unavailable_seconds", "Since the store took a write; 0 while it takes them", (now) =>
    now.storeUnavailableMs === undefined ? 0 : now.storeUnavailableMs / 1000,
  );
  const counts = atMostEvery(countEveryMs, clock, () => store.count());
  metrics.gauge("tandem_transactions", "Stored transactions", ["type", "status"], async () =>
    (await counts()).map(({ type, status, transactions }) => [{ type, status }, transactions]),
  );
  const oldest = atMostEvery(countEveryMs, clock, () => store.oldestUnfinished());
  metrics.gauge("tandem_oldest_unfinished_seconds", "Age of the oldest unfinished transaction", [], async () => {
    const head = await oldest();
    return [[{}, head === undefined ? 0 : Math.max(0, clock.nowMs() - head.createdAtMs) / 1000]];
  });
  metrics.gauge("tandem_breaker_open", "1 while the breaker of a target is open or probing", ["target"], async () =>
    (await targets.list())
      .map(({ target, breaker }) => [{ target }, Number(breaker !== "closed")] as const)
      .sort(([, a], [, b]) => b - a)
      .slice(0, breakersMax),
  );
}

/** The last value while it is young, else a new one; a read that failed is made again at the next call. */
function atMostEvery<T>(everyMs: number, clock: Clock, read: () => Promise<T>): () => Promise<T> {
  let last: { readonly atMs: number; readonly value: Promise<T> } | undefined;
  return () => {
    const nowMs = clock.monotonicMs();
    if (last !== undefined && nowMs - last.atMs < everyMs) return last.value;
    const value = read();
    last = { atMs: nowMs, value };
    value.catch(() => {
      last = undefined;
    });
    return value;
  };
}
