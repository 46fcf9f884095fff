/**
 * Saga: actions forward; after a refusal, a timeout or too many retries, compensations backward.
 * Two ops per step: compensate at 2i, action at 2i+1. A step is compensated when its action may have been sent,
 * so also the step that refused (S-SAGA-5); the barrier makes a compensation without action empty.
 */
import type { Event, NewOp } from "../event.js";
import type { Submission } from "../input.js";
import type { Outcome, Transaction } from "../transaction.js";
import {
  branchIdOf,
  failureText,
  finish,
  finished,
  memberOf,
  type Next,
  type Pattern,
  rest,
  timeoutMs,
  timeoutReason,
} from "./pattern.js";

/** How the steps of a saga wait for one another. */
export interface SagaOrder {
  /** All steps start at once, but for those with predecessors. */
  readonly concurrent: boolean;
  /** Step → steps that must have succeeded before it; 0-based. */
  readonly orders: ReadonlyMap<number, readonly number[]>;
}

const sequential: SagaOrder = { concurrent: false, orders: new Map() };

/** Reads `custom_data` of a saga: `{"concurrent":true,"orders":{"2":[0,1]}}`. @throws on text that is not JSON. */
export function readOrder(customData: string): SagaOrder {
  if (customData === "") return sequential;
  const data: unknown = JSON.parse(customData);
  if (data === null || typeof data !== "object") return sequential;
  const named = (memberOf(data, "orders") ?? {}) as Record<string, number[] | null>;
  const orders = Object.entries(named).map(([step, before]) => [Number(step), before ?? []] as const);
  return { concurrent: memberOf(data, "concurrent") === true, orders: new Map(orders) };
}

/** A step that can never start because it waits for itself in the end, or `undefined`. Needs existing steps. */
export function findCycle(steps: number, order: SagaOrder): number | undefined {
  const waitsFor = Array.from({ length: steps }, (_, step) => new Set(predecessors(order, step)));
  const followers = Array.from({ length: steps }, (): number[] => []);
  waitsFor.forEach((before, step) => {
    for (const one of before) followers[one]!.push(step);
  });
  const ready = waitsFor.flatMap((before, step) => (before.size === 0 ? [step] : []));
  for (let step = ready.pop(); step !== undefined; step = ready.pop())
    for (const follower of followers[step]!) {
      waitsFor[follower]!.delete(step);
      if (waitsFor[follower]!.size === 0) ready.push(follower);
    }
  const stuck = waitsFor.findIndex((before) => before.size > 0);
  return stuck < 0 ? undefined : stuck;
}

function predecessors(order: SagaOrder, step: number): readonly number[] {
  const named = order.orders.get(step) ?? [];
  return order.concurrent || step === 0 ? named : [...named, step - 1];
}

function plan(submission: Submission): readonly NewOp[] {
  return submission.steps.flatMap(({ action, compensate, payload, headers, requestTimeoutS }, step) => {
    const branchId = branchIdOf(step);
    const planned = (op: string, url: string): NewOp => {
      return { branchId, op, url, payload, headers, requestTimeoutS, status: "prepared" };
    };
    return [planned("compensate", compensate), planned("action", action)];
  });
}

function next(tx: Transaction, nowMs: number): Next {
  if (tx.status === "submitted") return forward(tx, nowMs);
  if (tx.status === "aborting") return backward(tx, nowMs);
  return rest;
}

function forward(tx: Transaction, nowMs: number): Next {
  const order = readOrder(tx.customData);
  const ops: number[] = [];
  let open = false;
  for (let step = 0; step < tx.ops.length / 2; step++) {
    if (succeeded(tx, step)) continue;
    open = true;
    if (predecessors(order, step).every((before) => succeeded(tx, before) || !exists(tx, before)))
      ops.push(actionOf(step));
    if (!order.concurrent) break;
  }
  return open ? { kind: "call", ops } : finish("succeed", nowMs);
}

function backward(tx: Transaction, nowMs: number): Next {
  const order = readOrder(tx.customData);
  const left = new Set<number>();
  for (let step = 0; step < tx.ops.length / 2; step++) if (mustUndo(tx, step)) left.add(step);
  if (left.size === 0) return finish("failed", nowMs);
  if (!order.concurrent) return { kind: "call", ops: [2 * Math.max(...left)] };
  const held = new Set([...left].flatMap((step) => predecessors(order, step)));
  return { kind: "call", ops: [...left].filter((step) => !held.has(step)).map((step) => 2 * step) };
}

function actionOf(step: number): number {
  return 2 * step + 1;
}

/** The submit's custom data may name more steps than the prepare brought, whose steps count (S-HTTP-35). */
function exists(tx: Transaction, step: number): boolean {
  return actionOf(step) in tx.ops;
}

function succeeded(tx: Transaction, step: number): boolean {
  return tx.ops[actionOf(step)]?.status === "succeed";
}

function mustUndo(tx: Transaction, step: number): boolean {
  const action = tx.ops[actionOf(step)]!;
  const maybeSent = action.startedAtMs !== undefined || action.status !== "prepared";
  return maybeSent && tx.ops[2 * step]!.status === "prepared";
}

function answered(
  tx: Transaction,
  index: number,
  outcome: Outcome,
  detail: string,
  atMs: number,
): readonly Event[] | undefined {
  const op = tx.ops[index]!;
  if (outcome === "success") return [{ kind: "settled", atMs, op: index, status: "succeed" }];
  if (op.op !== "action" || outcome === "ongoing") return undefined;
  if (outcome === "failure") {
    const reason = failureText(`url:${op.url} return failed: ${detail}`);
    return [
      { kind: "settled", atMs, op: index, status: "failed" },
      { kind: "aborting", atMs, reason, byClient: false },
    ];
  }
  const limit = tx.options.retryLimit ?? 0;
  const unknowns = tx.ops.reduce(
    (sum, { op: name, tries }) => sum + (name === "action" ? (tries?.unknowns ?? 0) : 0),
    1,
  );
  if (limit === 0 || unknowns <= limit) return undefined;
  const reason = `RetryCount is greater than RetryLimit, RetryLimit: ${limit}`;
  return [{ kind: "aborting", atMs, reason, byClient: false }];
}

/** A submitted saga has no time limit unless it asks for one; a prepared one ends at the server's default (S-BUG-9). */
function deadline(tx: Transaction): ReturnType<Pattern["deadline"]> {
  const reason = timeoutReason(tx);
  const atMs = tx.createdAtMs + timeoutMs(tx);
  if (tx.status === "prepared") return { atMs, event: (nowMs) => finished("failed", nowMs, reason) };
  if (tx.status !== "submitted" || tx.options.timeoutToFailS === undefined) return undefined;
  return { atMs, event: (nowMs) => ({ kind: "aborting", atMs: nowMs, reason, byClient: false }) };
}

export const saga: Pattern = { plan, next, answered, deadline };
