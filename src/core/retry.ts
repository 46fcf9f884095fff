/**
 * The retry schedule (D7): first retry after one interval, then doubling, capped, each time with jitter.
 * `ongoing` keeps the interval. Source of the shape: DTM's clients expect doubling in `next_cron_interval`; the cap is
 * ours, so that a branch that was down for a night is found again within minutes.
 */
import { shortened } from "./pattern/pattern.js";
import type { Outcome, Tries } from "./transaction.js";

/** Longest wait between two tries, unless the transaction asked for a longer interval. */
export const retryCapMs = 5 * 60_000;

/**
 * Where a workflow's callbacks begin: one interval has passed before the first of them already, so the wait after it is
 * the doubled one (D10).
 */
export function callbackTries(before: Tries | undefined, baseMs: number): Tries {
  const tries = before ?? { attempts: 0, unknowns: 0, refusals: 0, intervalMs: 0, nextAtMs: 0, lastError: "" };
  return tries.intervalMs === 0 ? { ...tries, intervalMs: doubled(baseMs, baseMs) } : tries;
}

function doubled(intervalMs: number, baseMs: number): number {
  return Math.min(intervalMs * 2, Math.max(retryCapMs, baseMs));
}

/** Totals after one more answer that settled nothing. `jitter` is uniform in [0, 1) and becomes a factor 0.8–1.2. */
export function nextTries(
  before: Tries | undefined,
  answer: { readonly outcome: Outcome; readonly detail: string; readonly refusal: boolean },
  baseMs: number,
  nowMs: number,
  jitter: number,
): Tries {
  const intervalMs = before === undefined || before.intervalMs === 0 ? baseMs : before.intervalMs;
  const grows = answer.outcome !== "ongoing";
  const waitMs = Math.round(intervalMs * (0.8 + 0.4 * jitter));
  return {
    attempts: (before?.attempts ?? 0) + 1,
    unknowns: (before?.unknowns ?? 0) + (grows ? 1 : 0),
    refusals: (before?.refusals ?? 0) + (answer.refusal ? 1 : 0),
    intervalMs: grows ? doubled(intervalMs, baseMs) : intervalMs,
    nextAtMs: nowMs + waitMs,
    lastError: shortened(answer.detail),
  };
}
