/**
 * A decision in the making: collects events and keeps the state that they lead to. Lives for one call of `decide`.
 */
import { type Event, retryRecordOf } from "./event.js";
import { evolve, withVersion } from "./evolve.js";
import type { Reply } from "./input.js";
import type { Topics } from "./pattern/pattern.js";
import { type Defaults, isFinal, type Status, type Transaction, type Tries } from "./transaction.js";

/** What a decision may look at besides state and input; everything that is not a function of them comes from here. */
export interface Turn {
  readonly gid: string;
  readonly nowMs: number;
  /** Uniform in [0, 1). */
  readonly jitter: number;
  /** Id for a transaction that this input creates. */
  readonly newId: number;
  /** Subscribers of the topics that this input names, read in this turn; only needed where it creates something. */
  readonly topics: Topics;
  readonly defaults: Defaults;
  /** Tries without a clear answer from which on each further one alerts (`AlertRetryLimit`). */
  readonly alertAfter: number;
  /** Tries without a clear answer after which the server parks the transaction; 0 = never (`ParkAfter`). */
  readonly parkAfter: number;
  /** Most branches of one transaction. */
  readonly branchesMax: number;
}

/** A reply that must wait until the transaction is final or rests (D1). */
export interface Held {
  readonly kind: "held";
  /** An abort has got what it wanted when the transaction is `failed`. */
  readonly of: "submit" | "abort";
  /** Longest wait; `undefined` = the server's `WaitResultTimeout`. */
  readonly sliceMs?: number;
}

/** A transaction that is stuck on a participant. */
export interface Alert {
  readonly op: number;
  readonly tries: Tries;
}

/** The statuses that may follow one another, whatever the type. */
const successors: Readonly<Record<Status, readonly Status[]>> = {
  prepared: ["submitted", "aborting", "succeed", "failed"],
  submitted: ["aborting", "succeed", "failed"],
  aborting: ["failed"],
  succeed: [],
  failed: [],
};

/** What `decide` gives back. Nothing of it may be acted upon before the events are stored. */
export interface Decision {
  /** To be stored in one commit before anything else happens; empty = nothing changed. */
  readonly events: readonly Event[];
  /** State after the events. */
  readonly tx: Transaction | undefined;
  /** `undefined` for observations. */
  readonly reply: Reply | Held | undefined;
  /** Ops (or CHECK) that should be in progress once the events are stored. */
  readonly calls: readonly number[];
  /** When the transaction wants to be woken by time alone; `undefined` = by answers and requests only. */
  readonly wakeAtMs: number | undefined;
  readonly alerts: readonly Alert[];
}

export class Draft {
  tx: Transaction | undefined;
  reply: Reply | Held | undefined;
  calls: readonly number[] = [];
  readonly alerts: Alert[] = [];
  readonly turn: Turn;
  readonly #events: Event[] = [];
  #wakeAtMs: number | undefined;

  /** @param turn `nowMs` is raised to the time of the last event, so that recorded time never runs backwards. */
  constructor(tx: Transaction | undefined, turn: Turn) {
    this.tx = tx;
    this.turn = tx !== undefined && tx.updatedAtMs > turn.nowMs ? { ...turn, nowMs: tx.updatedAtMs } : turn;
  }

  /** @throws when the event would lead to a status that must not follow the present one (S4): a bug, never a write. */
  record(event: Event): void {
    const before = this.tx?.status;
    this.tx = evolve(this.tx, event);
    if (before !== undefined && before !== this.tx.status && !successors[before].includes(this.tx.status))
      throw new Error(`gid ${this.tx.gid}: '${event.kind}' would lead from '${before}' to '${this.tx.status}'`);
    this.#events.push(event);
  }

  /** Notes a time to be woken at; the earliest counts. */
  wakeAt(atMs: number | undefined): void {
    if (atMs !== undefined) this.#wakeAtMs = Math.min(this.#wakeAtMs ?? atMs, atMs);
  }

  done(): Decision {
    const grown = this.tx !== undefined && this.#events.length > 0 && retryRecordOf(this.#events) === undefined;
    const tx = grown ? withVersion(this.tx!, this.tx!.version + 1) : this.tx;
    return {
      events: this.#events,
      tx,
      reply: this.reply?.kind === "transaction" ? { ...this.reply, transaction: tx } : this.reply,
      calls: this.calls,
      wakeAtMs: tx === undefined || isFinal(tx) || tx.parked !== undefined ? undefined : this.#wakeAtMs,
      alerts: this.alerts,
    };
  }
}
