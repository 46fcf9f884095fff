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
  /** The target whose breaker holds it back; `undefined` when it only waits for a place, or is on the wire. */
  readonly blockedBy: string | undefined;
  /** Gives up a call that is held back; one on the wire goes on. */
  withdraw(): void;
}

interface Entry extends Ticket {
  state: Ticket["state"];
  readonly call: Call;
  readonly lane: Lane;
  readonly done: (answer: Answer) => void;
}

/** All about one target. */
interface Lane {
  readonly target: Target;
  readonly breaker: Breaker;
  readonly waiting: Entry[];
  inFlight: number;
  lastError: string;
  lastAnswerMs: number;
  probeTimer: Cancel | undefined;
}

interface Origin {
  readonly lanes: Map<string, Lane>;
  inFlight: number;
}

export class Dispatcher implements Targets {
  readonly #caller: Caller;
  readonly #clock: Clock;
  readonly #observer: Observer;
  readonly #ownership: Ownership;
  readonly #limits: DispatchLimits;
  readonly #origins = new Map<string, Origin>();
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
   * Hands a call over. `done` is called once with the answer, unless the ticket is withdrawn before.
   * `undefined`: so many calls wait for this target already that the caller should rest and come again.
   */
  submit(call: Call, target: Target, done: (answer: Answer) => void): Ticket | undefined {
    const lane = this.#lane(target);
    const entry: Entry = {
      state: "held",
      call,
      lane,
      done,
      get blockedBy() {
        return this.state === "held" && lane.breaker.state !== "closed" ? target.target : undefined;
      },
      withdraw: () => this.#withdraw(entry),
    };
    if (this.#mayGo(lane)) this.#go(entry);
    else {
      if (lane.waiting.length >= this.#limits.waitingPerTarget) return undefined;
      lane.waiting.push(entry);
      this.#waiting++;
      this.#expectProbe(lane);
    }
    return entry;
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
    for (const { lanes } of this.#origins.values()) {
      for (const lane of lanes.values()) {
        lane.probeTimer?.();
        for (const entry of lane.waiting) entry.state = "done";
        this.#waiting -= lane.waiting.length;
        lane.waiting.length = 0;
      }
    }
  }

  /** Ends the calls on the wire; their answers are `unknown`. */
  abort(): void {
    this.#ended.abort();
  }

  #lane({ origin, target }: Target): Lane {
    const group = this.#origins.get(origin) ?? { lanes: new Map<string, Lane>(), inFlight: 0 };
    const known = group.lanes.get(target);
    if (known !== undefined) return known;
    if (this.#lanes >= this.#limits.targets) this.#forgetIdle();
    const lane: Lane = {
      target: { origin, target },
      breaker: new Breaker(),
      waiting: [],
      inFlight: 0,
      lastError: "",
      lastAnswerMs: 0,
      probeTimer: undefined,
    };
    group.lanes.set(target, lane);
    this.#origins.set(origin, group);
    this.#lanes++;
    return lane;
  }

  /** Makes room in the table: idle targets go, oldest first; those with calls stay whatever the limit. */
  #forgetIdle(): void {
    for (const [name, origin] of this.#origins) {
      for (const [key, lane] of origin.lanes) {
        if (lane.inFlight > 0 || lane.waiting.length > 0) continue;
        lane.probeTimer?.();
        origin.lanes.delete(key);
        this.#lanes--;
        if (origin.lanes.size === 0) this.#origins.delete(name);
        if (this.#lanes < this.#limits.targets * 0.9) return;
      }
    }
  }

  #mayGo(lane: Lane): boolean {
    const origin = this.#origins.get(lane.target.origin)!;
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
    const origin = this.#origins.get(lane.target.origin)!;
    entry.state = "wire";
    lane.inFlight++;
    origin.inFlight++;
    this.#inFlight++;
    lane.breaker.sent();
    const startedMs = this.#clock.monotonicMs();
    void this.#caller.call(call, this.#ended.signal).then((answer) => {
      entry.state = "done";
      lane.inFlight--;
      origin.inFlight--;
      this.#inFlight--;
      this.#noteAnswer(lane, call, answer);
      this.#observer.called(call, lane.target.target, answer, this.#clock.monotonicMs() - startedMs);
      entry.done(answer);
      this.#release(lane);
    });
  }

  #noteAnswer(lane: Lane, call: Call, answer: Answer): void {
    const nowMs = this.#clock.nowMs();
    if (answer.outcome === "unknown") lane.lastError = answer.detail;
    else lane.lastAnswerMs = nowMs;
    if (lane.breaker.answered(answer.outcome, call.gid, nowMs))
      this.#observer.breaker(lane.target.target, lane.breaker.state !== "closed");
  }

  /** A place is free: its own target first, then the origin's others, then, if the node was full, all. */
  #release(lane: Lane): void {
    this.#serve(lane);
    if (this.#waiting === 0) return;
    for (const other of this.#origins.get(lane.target.origin)!.lanes.values()) this.#serve(other);
    if (this.#inFlight < this.#limits.perNode - 1) return;
    for (const { lanes } of this.#origins.values()) for (const other of lanes.values()) this.#serve(other);
  }

  #serve(lane: Lane): void {
    let served = 0;
    while (served < lane.waiting.length && this.#mayGo(lane)) {
      const entry = lane.waiting[served++]!;
      this.#waiting--;
      this.#go(entry);
    }
    if (served > 0) lane.waiting.splice(0, served);
    this.#expectProbe(lane);
  }

  /** Looks again when something but an answer can let a held call go: the next probe's time, or a renewed lease. */
  #expectProbe(lane: Lane): void {
    if (lane.waiting.length === 0 || lane.probeTimer !== undefined) return;
    const { openUntilMs, state } = lane.breaker;
    const lease = this.#ownership.remainingMs() <= leaseMarginMs;
    if (state !== "open" && !lease) return;
    const waitMs = lease ? 100 : Math.max(1, openUntilMs! - this.#clock.nowMs());
    lane.probeTimer = this.#clock.after(waitMs, () => {
      lane.probeTimer = undefined;
      this.#serve(lane);
    });
  }

  #withdraw(entry: Entry): void {
    if (entry.state !== "held") return;
    entry.state = "done";
    const at = entry.lane.waiting.indexOf(entry);
    if (at < 0) return;
    entry.lane.waiting.splice(at, 1);
    this.#waiting--;
  }
}
