/**
 * The invariants of the reliability spec as checks of a trace. Written against the protocol notes (tables 9.1–9.6), not
 * against the code: each returns what is wrong, in words, and counts how often it had anything to look at.
 */
import { isDeepStrictEqual } from "node:util";
import { decide } from "../../src/core/decide.js";
import { CHECK, isFinal, type Status, type Transaction, type TransType } from "../../src/core/transaction.js";
import type { Driver, Trace } from "./driver.js";

/** Findings of one check over one trace. */
export interface Findings {
  readonly wrong: readonly string[];
  /** How many situations it judged; a property that judged none has proven nothing. */
  readonly judged: number;
}

type Decided = Extract<Trace, { kind: "decided" }>;
type Called = Extract<Trace, { kind: "called" }>;

function collect(judge: (wrong: (text: string) => void, seen: () => void) => void): Findings {
  const wrong: string[] = [];
  let judged = 0;
  judge(
    (text) => wrong.push(text),
    () => {
      judged += 1;
    },
  );
  return { wrong, judged };
}

function decisions(driver: Driver): readonly Decided[] {
  return driver.trace.filter((entry) => entry.kind === "decided");
}

function calls(driver: Driver): readonly Called[] {
  return driver.trace.filter((entry) => entry.kind === "called");
}

/** S3: the version goes up by at most one per decision and never down; a final status never changes. */
export function s3Monotone(driver: Driver): Findings {
  return collect((wrong, seen) => {
    for (const { before, decision } of decisions(driver)) {
      if (before === undefined || decision.tx === undefined) continue;
      seen();
      const grown = decision.tx.version - before.version;
      if (grown !== 0 && grown !== 1) wrong(`version ${before.version} became ${decision.tx.version}`);
      if (isFinal(before) && decision.tx.status !== before.status)
        wrong(`${before.status} became ${decision.tx.status}`);
      if (decision.tx.updatedAtMs < before.updatedAtMs) wrong("recorded time ran backwards");
    }
  });
}

const edges: Readonly<Record<TransType, Partial<Record<Status, readonly Status[]>>>> = {
  saga: { prepared: ["submitted", "failed"], submitted: ["aborting", "succeed", "failed"], aborting: ["failed"] },
  tcc: { prepared: ["submitted", "aborting", "failed"], submitted: ["succeed", "failed"], aborting: ["failed"] },
  xa: { prepared: ["submitted", "aborting", "failed"], submitted: ["succeed", "failed"], aborting: ["failed"] },
  msg: { prepared: ["submitted", "failed"], submitted: ["succeed", "failed"] },
  workflow: { prepared: ["succeed", "failed"] },
};

/** S4: every change of status is an edge of the state machine of its type. */
export function s4LegalStep(driver: Driver): Findings {
  return collect((wrong, seen) => {
    for (const { before, decision } of decisions(driver)) {
      let status = before?.status;
      for (const event of decision.events) {
        const next = statusAfter(event);
        if (next === undefined || status === undefined) {
          status = next ?? status;
          continue;
        }
        seen();
        const { type } = decision.tx!;
        if (!edges[type][status]?.includes(next)) wrong(`${type}: ${status} -> ${next} by '${event.kind}'`);
        status = next;
      }
      if (decision.tx !== undefined && status !== decision.tx.status)
        wrong(`status ${decision.tx.status} without event`);
    }
  });
}

function statusAfter(event: Decided["decision"]["events"][number]): Status | undefined {
  if (event.kind === "created" || event.kind === "finished") return event.status;
  if (event.kind === "submitted" || event.kind === "aborting") return event.kind;
  return undefined;
}

/**
 * S5: the intent of a call is durable before it; what was ever sent is compensated when the transaction fails by
 * itself.
 */
export function s5NoOrphan(driver: Driver): Findings {
  return collect((wrong, seen) => {
    for (const { call, durable } of calls(driver)) {
      const startedAtMs = call.op === CHECK ? durable.checkStartedAtMs : durable.ops[call.op]?.startedAtMs;
      if (startedAtMs === undefined) wrong(`${call.name} was called before its intent was durable`);
    }
    const tx = driver.tx;
    if (tx?.status !== "failed" || wasForced(driver)) return;
    if (tx.type === "saga")
      for (const { call } of calls(driver)) {
        if (tx.ops[call.op]?.op !== "action") continue;
        seen();
        const undo = tx.ops[call.op - 1]!;
        if (undo.status !== "succeed") wrong(`${call.name} was sent, its compensation is '${undo.status}'`);
      }
    if (tx.type === "tcc" || tx.type === "xa")
      for (const op of tx.ops.filter(({ op: word }) => word === "cancel" || word === "rollback")) {
        seen();
        if (op.status !== "succeed") wrong(`${op.op} ${op.branchId} is '${op.status}' at the end`);
      }
  });
}

function wasForced(driver: Driver): boolean {
  return decisions(driver).some(({ input, lost }) => !lost && input.kind === "forceStop");
}

/** S6: `succeed` only with a durable success of every branch. */
export function s6NoHole(driver: Driver): Findings {
  return collect((wrong, seen) => {
    const tx = driver.tx;
    if (tx?.status !== "succeed" || tx.type === "workflow") return;
    const words = ["action", "confirm", "commit"];
    for (const op of tx.ops.filter(({ op: word }) => words.includes(word))) {
      seen();
      if (op.status !== "succeed") wrong(`${op.op} ${op.branchId} is '${op.status}' in a succeeded ${tx.type}`);
    }
  });
}

interface Order {
  readonly concurrent: boolean;
  readonly before: (step: number) => readonly number[];
}

function orderOf(tx: Transaction): Order {
  const data = JSON.parse(tx.customData || "{}") as { concurrent?: boolean; orders?: Record<string, number[]> };
  return { concurrent: data.concurrent === true, before: (step) => data.orders?.[step] ?? [] };
}

/** S7 and S-SAGA-2: actions wait for their predecessors, compensations for those who came after. */
export function s7Order(driver: Driver): Findings {
  return collect((wrong, seen) => {
    for (const { call, durable } of calls(driver)) {
      if (durable.type !== "saga") continue;
      const order = orderOf(durable);
      const step = Math.floor(call.op / 2);
      const steps = Array.from({ length: durable.ops.length / 2 }, (_, i) => i);
      const waitsFor = (later: number, earlier: number) =>
        order.before(later).includes(earlier) || (!order.concurrent && earlier < later);
      for (const other of steps) {
        const action = durable.ops[2 * other + 1]!;
        const undo = durable.ops[2 * other]!;
        if (call.op % 2 === 1 && waitsFor(step, other)) {
          seen();
          if (action.status !== "succeed") wrong(`${call.name} before action ${action.branchId}`);
        }
        if (call.op % 2 === 0 && waitsFor(other, step) && action.startedAtMs !== undefined) {
          seen();
          if (undo.status !== "succeed") wrong(`${call.name} before compensate ${undo.branchId}`);
        }
      }
    }
  });
}

/** S8: no call starts once the final status is durable, and no decision on a final transaction asks for one. */
export function s8NoCallAfterFinal(driver: Driver): Findings {
  return collect((wrong, seen) => {
    for (const { call, durable } of calls(driver))
      if (isFinal(durable)) wrong(`${call.name} after '${durable.status}'`);
    for (const { decision } of decisions(driver)) {
      if (decision.tx === undefined || !isFinal(decision.tx)) continue;
      seen();
      if (decision.calls.length > 0) wrong(`calls ${decision.calls} of a transaction that is '${decision.tx.status}'`);
      if (decision.wakeAtMs !== undefined) wrong(`a transaction that is '${decision.tx.status}' wants to be woken`);
    }
  });
}

/**
 * S9: a submit with the recorded digest does nothing and is answered by the state; one with another digest, or of
 * another
 * type, is refused and does nothing. "Nothing" is what a mere look at the same instant would have done.
 */
export function s9IdempotentSubmit(driver: Driver): Findings {
  return collect((wrong, seen) => {
    for (const { input, before, decision } of decisions(driver)) {
      if (input.kind !== "submit" || before === undefined) continue;
      const { digest, type } = input.submission;
      if (type === before.type && before.digest === undefined) continue;
      seen();
      const look = decide(before, { kind: "woke" }, { ...driver.turn(), nowMs: lookAtMs(driver, decision, before) });
      if (!isDeepStrictEqual(look.events, decision.events)) wrong(`a repeated submit recorded ${names(decision)}`);
      const same = type === before.type && digest === before.digest;
      const alive = before.status !== "aborting" && before.status !== "failed";
      const refused = decision.reply?.kind === "refused";
      if (refused !== !(same && alive)) wrong(`submit of '${before.status}', same ${same}: ${decision.reply?.kind}`);
    }
  });
}

function lookAtMs(driver: Driver, decision: Decided["decision"], before: Transaction): number {
  const entry = decisions(driver).find((candidate) => candidate.decision === decision)!;
  return Math.max(entry.atMs, before.updatedAtMs);
}

function names(decision: Decided["decision"]): string {
  return decision.events.map(({ kind }) => kind).join(", ");
}
