/**
 * The ways between machines, and to the store: what is lost, doubled, late or cut off while a fault lasts.
 */
import type { MomentaryKind } from "./faults.js";
import type { Fate, StorePath } from "./machine.js";
import type { Random } from "./random.js";
import type { Scheduler } from "./scheduler.js";

/** Until when each trouble lasts. */
interface Until {
  storeDownMs: number;
  /** It answers every other statement only. */
  storeFlickersMs: number;
  storeSlowMs: number;
  doubtMs: number;
  deadlockMs: number;
  lossyMs: number;
}

const calm: Until = { storeDownMs: 0, storeFlickersMs: 0, storeSlowMs: 0, doubtMs: 0, deadlockMs: 0, lossyMs: 0 };

export class Network {
  readonly until: Until = { ...calm };
  /** `from to` → until when. */
  readonly cuts = new Map<string, number>();
  readonly storeCuts = new Map<string, number>();
  /** Nodes that reach nobody and are reached by nobody: neither bus nor store, participants nor clients. */
  readonly #isolated = new Map<string, number>();
  /** How often each was: what is under way at the store then is in doubt. */
  readonly #isolations = new Map<string, number>();
  /** Of these nodes every other statement is lost. */
  readonly storePoor = new Map<string, number>();
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #hit: (kind: MomentaryKind) => void;
  readonly #doubted: (end: "written" | "lost") => void;
  #generation = 0;

  constructor(
    scheduler: Scheduler,
    random: Random,
    hit: (kind: MomentaryKind) => void,
    doubted: (end: "written" | "lost") => void,
  ) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.#hit = hit;
    this.#doubted = doubted;
  }

  heal(): void {
    Object.assign(this.until, calm);
    this.cuts.clear();
    this.storeCuts.clear();
    this.storePoor.clear();
    this.#isolated.clear();
  }

  /** Cuts one node off from everything at once. */
  isolate(name: string, untilMs: number): void {
    this.#isolated.set(name, untilMs);
    this.#isolations.set(name, (this.#isolations.get(name) ?? 0) + 1);
  }

  isIsolated(name: string): boolean {
    return (this.#isolated.get(name) ?? 0) > this.#scheduler.nowMs;
  }

  /** All connections break; what was under way is in doubt. */
  restartStore(downMs: number): void {
    this.#generation++;
    this.until.storeDownMs = this.#scheduler.nowMs + downMs;
  }

  /** The way of one node to the store. */
  pathOf(name: string): StorePath {
    return {
      latencyMs: () => {
        const isSlow = this.until.storeSlowMs > this.#scheduler.nowMs && this.#random.chance(0.3);
        const slow = isSlow ? this.#random.between(100, 1500) : 0;
        if (slow > 0) this.#hit("statementSlow");
        return this.#random.between(0.2, 1.5) + slow;
      },
      fate: (writes) => this.#fate(name, writes),
      generation: () => this.#generation + (this.#isolations.get(name) ?? 0),
    };
  }

  /** When a message arrives, once per time; none: lost. */
  delivery(from: string, to: string): readonly number[] {
    const { nowMs } = this.#scheduler;
    const random = this.#random;
    const isApart = from !== to && (this.isIsolated(from) || this.isIsolated(to));
    if (isApart || (this.cuts.get(`${from} ${to}`) ?? 0) > nowMs) {
      this.#hit("messageCut");
      return [];
    }
    const lossy = this.until.lossyMs > nowMs;
    const delayMs = () => random.between(0.1, lossy ? 300 : 2);
    if (random.chance(lossy ? 0.3 : 0.005)) {
      this.#hit("messageLost");
      return [];
    }
    if (!random.chance(lossy ? 0.2 : 0.01)) return [delayMs()];
    this.#hit("messageDoubled");
    return [delayMs(), delayMs()];
  }

  #fate(name: string, writes: boolean): Fate {
    const { nowMs } = this.#scheduler;
    if (this.until.storeDownMs > nowMs || (this.until.storeFlickersMs > nowMs && this.#random.chance(0.5))) {
      this.#hit("statementAway");
      return "away";
    }
    if ((this.storePoor.get(name) ?? 0) > nowMs && this.#random.chance(0.5)) {
      this.#hit("statementPoor");
      return "away";
    }
    if (this.isIsolated(name) || (this.storeCuts.get(name) ?? 0) > nowMs) {
      this.#hit("statementCut");
      return "away";
    }
    if (writes && this.until.deadlockMs > nowMs && this.#random.chance(0.3)) {
      this.#hit("statementDeadlock");
      return "deadlock";
    }
    if (!writes || this.until.doubtMs <= nowMs || !this.#random.chance(0.3)) return "ok";
    const done = this.#random.chance(0.5);
    this.#doubted(done ? "written" : "lost");
    return done ? "doubtDone" : "doubtLost";
  }
}
