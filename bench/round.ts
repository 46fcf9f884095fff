// One round of the closed loop: each client sends a transaction, waits until its last call was seen, sends the next.
// Guarantees that every acknowledged transaction is accounted for: completed, or counted as lost after the drain.
import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { monotonicUs } from "./clock.js";
import { cpuSeconds } from "./cpu.js";
import type { Participants } from "./participants.js";
import type { Pattern } from "./patterns.js";
import { openTransport } from "./transports/transport.js";

/** A coordinator under test. `pids` are the processes whose CPU counts as its own (with their descendants). */
export interface Target {
  readonly name: string;
  /** One for each node; the clients are dealt out to them. */
  readonly addresses: readonly string[];
  readonly pids: readonly number[];
  /** Commits of its database so far, where somebody counts them. */
  commits?(): Promise<number>;
}

/** What one round is to do. The window of `seconds` begins after `warmupSeconds` under the same load. */
export interface RoundPlan {
  readonly target: Target;
  readonly pattern: Pattern;
  readonly clients: number;
  readonly warmupSeconds: number;
  readonly seconds: number;
  readonly drainSeconds: number;
  /** Makes indices, and so gids, unique over all rounds of a run. */
  readonly nextIndex: () => number;
}

/**
 * What one round showed. Rates and times are of the window; acknowledged, completed, lost and errors of the whole
 * round.
 */
export interface Round {
  readonly target: string;
  readonly pattern: Pattern;
  readonly clients: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** `undefined` when no process was named for the target. */
  readonly cpuMsEach: number | undefined;
  readonly commitsEach: number | undefined;
  readonly acknowledged: number;
  readonly completed: number;
  readonly lost: number;
  readonly errors: number;
  /** Of its transactions, in order to tell whose a call is that comes when another round runs. */
  readonly indices: readonly [from: number, to: number];
  readonly firstError: string | undefined;
}

interface Completion {
  readonly startedUs: number;
  readonly atUs: number;
}

/** Transactions on their way, and those that came to their end. */
class Tracker {
  readonly completions: Completion[] = [];
  readonly #open = new Map<number, { readonly startedUs: number; readonly resolve: () => void }>();

  /** Resolves when the transaction's last call was seen. To be called before its first request. */
  expect(index: number): Promise<void> {
    return new Promise((resolve) => this.#open.set(index, { startedUs: monotonicUs(), resolve }));
  }

  complete(index: number, atUs: number): void {
    const open = this.#open.get(index);
    if (open === undefined) return;
    this.#open.delete(index);
    this.completions.push({ startedUs: open.startedUs, atUs });
    open.resolve();
  }

  /** Stops expecting it; false when it has completed. */
  forget(index: number): boolean {
    return this.#open.delete(index);
  }
}

interface Counts {
  acknowledged: number;
  errors: number;
  firstError: string | undefined;
  stopped: boolean;
  /** Acknowledged and not seen to complete yet. */
  readonly pending: Set<number>;
}

/** Runs one round. Rejects when a client can't be made; whatever the coordinator does is a figure in the result. */
export async function runRound(plan: RoundPlan, participants: Participants): Promise<Round> {
  const tracker = new Tracker();
  const counts: Counts = { acknowledged: 0, errors: 0, firstError: undefined, stopped: false, pending: new Set() };
  const firstIndex = plan.nextIndex();
  participants.listen((index, atUs) => tracker.complete(index, atUs));
  const { addresses } = plan.target;
  const loops = Array.from({ length: plan.clients }, (_, n) =>
    clientLoop(plan, addresses[n % addresses.length]!, participants.port, tracker, counts),
  );
  await delay(plan.warmupSeconds * 1_000);
  const commitsBefore = await plan.target.commits?.();
  const [fromUs, cpuBefore] = [monotonicUs(), cpuSeconds(plan.target.pids)];
  await delay(plan.seconds * 1_000);
  const [toUs, cpuAfter] = [monotonicUs(), cpuSeconds(plan.target.pids)];
  const commitsAfter = await plan.target.commits?.();
  counts.stopped = true;
  await Promise.race([Promise.all(loops), delay(plan.drainSeconds * 1_000, undefined, { ref: false })]);
  const inWindow = tracker.completions.filter(({ atUs }) => atUs >= fromUs && atUs < toUs);
  const latencies = Float64Array.from(inWindow, ({ startedUs, atUs }) => (atUs - startedUs) / 1_000).sort();
  const each = (before: number | undefined, after: number | undefined) =>
    before === undefined || after === undefined || inWindow.length === 0
      ? undefined
      : (after - before) / inWindow.length;
  const cpuEach = each(cpuBefore, cpuAfter);
  return {
    target: plan.target.name,
    pattern: plan.pattern,
    clients: plan.clients,
    perSecond: inWindow.length / ((toUs - fromUs) / 1e6),
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
    cpuMsEach: cpuEach === undefined ? undefined : cpuEach * 1_000,
    commitsEach: each(commitsBefore, commitsAfter),
    acknowledged: counts.acknowledged,
    completed: counts.acknowledged - counts.pending.size,
    lost: counts.pending.size,
    errors: counts.errors,
    indices: [firstIndex, plan.nextIndex()],
    firstError: counts.firstError,
  };
}

/**
 * A transaction that was not acknowledged is an error, and not waited for; after an error the client pauses a moment.
 */
async function clientLoop(
  plan: RoundPlan,
  address: string,
  port: number,
  tracker: Tracker,
  counts: Counts,
): Promise<void> {
  const initiator = await openTransport(address, plan.pattern, port);
  while (!counts.stopped) {
    const index = plan.nextIndex();
    const completed = tracker.expect(index);
    const problem = await initiator.run(`${randomBytes(12).toString("hex")}-${index}`);
    if (problem === undefined) {
      counts.acknowledged++;
      counts.pending.add(index);
      await completed;
      counts.pending.delete(index);
    } else {
      counts.errors++;
      counts.firstError ??= problem;
      tracker.forget(index);
      await delay(100);
    }
  }
  initiator.close();
}

function quantile(sorted: Float64Array, q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}
