/**
 * Two-phase message: prepared before the initiator's local transaction, submitted after it, delivered to every branch.
 * When the initiator stays silent it is asked (`queryPrepared`) whether it committed. Deliveries only go forward.
 */
import type { Event, NewOp } from "../event.js";
import type { Submission } from "../input.js";
import { CHECK, type Outcome, type Transaction } from "../transaction.js";
import {
  branchIdOf,
  failureText,
  finish,
  finished,
  memberOf,
  type Next,
  type Pattern,
  rest,
  type Topics,
  timeoutMs,
  unsettled,
} from "./pattern.js";

/** Scheme of an action that names a topic instead of one URL. */
export const topicScheme = "topic://";

/** Seconds of `custom_data.delay`, its name in any case (S-BODY-9). @throws on text that is not JSON. */
export function readDelayS(customData: string): unknown {
  if (customData === "") return 0;
  const data: unknown = JSON.parse(customData);
  if (typeof data !== "object" || data === null) return 0;
  return memberOf(data, "delay") ?? 0;
}

/** A topic becomes one branch per subscriber: `01-01`, `01-02`, … or plain `01` when there is just one (S-GEN-10). */
function plan(submission: Submission, topics: Topics): readonly NewOp[] {
  return submission.steps.flatMap(({ action, payload, headers, requestTimeoutS }, step) => {
    const urls = action.startsWith(topicScheme) ? (topics.get(action.slice(topicScheme.length)) ?? []) : [action];
    const branchId = branchIdOf(step);
    return urls.map((url, i) => {
      const id = urls.length === 1 ? branchId : `${branchId}-${branchIdOf(i)}`;
      return { branchId: id, op: "action", url, payload, headers, requestTimeoutS, status: "prepared" };
    });
  });
}

function next(tx: Transaction, nowMs: number): Next {
  if (tx.status === "submitted") return deliver(tx, nowMs);
  if (tx.status !== "prepared") return rest;
  const askAtMs = tx.createdAtMs + timeoutMs(tx);
  if (nowMs < askAtMs) return { kind: "rest", untilMs: askAtMs };
  if (tx.queryPrepared === "") return { kind: "record", event: committed(nowMs) };
  return { kind: "call", ops: [CHECK] };
}

/** In order unless concurrent: a later branch waits while an earlier one is retried (D28). */
function deliver(tx: Transaction, nowMs: number): Next {
  const startAtMs = tx.createdAtMs + Number(readDelayS(tx.customData)) * 1000;
  if (nowMs < startAtMs) return { kind: "rest", untilMs: startAtMs };
  const left = unsettled(tx, "action");
  if (left.length === 0) return finish("succeed", nowMs);
  return { kind: "call", ops: tx.options.concurrent ? left : left.slice(0, 1) };
}

/** The initiator's word, by check-back, that its local transaction committed. */
function committed(atMs: number): Event {
  return { kind: "submitted", atMs, digest: undefined, options: undefined, customData: undefined };
}

function answered(
  tx: Transaction,
  op: number,
  outcome: Outcome,
  detail: string,
  atMs: number,
): readonly Event[] | undefined {
  if (op !== CHECK) return outcome === "success" ? [{ kind: "settled", atMs, op, status: "succeed" }] : undefined;
  if (outcome === "success") return [committed(atMs)];
  if (outcome === "failure")
    return [finished("failed", atMs, failureText(`url:${tx.queryPrepared} return failed: ${detail}`))];
  return undefined;
}

export const msg: Pattern = { plan, next, answered, deadline: () => undefined };
