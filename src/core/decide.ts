/**
 * The heart: what an input does to a transaction. A pure function of state, input and time that returns what to record,
 * what to call and what to answer. The engine records first, then acts (architecture 3).
 *
 * An input is handled in two halves: the request or answer itself (`admit.ts`, `answer` below), then `advance`, which
 * lets the pattern go on as far as it can without waiting for anybody.
 */
import { admit } from "./admit.js";
import { type Decision, Draft, type Turn } from "./draft.js";
import type { Input, Observation } from "./input.js";
import { msg } from "./pattern/msg.js";
import type { Pattern } from "./pattern/pattern.js";
import { saga } from "./pattern/saga.js";
import { tcc, xa } from "./pattern/twophase.js";
import { workflow } from "./pattern/workflow.js";
import { callbackTries, nextTries } from "./retry.js";
import { CHECK, isFinal, retryBaseMs, type Transaction, type TransType, type Tries } from "./transaction.js";

/** The only table of patterns. */
export const patterns: Readonly<Record<TransType, Pattern>> = { saga, tcc, xa, msg, workflow };

/**
 * Decides one input. Never throws for an input of valid form; the result's `tx` is the state once its events are
 * stored.
 * `calls` names every op that should be in progress then, so what is in progress but not named may be withdrawn unless
 * it is on the wire already.
 */
export function decide(tx: Transaction | undefined, input: Input, turn: Turn): Decision {
  const draft = new Draft(tx, turn);
  const observed = input.kind === "answered" || input.kind === "woke";
  if (!observed) draft.reply = admit(draft, input, patterns);
  else if (draft.tx !== undefined && input.kind === "answered") answer(draft, draft.tx, input);
  if (draft.tx !== undefined) advance(draft);
  return draft.done();
}

/** Ops that count in a status; an answer for another op came too late and changes nothing (reliability 5.7). */
const phases: Readonly<Record<TransType, Partial<Record<Transaction["status"], string>>>> = {
  saga: { submitted: "action", aborting: "compensate" },
  tcc: { submitted: "confirm", aborting: "cancel" },
  xa: { submitted: "commit", aborting: "rollback" },
  msg: { submitted: "action" },
  workflow: {},
};

/** Whether an answer for this op (or CHECK) still counts in the present status. */
export function expects(tx: Transaction, index: number): boolean {
  if (index === CHECK) return tx.status === "prepared";
  const op = tx.ops[index];
  return op !== undefined && op.status === "prepared" && op.op === phases[tx.type][tx.status];
}

/**
 * The op whose call must be off the wire before `index` may be called: a compensation waits for its own action, else it
 * could be overtaken by it at a participant without a barrier. `undefined` when there is none.
 */
export function waitsFor(tx: Transaction, index: number): number | undefined {
  return tx.type === "saga" && tx.ops[index]?.op === "compensate" ? index + 1 : undefined;
}

function answer(draft: Draft, tx: Transaction, input: Extract<Observation, { kind: "answered" }>): void {
  if (!expects(tx, input.op)) return;
  const { nowMs, jitter, alertAfter, parkAfter } = draft.turn;
  const settled = patterns[tx.type].answered(tx, input.op, input.outcome, input.detail, nowMs);
  if (settled !== undefined) {
    for (const event of settled) draft.record(event);
    return;
  }
  const refusal = input.outcome === "failure" && input.op !== CHECK;
  const baseMs = retryBaseMs(tx);
  const stored = input.op === CHECK ? tx.check : tx.ops[input.op]!.tries;
  const calledBack = tx.type === "workflow" && input.outcome !== "ongoing";
  const before = calledBack ? callbackTries(stored, baseMs) : stored;
  const tries = nextTries(before, { ...input, refusal }, baseMs, nowMs, jitter);
  draft.record({ kind: "retried", atMs: nowMs, op: input.op, tries });
  if (input.outcome === "ongoing") return;
  if (tries.unknowns >= alertAfter) draft.alerts.push({ op: input.op, tries });
  if (parkAfter === 0 || tries.unknowns < parkAfter || tx.parked !== undefined) return;
  const reason = `${tries.unknowns} tries without a clear answer, limit ParkAfter ${parkAfter}`;
  draft.record({ kind: "parked", atMs: nowMs, parked: { sinceMs: nowMs, by: "server", reason } });
}

/** Lets the pattern go on until it has to wait; every round but the last records something, so it ends. */
function advance(draft: Draft): void {
  for (;;) {
    const tx = draft.tx!;
    if (isFinal(tx) || tx.parked !== undefined) return;
    const { nowMs } = draft.turn;
    const pattern = patterns[tx.type];
    const next = pattern.next(tx, nowMs);
    if (next.kind === "record") {
      draft.record(next.event);
      continue;
    }
    const deadline = pattern.deadline(tx);
    if (deadline !== undefined && deadline.atMs <= nowMs) {
      draft.record(deadline.event(nowMs));
      continue;
    }
    draft.wakeAt(deadline?.atMs);
    if (next.kind === "call" && settleEmpty(draft, tx, next.ops)) continue;
    if (next.kind === "rest") draft.wakeAt(next.untilMs);
    else call(draft, tx, next.ops);
    return;
  }
}

/** Ops without URL have nothing to call and succeed (S-BR-1). */
function settleEmpty(draft: Draft, tx: Transaction, ops: readonly number[]): boolean {
  const empty = ops.filter((op) => op !== CHECK && tx.ops[op]!.url === "");
  for (const op of empty) draft.record({ kind: "settled", atMs: draft.turn.nowMs, op, status: "succeed" });
  return empty.length > 0;
}

function call(draft: Draft, tx: Transaction, ops: readonly number[]): void {
  const { nowMs } = draft.turn;
  const triesOf = (op: number): Tries | undefined => (op === CHECK ? tx.check : tx.ops[op]!.tries);
  const startedAt = (op: number) => (op === CHECK ? tx.checkStartedAtMs : tx.ops[op]!.startedAtMs);
  const dueAtMs = (op: number) => triesOf(op)?.nextAtMs ?? 0;
  const due = ops.filter((op) => dueAtMs(op) <= nowMs);
  for (const op of ops) if (dueAtMs(op) > nowMs) draft.wakeAt(dueAtMs(op));
  const fresh = due.filter((op) => startedAt(op) === undefined);
  if (fresh.length > 0) draft.record({ kind: "started", atMs: nowMs, ops: fresh });
  draft.calls = due;
}
