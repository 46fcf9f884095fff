/**
 * Isolation of participants: which call may go on the wire now. Per origin and per node a limit of calls in flight, per
 * target a circuit breaker. A call that may not go is held back, in order of arrival, without becoming an attempt; the
 * breaker's closing or a free place lets it go. One target gets at most three quarters of its origin's places, so that
 * a hanging path leaves room for its neighbours.
 */
import type { Answer, Call, Caller, Target } from "../ports/caller.js";
import type { Cancel, Clock } from "../ports/clock.js";
import type { Observer } from "../ports/observer.js";
import type { Ownership } from "../ports/ownership.js";
import type { TargetState, Targets } from "../ports/targets.js";
import { Breaker } from "./breaker.js";

/** Bounds of what is on the wire and of what waits for it. */
export interface DispatchLimits {
  /** Calls on the wire: of one origin, of the node. */
  readonly perOrigin: number;
  readonly perNode: number;
  /** Calls held back for one target; beyond, a transaction rests and asks again later. */
  readonly waitingPerTarget: number;
  /** Targets remembered. */
  readonly targets: number;
}

/** Milliseconds of the lease that must be left to start a call (reliability 5.5). */
const leaseMarginMs = 300;

/** A call handed over. */
export interface Ticket {
  readonly state: "held" | "wire" | "done";
  readonly target: string;
  /** Its target's breaker holds it back: it does not only wait for a place. */
  readonly isBlocked: boolean;
  /** Gives up a call that is held back; one on the wire goes on. */
  withdraw(): void;
}

/** Whoever hands a call over. */
export interface Sender {
  /** The answer; called once, unless the ticket is withdrawn before. */
  done(answer: Answer): void;
  /** The call is held back, and now its target's breaker has opened: no answer is to be expected soon. */
  blocked(): void;
  /** The call may be held back; where it may not, its sender comes again as if the queue were full. */
  readonly mayWait: boolean;
}

/** A call handed over, on its way. */
class Entry implements Ticket {
  state: Ticket["state"] = "held";
  readonly call: Call;
  readonly lane: Lane;
  readonly sender: Sender;
  readonly #withdrawn: (entry: Entry) => void;

  constructor(call: Call, lane: Lane, sender: Sender, withdrawn: (entry: Entry) => void) {
    this.call = call;
    this.lane = lane;
    this.sender = sender;
    this.#withdrawn = withdrawn;
  }

  get target(): string {
    return this.lane.target.target;
  }

  get isBlocked(): boolean {
    return this.state === "held" && this.lane.breaker.state !== "closed";
  }

  withdraw(): void {
    if (this.state === "held") this.#withdrawn(this);
  }
}

/** All about one target. */
interface Lane {
  readonly target: Target;
  readonly origin: Origin;
  readonly breaker: Breaker;
  readonly waiting: Entry[];
  inFlight: number;
  lastError: string;
  lastAnswerMs: number;
  /** The place in time given to the last call that found the queue full. */
  againAtMs: number;
  lookTimer: Cancel | undefined;
}

/** Lanes by target, and those where calls wait: whoever was served goes to the end, so that all get their turn. */
interface Origin {
  readonly name: string;
  readonly lanes: Map<string, Lane>;
  readonly hungry: Set<Lane>;
  inFlight: number;
}

/** A call that finds the queue full comes again after this, milliseconds, and so much after the one before it. */
const again = { firstMs: 5000, eachMs: 1, bytesPerMs: 50_000 } as const;

/** How soon what could go but finds no place or no lease is looked at again without an answer's help, milliseconds. */
const lookMs = 100;

export class Dispatcher implements Targets {
  readonly #caller: Caller;
  readonly #clock: Clock;
  readonly #observer: Observer;
  readonly #ownership: Ownership;
  readonly #limits: DispatchLimits;
  readonly #origins = new Map<string, Origin>();
  /** Origins where calls wait, the longest unserved first. */
  readonly #hungry = new Set<Origin>();
  readonly #ended = new AbortController();
  #lanes = 0;
  #inFlight = 0;
  #waiting = 0;
  #stopped = false;

  constructor(caller: Caller, clock: Clock, observer: Observer, ownership: Ownership, limits: DispatchLimits) {
    this.#caller = caller;
    this.#clock = clock;
    this.#observer = observer;
    this.#ownership = ownership;
    this.#limits = limits;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** Held back at targets that do answer: work that this node is behind with, unlike that of sick targets. */
  backlog(): number {
    const sinceMs = this.#clock.nowMs() - 1000;
    let sum = 0;
    for (const { lanes } of this.#origins.values())
      for (const lane of lanes.values())
        if (lane.breaker.state === "closed" && lane.lastAnswerMs >= sinceMs) sum += lane.waiting.length;
    return sum;
  }

  /**
   * Hands a call over. A number: so much waits already that the caller should rest and come again
   * at that time (milliseconds since the epoch, another one for each, in the order in which they asked).
   */
  submit(call: Call, target: Target, sender: Sender): Ticket | number {
    const lane = this.#lane(target);
    const entry = new Entry(call, lane, sender, this.#withdrawn);
    if (lane.waiting.length === 0 && this.#mayGo(lane)) this.#go(entry);
    else {
      if (!sender.mayWait || lane.waiting.length >= this.#limits.waitingPerTarget)
        return this.#comeAgain(lane, call.payload.length);
      lane.waiting.push(entry);
      this.#waiting++;
      this.#noteHunger(lane);
      this.#expectChange(lane);
    }
    return entry;
  }

  /** The more bytes have to be read for it when it comes, the more time it gets. */
  #comeAgain(lane: Lane, bytes: number): number {
    const afterMs = again.eachMs + Math.ceil(bytes / again.bytesPerMs);
    const soonestMs = Math.max(this.#clock.nowMs() + again.firstMs, lane.breaker.openUntilMs ?? 0);
    lane.againAtMs = Math.max(lane.againAtMs + afterMs, soonestMs);
    return lane.againAtMs;
  }

  list(): readonly TargetState[] {
    return [...this.#origins.values()].flatMap(({ lanes }) =>
      [...lanes.values()].map((lane) => ({
        ...lane.target,
        inFlight: lane.inFlight,
        waiting: lane.waiting.length,
        breaker: lane.breaker.state,
        openUntilMs: lane.breaker.openUntilMs,
        unknownsInRow: lane.breaker.unknownsInRow,
        lastError: lane.lastError,
      })),
    );
  }

  /** From now on no call goes on the wire; what is there goes on. */
  stop(): void {
    this.#stopped = true;
    for (const { hungry } of [...this.#hungry]) {
      for (const lane of [...hungry]) {
        lane.lookTimer?.();
        for (const entry of lane.waiting) entry.state = "done";
        this.#waiting -= lane.waiting.length;
        lane.waiting.length = 0;
        this.#noteHunger(lane);
      }
    }
  }

  /** Ends the calls on the wire; their answers are `unknown`. */
  abort(): void {
    this.#ended.abort();
  }

  #lane({ origin: name, target }: Target): Lane {
    const known = this.#origins.get(name)?.lanes.get(target);
    if (known !== undefined) return known;
    if (this.#lanes >= this.#limits.targets) this.#forgetIdle();
    const origin = this.#origins.get(name) ?? { name, lanes: new Map(), hungry: new Set(), inFlight: 0 };
    const lane: Lane = {
      target: { origin: name, target },
      origin,
      breaker: new Breaker(),
      waiting: [],
      inFlight: 0,
      lastError: "",
      lastAnswerMs: 0,
      againAtMs: 0,
      lookTimer: undefined,
    };
    origin.lanes.set(target, lane);
    this.#origins.set(name, origin);
    this.#lanes++;
    return lane;
  }

  /** Makes room in the table: idle targets go, those known longest first; those with calls stay whatever the limit. */
  #forgetIdle(): void {
    for (const [name, origin] of this.#origins) {
      for (const [key, lane] of origin.lanes) {
        if (lane.inFlight > 0 || lane.waiting.length > 0) continue;
        lane.lookTimer?.();
        origin.lanes.delete(key);
        this.#lanes--;
        if (origin.lanes.size === 0) this.#origins.delete(name);
        if (this.#lanes < this.#limits.targets * 0.9) return;
      }
    }
  }

  #mayGo(lane: Lane): boolean {
    const { origin } = lane;
    const perTarget = Math.ceil(this.#limits.perOrigin * 0.75);
    return (
      !this.#stopped &&
      this.#inFlight < this.#limits.perNode &&
      origin.inFlight < this.#limits.perOrigin &&
      lane.inFlight < perTarget &&
      lane.breaker.admits(this.#clock.nowMs(), lane.inFlight) &&
      this.#ownership.remainingMs() > leaseMarginMs
    );
  }

  #go(entry: Entry): void {
    const { lane, call } = entry;
    entry.state = "wire";
    lane.inFlight++;
    lane.origin.inFlight++;
    this.#inFlight++;
    const probe = lane.breaker.sent();
    const startedMs = this.#clock.monotonicMs();
    const broken = (cause: unknown): Answer => ({ outcome: "unknown", detail: `the caller failed: ${String(cause)}` });
    void this.#caller
      .call(call, this.#ended.signal)
      .catch(broken)
      .then((answer) => {
        const wasFull = this.#inFlight >= this.#limits.perNode;
        entry.state = "done";
        lane.inFlight--;
        lane.origin.inFlight--;
        this.#inFlight--;
        this.#noteAnswer(lane, call, answer, probe);
        this.#observer.called(call, lane.target.target, answer, this.#clock.monotonicMs() - startedMs);
        if (wasFull) this.#serveAll();
        else this.#serveOrigin(lane.origin);
        entry.sender.done(answer); // after those who wait, so that its next call does not overtake them
      });
  }

  #noteAnswer(lane: Lane, call: Call, answer: Answer, probe: boolean): void {
    const nowMs = this.#clock.nowMs();
    if (answer.outcome === "unknown") lane.lastError = answer.detail;
    const isClear = answer.outcome !== "unknown" || answer.isWell === true;
    if (isClear) lane.lastAnswerMs = nowMs;
    if (!lane.breaker.answered(isClear, call.gid, nowMs, probe)) return;
    const open = lane.breaker.state !== "closed";
    this.#observer.breaker(lane.target.target, open);
    if (open) for (const { sender } of [...lane.waiting]) sender.blocked();
  }

  /** The node was full: the free place goes to the origin that has waited longest. */
  #serveAll(): void {
    for (const origin of [...this.#hungry]) {
      if (this.#inFlight >= this.#limits.perNode) return;
      this.#serveOrigin(origin);
    }
  }

  /** Lets one call of each lane go, the longest unserved lane first, until none can go. */
  #serveOrigin(origin: Origin): void {
    for (let served = origin.hungry.size > 0; served; ) {
      served = false;
      for (const lane of [...origin.hungry]) served = this.#serve(lane) || served;
    }
  }

  /** Lets the oldest call of a lane go if it may. */
  #serve(lane: Lane): boolean {
    const may = lane.waiting.length > 0 && this.#mayGo(lane);
    if (may) {
      const entry = lane.waiting.shift()!;
      this.#waiting--;
      lane.origin.hungry.delete(lane); // to the end
      this.#hungry.delete(lane.origin);
      this.#noteHunger(lane);
      this.#go(entry);
    }
    this.#expectChange(lane);
    return may;
  }

  #noteHunger(lane: Lane): void {
    const { origin } = lane;
    if (lane.waiting.length > 0) origin.hungry.add(lane);
    else origin.hungry.delete(lane);
    if (origin.hungry.size > 0) this.#hungry.add(origin);
    else this.#hungry.delete(origin);
  }

  /** Looks again when something but an answer can let a held call go: the next probe's time, or a renewed lease. */
  #expectChange(lane: Lane): void {
    if (this.#stopped || lane.waiting.length === 0 || lane.lookTimer !== undefined) return;
    const { openUntilMs, state } = lane.breaker;
    const lease = this.#ownership.remainingMs() <= leaseMarginMs;
    if (state !== "open" && !lease) return;
    const probeInMs = openUntilMs === undefined ? 0 : openUntilMs - this.#clock.nowMs();
    lane.lookTimer = this.#clock.after(probeInMs > 0 ? probeInMs : lookMs, () => {
      lane.lookTimer = undefined;
      this.#serveOrigin(lane.origin);
    });
  }

  readonly #withdrawn = (entry: Entry): void => {
    entry.state = "done";
    const at = entry.lane.waiting.indexOf(entry);
    if (at < 0) return;
    entry.lane.waiting.splice(at, 1);
    this.#waiting--;
    this.#noteHunger(entry.lane);
  };
}
