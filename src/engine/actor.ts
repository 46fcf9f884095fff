/**
 * One global transaction, alive: its mailbox, its state in memory and its calls in progress. One turn at a time:
 * decide, commit, adopt, answer, act (architecture 3). Whatever makes its picture doubtful ends the actor; the next one
 * is loaded from the store.
 */
import { decide, expects, waitsFor } from "../core/decide.js";
import type { Decision, Held, Turn } from "../core/draft.js";
import { retryRecordOf } from "../core/event.js";
import { type Head, headOf, headToWrite } from "../core/head.js";
import { type Input, type Reply, refused } from "../core/input.js";
import { heldReply } from "../core/outcome.js";
import { isFinal, type Outcome, type Transaction } from "../core/transaction.js";
import type { Call } from "../ports/caller.js";
import type { Commit, Stored } from "../ports/store.js";
import type { KeyValues } from "../ports/topics.js";
import { addBytes, commitBytes } from "./bytes.js";
import { callOf, stuckBranchOf } from "./call.js";
import { CallsInProgress } from "./calls.js";
import type { Committed } from "./committer.js";
import type { Share } from "./footprint.js";
import { type Creating, creates, durableElsewhere, type End, type Message } from "./message.js";
import type { Place } from "./recovery.js";
import { Replies } from "./replies.js";
import type { Services } from "./services.js";
import { namesTopics, readTopics } from "./subscribers.js";

const noTopics: Turn["topics"] = new Map();

/** A transaction that wakes within this time stays in memory. */
export const residentHorizonMs = 60_000;

export class Actor {
  readonly gid: string;
  readonly shard: number;
  /** How many actors before it lost their picture of the same transaction, one after the other. */
  generation = 0;
  readonly #services: Services;
  readonly #optimistic: boolean;
  readonly #ended: (actor: Actor, end: End, unread: readonly Message[]) => void;
  readonly #mailbox: Message[] = [];
  readonly #calls = new CallsInProgress();
  readonly #replies: Replies;
  readonly #share: Share;
  #tx: Transaction | undefined;
  /** The head as the store has it; only its lookup fields and `wakeAtMs` are looked at. */
  #head: Head | undefined;
  /** The state is known: loaded, or known not to exist. */
  #known = false;
  #busy = false;
  #over = false;
  #wakeAtMs: number | undefined;
  /**
   * Ops that found their target's queue full, with the target: their place there is a time only, so the actor need not
   * be in memory for it.
   */
  readonly #turnedAway = new Map<number, string>();

  /**
   * @param optimistic may suppose that a gid that is to be created is new, and let the store find out. An actor that
   *   follows one that was wrong must look first.
   */
  constructor(
    gid: string,
    shard: number,
    services: Services,
    optimistic: boolean,
    ended: (actor: Actor, end: End, unread: readonly Message[]) => void,
  ) {
    this.gid = gid;
    this.shard = shard;
    this.#services = services;
    this.#optimistic = optimistic;
    this.#ended = ended;
    this.#replies = new Replies(services.clock, services.settings.waitResultMs);
    this.#share = services.footprint.share();
  }

  /** Has nothing to do before its wake time, and nobody waits for it. */
  get resting(): boolean {
    return (
      this.#known && !this.#busy && this.#mailbox.length === 0 && this.#calls.size === 0 && this.#replies.size === 0
    );
  }

  /** A call is on the wire. */
  get calling(): boolean {
    return this.#calls.onWire > 0;
  }

  /** A turn is under way: its commit may not be durable yet. */
  get busy(): boolean {
    return this.#busy;
  }

  /** Inputs and replies that wait. */
  get queued(): number {
    return this.#mailbox.length + this.#replies.size;
  }

  /** When it must be back after it left resting; `undefined`: the store's wake time is enough. */
  get comesBackAtMs(): number | undefined {
    return this.#tx === undefined || this.#storedWake() > this.#horizon() ? undefined : this.#wakeAtMs;
  }

  /** Puts an input into the mailbox. `reply` is called once, unless the actor ends: then the message is handed back. */
  tell(input: Input, reply?: (reply: Reply) => void, signal?: AbortSignal): void {
    this.#mailbox.push({ input, reply, signal });
    this.#next();
  }

  /** Keeps a new actor waiting for the state that is being loaded for it; what it is told meanwhile waits too. */
  reserve(): Place {
    this.#busy = true;
    return {
      gid: this.gid,
      fill: (stored) => {
        if (this.#over) return;
        this.#busy = false;
        this.#adopt(stored);
        this.tell({ kind: "woke" });
      },
      giveUp: (cause) => {
        if (!this.#over) this.#unreadable(cause);
      },
    };
  }

  /** Ends it from outside: its shard is lost, or it makes room. */
  end(end: End): void {
    if (this.#over) return;
    this.#over = true;
    this.#share.weigh(undefined);
    this.#calls.withdraw([]);
    this.#services.timers.clear(this.gid);
    this.#replies.close();
    this.#ended(this, end, this.#mailbox.splice(0));
  }

  #next(): void {
    while (!this.#busy && !this.#over) {
      const message = this.#mailbox[0];
      if (message === undefined) return this.#rest();
      const { input } = message;
      if (!this.#known && !(this.#optimistic && creates(input))) return this.#load();
      if (this.#tx === undefined && creates(input)) {
        const { ids, keyValues } = this.#services;
        if (!ids.knows(this.shard)) return this.#await(ids.learn(this.shard));
        if (message.topics === undefined && namesTopics(input.submission)) return this.#readTopics(keyValues, input);
      }
      this.#mailbox.shift();
      this.#guard(message, () => this.#turn(message));
    }
  }

  /**
   * A bug met in a turn ends this actor and nobody else: nothing of it is written, and its gid is stopped until the
   * node starts again (S4, L3). Where nothing exists yet there is nothing to stop.
   */
  #guard(message: Message, work: () => void): void {
    try {
      work();
    } catch (cause) {
      const { gid } = this;
      const { kind } = message.input;
      const text = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
      this.#services.log.error("turn_failed", { gid, version: this.#tx?.version ?? 0, input: kind, cause: text });
      message.reply?.(refused("INTERNAL", `gid ${gid}: '${kind}' could not be carried out; see the log`));
      this.end(this.#tx === undefined ? "final" : "isolated");
    }
  }

  /** Waits for something that the next turn needs; when it cannot be had, those who wait are told so. */
  #await(work: Promise<void>): void {
    this.#busy = true;
    work.then(
      () => {
        this.#busy = false;
        this.#next();
      },
      (cause) => this.#unreadable(cause),
    );
  }

  #load(): void {
    this.#await(this.#services.store.load([this.gid]).then(([stored]) => this.#adopt(stored)));
  }

  #adopt(stored: Stored | undefined): void {
    this.#known = true;
    this.#tx = stored?.tx;
    this.#head = stored && headOf(stored.tx, stored.wakeAtMs);
    this.#share.weigh(this.#tx);
  }

  #unreadable(cause: unknown): void {
    this.#services.unread({ gid: this.gid, cause: String(cause) });
    for (const { reply } of this.#mailbox.splice(0))
      reply?.({ ...refused("UNAVAILABLE", "the store cannot be read now, ask again"), retryAfterS: 1 });
    this.end("unreadable");
  }

  #readTopics(keyValues: KeyValues, input: Creating): void {
    this.#await(
      readTopics(keyValues, input.submission).then((topics) => {
        this.#mailbox[0] = { ...this.#mailbox[0]!, topics };
      }),
    );
  }

  #turn(message: Message): void {
    const { clock, random, settings, ids } = this.#services;
    const nowMs = clock.nowMs();
    if (message.input.kind === "answered") this.#answered(message.input);
    const decision = decide(this.#tx, message.input, {
      gid: this.gid,
      nowMs,
      jitter: random(),
      newId: this.#tx === undefined && ids.knows(this.shard) ? ids.next(this.shard, nowMs) : 0,
      topics: message.topics ?? noTopics,
      defaults: settings.defaults,
      alertAfter: settings.alertAfter,
      parkAfter: settings.parkAfter,
      branchesMax: settings.branchesMax,
    });
    if (decision.events.length > 0) return this.#commit(message, decision);
    if (this.#known) return this.#act(message, decision);
    this.#mailbox.unshift(message); // refused on the supposition that the gid is new: look before saying so
    this.#load();
  }

  /** Its call is over, whether its answer still counts or not. */
  #answered({ op, outcome }: Extract<Input, { kind: "answered" }>): void {
    this.#calls.delete(op);
    if (this.#tx !== undefined && !expects(this.#tx, op)) this.#noteLate(callOf(this.#tx, op), outcome);
  }

  #noteLate(call: Call, outcome: Outcome): void {
    if (outcome !== "unknown") this.#services.observer.lateAnswer(call);
  }

  #commit(message: Message, decision: Decision): void {
    const { ownership } = this.#services;
    const epoch = ownership.epochOf(this.shard);
    if (epoch === undefined) {
      this.#mailbox.unshift(message);
      return this.end("lost");
    }
    const tx = decision.tx!;
    this.#calls.withdraw(decision.calls); // must not go while the decision is on its way to the store (S8)
    const rests = decision.calls.length === 0 && !this.calling;
    const head = headToWrite(this.#head, tx, rests, decision.wakeAtMs);
    const retryOf = retryRecordOf(decision.events);
    const row = { version: tx.version, retryOf, events: decision.events };
    const commit: Commit = { gid: this.gid, id: tx.id, shard: this.shard, epoch, row, head };
    this.#send(message, decision, commit);
  }

  #send(message: Message, decision: Decision, commit: Commit): void {
    this.#busy = true;
    const done = (result: Committed) => this.#committed(message, decision, commit, result);
    const lingers = isFinal(decision.tx!) && message.reply === undefined && this.#replies.size === 0;
    this.#services.committer.add(commit, commitBytes(decision.events), done, {
      isAbandoned: () => this.#over,
      lingers,
    });
  }

  #committed(message: Message, decision: Decision, commit: Commit, result: Committed): void {
    this.#busy = false;
    if (result === "refused") {
      message.reply?.(refused("INTERNAL", `gid ${this.gid}: the store refuses what this request would record`));
      return this.end("isolated");
    }
    if (result !== "ok") {
      const epoch = this.#services.ownership.epochOf(this.shard);
      // claimed anew by this very node, to settle a doubt: the picture is right, only the proof was old
      const renewed = result === "fenced" && !this.#over && epoch !== undefined && epoch > commit.epoch;
      if (renewed) return this.#send(message, decision, { ...commit, epoch });
      if (result === "fenced") this.#services.ownership.lost(this.shard, commit.epoch);
      if (this.#over) return message.reply?.(refused("NOT_OWNER", `gid ${this.gid}: the shard was lost meanwhile`));
      this.#mailbox.unshift(message);
      return this.end("lost");
    }
    if (this.#over) return message.reply?.(durableElsewhere(decision)); // somebody else goes on with it
    this.#known = true;
    this.#tx = decision.tx;
    if (addBytes(decision.events)) this.#share.weigh(this.#tx);
    this.#head = commit.head ?? this.#head;
    this.#guard(message, () => this.#act(message, decision));
    this.#next();
  }

  /** After the commit: answer, call, and note when to wake. Who asks for the transaction sees what holds its calls. */
  #act(message: Message, decision: Decision): void {
    const { tx, reply } = decision;
    this.#wakeAtMs = decision.wakeAtMs;
    if (this.#turnedAway.size > 0) this.#turnedAway.clear(); // it makes a new table each time
    if (reply?.kind !== "transaction") this.#answer(message, decision);
    if (tx !== undefined) this.#goOn(tx, decision);
    if (reply?.kind === "transaction") this.#answer(message, decision);
  }

  #goOn(tx: Transaction, decision: Decision): void {
    const { observer, timers } = this.#services;
    for (const alert of decision.alerts) observer.stuck(stuckBranchOf(tx, alert));
    if (isFinal(tx)) {
      if (decision.events.length > 0) observer.finished(tx);
      this.#calls.withdraw([]); // no call starts after the final status (S8)
      return;
    }
    this.#call(tx, decision.calls);
    if (this.#wakeAtMs === undefined) timers.clear(this.gid);
    else timers.set(this.gid, this.#wakeAtMs);
  }

  #answer(message: Message, { reply }: Decision): void {
    if (reply === undefined || message.reply === undefined) return;
    if (reply.kind === "held") this.#hold(reply, message);
    else if (reply.kind === "transaction") message.reply({ ...reply, blocked: this.#blocked() });
    else message.reply(reply);
  }

  #hold(held: Held, message: Message): void {
    this.#replies.hold(held, message.reply!, message.signal, (of) =>
      this.#tx === undefined
        ? refused("UNAVAILABLE", `gid ${this.gid}: ask again`)
        : heldReply(this.#tx, of, this.#blocked()),
    );
  }

  #blocked(): Record<number, string> {
    return { ...Object.fromEntries(this.#turnedAway), ...this.#calls.held() };
  }

  /** Its calls that are held back do not go any more: somebody else will make them. */
  holdBack(): void {
    this.#calls.withdraw([]);
  }

  /** Hands over what should be in progress and is not. */
  #call(tx: Transaction, wanted: readonly number[]): void {
    if (this.#services.draining.has(this.shard)) return;
    for (const op of wanted) {
      const before = waitsFor(tx, op);
      if (this.#calls.has(op)) continue;
      if (before !== undefined && this.#calls.has(before)) continue;
      this.#handOver(tx, op);
    }
  }

  #handOver(tx: Transaction, op: number): void {
    const { callers, dispatcher, footprint } = this.#services;
    const call = callOf(tx, op);
    const located = callers.locate(tx.protocol, call.url);
    const target = "invalid" in located ? { origin: "invalid", target: "invalid" } : located;
    const ticket = dispatcher.submit(call, target, {
      done: (answer) => {
        if (this.#over || this.#calls.get(op) !== ticket) return this.#noteLate(call, answer.outcome);
        this.tell({ kind: "answered", op, ...answer }); // in progress until its turn: another's must not call it again
      },
      blocked: () => {
        if (!this.#busy && !this.#over && this.#mailbox.length === 0) this.#rest();
      },
      mayWait: !footprint.isTight,
    });
    if (typeof ticket === "object") this.#calls.set(op, ticket);
    else this.#comeAgain(op, target.target, ticket);
  }

  /** Its place in the line is `atMs`, unless it has an earlier one from before it left memory. */
  #comeAgain(op: number, target: string, atMs: number): void {
    const { timers, clock } = this.#services;
    const planned = timers.at(this.gid) ?? 0;
    const placeMs = planned > clock.nowMs() ? Math.min(planned, atMs) : atMs;
    this.#wakeAtMs = Math.min(this.#wakeAtMs ?? Number.POSITIVE_INFINITY, placeMs);
    this.#turnedAway.set(op, target);
  }

  #storedWake(): number {
    return this.#head?.wakeAtMs ?? Number.POSITIVE_INFINITY;
  }

  #horizon(): number {
    return this.#services.clock.nowMs() + residentHorizonMs;
  }

  /** Nothing to read: tells those who wait for the end, and leaves memory when that costs nothing. */
  #rest(): void {
    const tx = this.#tx;
    const final = tx !== undefined && isFinal(tx);
    if (tx !== undefined && (final || !this.#calls.goOn))
      this.#replies.release((of) => heldReply(tx, of, this.#blocked()));
    if (tx === undefined || final) return this.end("final");
    if (!this.resting) return;
    const needNotStay = this.#turnedAway.size > 0 || this.#storedWake() > this.#horizon();
    if (needNotStay || this.#services.footprint.isTight) this.end("rests");
  }
}
