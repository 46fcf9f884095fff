/**
 * One actor without an engine: applies decisions, keeps the journal as a store would, and answers calls by a script in
 * virtual time. A crash drops the memory and folds the journal. Everything that happens goes into `trace`.
 *
 * It relies on the rules of `ports/store.ts` (a retry record replaces the op's earlier one, a numbered row is the
 * successor of the newest) and breaks off when a decision could not be stored under them.
 */
import { decide, waitsFor } from "../../src/core/decide.js";
import type { Decision, Held, Turn } from "../../src/core/draft.js";
import { type Event, retryRecordOf } from "../../src/core/event.js";
import { fold, type JournalRow } from "../../src/core/evolve.js";
import type { Input, Reply, Request } from "../../src/core/input.js";
import type { Topics } from "../../src/core/pattern/pattern.js";
import { CHECK, type Outcome, type Transaction } from "../../src/core/transaction.js";

/** What a participant does with a call. */
export interface Reaction {
  readonly outcome: Outcome;
  readonly detail?: string;
  /** Milliseconds until the answer; 10 when not given. */
  readonly afterMs?: number;
  /** Sent to the coordinator just before the answer: an executor reporting its end, say. */
  readonly request?: Request;
}

/** A call that was put on the wire. */
export interface PlacedCall {
  readonly op: number;
  /** Name for people: `action 01`, `msg 00`. */
  readonly name: string;
  readonly url: string;
  /** 1 for the first call of this op in this run, crashes included. */
  readonly attempt: number;
  readonly atMs: number;
}

/** Decides what a participant answers. */
export type Script = (call: PlacedCall, tx: Transaction) => Reaction;

/** What happened, in order. */
export type Trace =
  | {
      readonly kind: "decided";
      readonly atMs: number;
      readonly input: Input;
      readonly before: Transaction | undefined;
      readonly decision: Decision;
      /** A crash threw it away before it was stored. */
      readonly lost: boolean;
    }
  /** `durable` is what a fold of the journal gave at that instant. */
  | { readonly kind: "called"; readonly call: PlacedCall; readonly durable: Transaction }
  | { readonly kind: "crashed"; readonly atMs: number; readonly onTheWire: number };

/** Where the next input meets a crash. */
export type CrashPoint = "before commit" | "after commit";

/** What a driver may be told besides its script. */
export interface DriverSetup {
  readonly script: Script;
  readonly topics?: Topics;
  readonly parkAfter?: number;
  readonly branchesMax?: number;
  /** Source of jitter; 0.5 (factor 1) when not given. */
  readonly jitter?: () => number;
  /** Folds the journal at every call to see what is durable; off for long runs. */
  readonly folds?: boolean;
}

/** Virtual time at which every driver begins. */
export const startMs = Date.UTC(2026, 0, 1);

const noTopics: Topics = new Map();

/** The actor, its journal and its clock. */
export class Driver {
  readonly gid = "g";
  nowMs = startMs;
  tx: Transaction | undefined;
  wakeAtMs: number | undefined;
  /** Newest decision that was stored. */
  last: Decision | undefined;
  script: Script;
  topics: Topics;
  readonly trace: Trace[] = [];
  /** Journal rows by their key in a store. */
  readonly #rows = new Map<string, JournalRow>();
  /** Version of the newest numbered row. */
  #newest = 0;
  readonly #wire = new Map<number, { readonly reaction: Reaction; readonly atMs: number }>();
  readonly #attempts = new Map<number, number>();
  readonly #setup: DriverSetup;

  constructor(setup: DriverSetup) {
    this.#setup = setup;
    this.script = setup.script;
    this.topics = setup.topics ?? noTopics;
  }

  get rows(): readonly JournalRow[] {
    return [...this.#rows.values()];
  }

  /** Names of the calls so far. */
  get calls(): readonly string[] {
    return this.trace.flatMap((entry) => (entry.kind === "called" ? [entry.call.name] : []));
  }

  /** Events of all stored decisions, in order, replaced retry records included. */
  get events(): readonly Event[] {
    return this.trace.flatMap((entry) => (entry.kind === "decided" && !entry.lost ? entry.decision.events : []));
  }

  /** Ops whose calls have not been answered. */
  get onTheWire(): readonly number[] {
    return [...this.#wire.keys()];
  }

  turn(): Turn {
    return {
      gid: this.gid,
      nowMs: this.nowMs,
      jitter: this.#setup.jitter?.() ?? 0.5,
      newId: 4096,
      topics: this.topics,
      defaults: { timeoutToFailMs: 35_000, requestTimeoutMs: 3_000, retryIntervalMs: 10_000 },
      alertAfter: 3,
      parkAfter: this.#setup.parkAfter ?? 0,
      branchesMax: this.#setup.branchesMax ?? 1000,
    };
  }

  /** Handles one input; with a crash point the process dies there and comes back. @returns what a client is told. */
  apply(input: Input, crash?: CrashPoint): Reply | Held | undefined {
    const decision = decide(this.tx, input, this.turn());
    const lost = crash === "before commit";
    this.trace.push({ kind: "decided", atMs: this.nowMs, input, before: this.tx, decision, lost });
    if (!lost) this.#store(decision);
    if (crash !== undefined) {
      this.crash();
      return undefined;
    }
    this.tx = decision.tx;
    this.wakeAtMs = decision.wakeAtMs;
    this.last = decision;
    for (const op of decision.calls) this.#call(op);
    return decision.reply;
  }

  /** Loses memory and calls in flight, folds the journal and looks for what is due. */
  crash(): void {
    this.trace.push({ kind: "crashed", atMs: this.nowMs, onTheWire: this.#wire.size });
    this.#wire.clear();
    this.tx = fold(this.rows);
    this.wakeAtMs = undefined;
    if (this.tx !== undefined) this.apply({ kind: "woke" });
  }

  /** Time of the next answer or timer, `undefined` when nothing happens by itself. */
  get nextAtMs(): number | undefined {
    const times = [...this.#wire.values()].map(({ atMs }) => atMs);
    if (this.wakeAtMs !== undefined) times.push(this.wakeAtMs);
    return times.length === 0 ? undefined : Math.max(this.nowMs, Math.min(...times));
  }

  /** Lets the next thing happen, answers before timers. @returns whether there was one within the limit */
  step(untilMs = Number.POSITIVE_INFINITY, crash?: CrashPoint): boolean {
    const atMs = this.nextAtMs;
    if (atMs === undefined || atMs > untilMs) return false;
    this.nowMs = atMs;
    const due = [...this.#wire].filter(([, answer]) => answer.atMs <= atMs).sort((a, b) => a[1].atMs - b[1].atMs)[0];
    if (due === undefined) this.apply({ kind: "woke" }, crash);
    else this.answer(due[0], crash);
    return true;
  }

  /** Delivers the answer to a call in flight now, whatever its time. */
  answer(op: number, crash?: CrashPoint): void {
    const { reaction } = this.#wire.get(op)!;
    this.#wire.delete(op);
    if (reaction.request !== undefined) this.apply(reaction.request);
    this.apply({ kind: "answered", op, outcome: reaction.outcome, detail: reaction.detail ?? "" }, crash);
  }

  /** Lets virtual time pass, with all that happens in it. */
  pass(ms: number): void {
    const untilMs = this.nowMs + ms;
    for (let steps = 0; this.step(untilMs); steps++)
      if (steps > 1_000_000) throw new Error("virtual time stands still");
    this.nowMs = untilMs;
  }

  /** Runs until nothing happens by itself any more, or for `steps` steps. @returns whether it came to rest */
  rest(steps = 10_000): boolean {
    for (let i = 0; i < steps; i++) if (!this.step()) return true;
    return false;
  }

  #store({ events, tx }: Decision): void {
    if (events.length === 0 || tx === undefined) return;
    const retryOf = retryRecordOf(events);
    const needed = retryOf === undefined ? this.#newest + 1 : this.#newest;
    this.#newest = needed;
    if (tx.version !== needed) throw new Error(`S3: row ${tx.version} met, a store takes ${needed}`);
    const key = retryOf === undefined ? `v${tx.version}` : `retry ${retryOf}`;
    this.#rows.delete(key);
    this.#rows.set(key, { version: tx.version, retryOf, events });
  }

  #call(op: number): void {
    const tx = this.tx!;
    if (this.#wire.has(op)) return;
    const before = waitsFor(tx, op);
    if (before !== undefined && this.#wire.has(before)) return;
    const attempt = (this.#attempts.get(op) ?? 0) + 1;
    this.#attempts.set(op, attempt);
    const { branchId, op: word, url } = op === CHECK ? checkOp(tx) : tx.ops[op]!;
    const call: PlacedCall = { op, name: `${word} ${branchId}`, url, attempt, atMs: this.nowMs };
    this.trace.push({ kind: "called", call, durable: this.#setup.folds === false ? tx : fold(this.rows)! });
    const reaction = this.script(call, tx);
    this.#wire.set(op, { reaction, atMs: this.nowMs + (reaction.afterMs ?? 10) });
  }
}

function checkOp(tx: Transaction): { readonly branchId: string; readonly op: string; readonly url: string } {
  return { branchId: "00", op: tx.type === "msg" ? "msg" : "callback", url: tx.queryPrepared };
}
