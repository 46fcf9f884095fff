/**
 * TCC and XA: the initiator has done the first phase itself and registered each branch with both of its endings; the
 * coordinator calls one ending of all branches, one at a time. A branch that refuses is asked again for ever.
 * TCC goes from the last registered to the first, XA from the first to the last (S-TCC-2, S-XA-2).
 */
import type { Outcome, Transaction } from "../transaction.js";
import { finish, type Next, type Pattern, rest, timeoutMs, timeoutReason, unsettled } from "./pattern.js";

/** Names of the two endings, and which branch comes first. */
interface Endings {
  readonly forward: string;
  readonly backward: string;
  pick(left: readonly number[]): number | undefined;
}

function twoPhase({ forward, backward, pick }: Endings): Pattern {
  return {
    plan: () => [],
    next(tx: Transaction, nowMs: number): Next {
      if (tx.status !== "submitted" && tx.status !== "aborting") return rest;
      const [op, end] = tx.status === "submitted" ? ([forward, "succeed"] as const) : ([backward, "failed"] as const);
      const first = pick(unsettled(tx, op));
      return first === undefined ? finish(end, nowMs) : { kind: "call", ops: [first] };
    },
    answered: (_tx, op, outcome: Outcome, _detail, atMs) =>
      outcome === "success" ? [{ kind: "settled", atMs, op, status: "succeed" }] : undefined,
    deadline(tx) {
      if (tx.status !== "prepared") return undefined;
      const reason = timeoutReason(tx);
      return {
        atMs: tx.createdAtMs + timeoutMs(tx),
        event: (nowMs) => ({ kind: "aborting", atMs: nowMs, reason, byClient: false }),
      };
    },
  };
}

/** Last registered first: a nested branch ends before the one that called it. */
export const tcc = twoPhase({ forward: "confirm", backward: "cancel", pick: (left) => left.at(-1) });

/** First registered first. */
export const xa = twoPhase({ forward: "commit", backward: "rollback", pick: (left) => left[0] });
