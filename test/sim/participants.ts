/**
 * The services of a simulated business: accounts behind the SDK's barrier, reached over a network that loses, doubles
 * and delays. They also play workflow clients and answer check-backs. Every effect is counted.
 */
import {
  type BarrierKey,
  type BarrierRows,
  checkBackRow,
  checkBackVerdict,
  passBarrier,
} from "../../src/client/barrier/core.js";
import { Duplicated } from "../../src/client/errors.js";
import type { Answer, Call, Callers } from "../../src/ports/caller.js";
import type { MomentaryKind } from "./faults.js";
import type { Place } from "./machine.js";
import type { Random } from "./random.js";
import type { Scheduler } from "./scheduler.js";

/** How a branch of one transaction likes to behave; drawn with the transaction, so that it can be replayed. */
export interface Manner {
  /** The business says no (actions and tries only). */
  readonly refuses: boolean;
  /** Answers this many calls without a clear word before it does its work, and after. */
  readonly unknownBefore: number;
  readonly unknownAfter: number;
  readonly ongoing: number;
  /** What its forward op adds to its account; the amounts of a transaction add up to nothing. */
  readonly amount: number;
}

export const plain: Manner = { refuses: false, unknownBefore: 0, unknownAfter: 0, ongoing: 0, amount: 0 };

/** What a process tells about its calls, and its right to make them. */
export interface Sender {
  /** At the moment a call goes on the wire. */
  sent(call: Call): void;
  /** The right under which it works on a gid then: a reload under a new one may have to call again. */
  epochOf(gid: string): number | undefined;
  /** Most calls on its wire at a time: to one origin, to all (S10). */
  readonly room: { readonly perOrigin: number; readonly perNode: number };
  /** Whether nothing of it reaches anybody now, nor anything it. */
  cut(): boolean;
  /** Has as many on the wire as it may. */
  full(): void;
}

const none: ReadonlyMap<string, number> = new Map();
const undoing: ReadonlySet<string> = new Set(["compensate", "cancel", "rollback"]);
const doing: ReadonlySet<string> = new Set(["action", "try"]);

export class Services {
  readonly manners = new Map<string, Manner>();
  /** Messages whose initiator's local transaction committed. */
  readonly committed = new Set<string>();
  /** Plays the executor of a workflow when it is called back. */
  readonly executors = new Map<string, () => void>();
  readonly deadUntil = new Map<string, number>();
  readonly slowUntil = new Map<string, number>();
  readonly flakyUntil = new Map<string, number>();
  /** What a transaction's effects add up to over all accounts. */
  readonly moved = new Map<string, number>();
  /** Calls that one process made though it had been told success before. */
  readonly wasted: string[] = [];
  readonly #table = table();
  /** Transactions of which a branch has refused. */
  readonly refusals = new Set<string>();
  readonly #nth = new Map<string, number>();
  /** Effects that took place, by gid, then by `branch op`. */
  readonly #effects = new Map<string, Map<string, number>>();
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #hit: (kind: MomentaryKind) => void;

  constructor(scheduler: Scheduler, random: Random, hit: (kind: MomentaryKind) => void) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.#hit = hit;
  }

  heal(): void {
    this.deadUntil.clear();
    this.slowUntil.clear();
    this.flakyUntil.clear();
  }

  /** The services as one process reaches them. */
  callers(process: Place, { sent, epochOf, room, full, cut }: Sender): Callers {
    const settled = new Set<string>();
    const onWire = new Map<string, string>();
    const locations = new Map<string, { readonly origin: string; readonly target: string }>();
    return {
      locate: (_protocol, url) => {
        const known = locations.get(url);
        if (known !== undefined) return known;
        const location = { origin: originOf(url), target: url };
        locations.set(url, location);
        return location;
      },
      call: async (call) => {
        if (!process.does("call")) return new Promise<Answer>(() => {});
        sent(call);
        const place = `${call.gid} ${call.branchId} under epoch ${epochOf(call.gid)}`;
        const key = `${place} ${call.op}`;
        if (settled.has(key)) this.wasted.push(`S8: ${process.name} called ${key} again after its own success`);
        if (call.op === "compensate" && onWire.has(`${place} action`))
          this.wasted.push(`S7: ${process.name} compensates ${place} while its action is on the wire`);
        onWire.set(key, originOf(call.url));
        if (onWire.size > room.perOrigin) this.#judgeRoom(process, [...onWire.values()], originOf(call.url), room);
        if (onWire.size === room.perNode) full();
        const answer = await this.#exchange(process, call, cut);
        onWire.delete(key);
        if (answer.outcome === "success" && call.branchId !== "00") settled.add(key);
        return answer;
      },
      close: async () => {},
    };
  }

  #judgeRoom({ name }: Place, origins: readonly string[], to: string, { perOrigin, perNode }: Sender["room"]): void {
    const beside = origins.filter((origin) => origin === to).length;
    if (origins.length > perNode || beside > perOrigin)
      this.wasted.push(`S10: ${name} has ${origins.length} calls on the wire, ${beside} of them to one origin`);
  }

  #exchange(process: Place, call: Call, cut: () => boolean): Promise<Answer> {
    return new Promise((resolve) => {
      const { nowMs } = this.#scheduler;
      let answered = false;
      const answer = (value: Answer, delayMs: number) =>
        this.#scheduler.after(delayMs, () =>
          process.run(() => {
            if (answered) return this.#hit("answerLate");
            answered = true;
            timeout.cancelled = true;
            resolve(value);
          }),
        );
      const timeout = answer({ outcome: "unknown", detail: "timeout" }, call.timeoutMs);
      const host = originOf(call.url).slice("http://".length);
      if ((this.deadUntil.get(host) ?? 0) > nowMs)
        return void answer({ outcome: "unknown", detail: "connection refused" }, 1);
      const slow = (this.slowUntil.get(host) ?? 0) > nowMs ? this.#random.between(500, 8000) : 0;
      const flaky = (this.flakyUntil.get(host) ?? 0) > nowMs;
      const times = this.#random.chance(flaky ? 0.2 : 0.02) ? 0 : this.#random.chance(flaky ? 0.3 : 0.03) ? 2 : 1;
      if (times === 0) this.#hit("callLost");
      if (times === 2) this.#hit("callDoubled");
      if (cut()) return this.#hit("callCut");
      for (let i = 0; i < times; i++)
        this.#scheduler.after(this.#random.between(0.2, flaky ? 400 : 4) + slow, () => {
          void this.#perform(call).then((value) => {
            if (this.#random.chance(flaky ? 0.2 : 0.02)) this.#hit("answerLost");
            else if (cut()) this.#hit("answerCut");
            else answer(value, this.#random.between(0.2, flaky ? 3000 : 4));
          });
        });
    });
  }

  async #perform(call: Call): Promise<Answer> {
    const { gid, branchId, op } = call;
    if (op === "msg") return this.#checkBack(gid);
    if (branchId === "00") {
      this.executors.get(gid)?.();
      return { outcome: "success", detail: "" };
    }
    const key = `${gid} ${branchId} ${op}`;
    const nth = (this.#nth.get(key) ?? 0) + 1;
    this.#nth.set(key, nth);
    const manner = this.manners.get(`${gid} ${branchId}`) ?? plain;
    if (nth <= manner.ongoing) return this.#odd("answeredOngoing", { outcome: "ongoing", detail: "not yet" });
    if (nth <= manner.ongoing + manner.unknownBefore)
      return this.#odd("unclearBeforeWork", { outcome: "unknown", detail: "out of order" });
    if (manner.refuses && (op === "action" || op === "try") && call.type !== "msg") return this.#refuse(gid);
    await this.effect(call);
    const late = nth <= manner.ongoing + manner.unknownBefore + manner.unknownAfter;
    if (late) return this.#odd("unclearAfterWork", { outcome: "unknown", detail: "done, but the answer was lost" });
    return { outcome: "success", detail: "" };
  }

  #refuse(gid: string): Answer {
    this.refusals.add(gid);
    return this.#odd("refusedWork", { outcome: "failure", detail: "no" });
  }

  #odd(kind: MomentaryKind, answer: Answer): Answer {
    this.#hit(kind);
    return answer;
  }

  /** Does the work of an op behind the barrier, in one go. */
  async effect({ gid, branchId, op, type }: Pick<Call, "gid" | "branchId" | "op" | "type">): Promise<void> {
    const verdict = await passBarrier(this.#table, { gid, branchId, op, transType: type }, "01");
    if (verdict !== "execute") return;
    const effects = this.#effects.get(gid) ?? new Map<string, number>();
    this.#effects.set(gid, effects);
    const key = `${branchId} ${op}`;
    effects.set(key, (effects.get(key) ?? 0) + 1);
    const { amount } = this.manners.get(`${gid} ${branchId}`) ?? plain;
    if (doing.has(op)) this.move(gid, amount);
    if (undoing.has(op)) this.move(gid, -amount);
  }

  /** Money of a transaction comes to an account or leaves it. */
  move(gid: string, amount: number): void {
    this.moved.set(gid, (this.moved.get(gid) ?? 0) + amount);
  }

  /** How often each op of a transaction had its effect, by `branch op`. */
  effectsOf(gid: string): ReadonlyMap<string, number> {
    return this.#effects.get(gid) ?? none;
  }

  /** Net effect of a branch: 1 = its work stands, 0 = never done or undone. */
  net(gid: string, branchId: string, forward: string): number {
    const effects = this.effectsOf(gid);
    const done = effects.get(`${branchId} ${forward}`) ?? 0;
    for (const op of undoing) if (effects.has(`${branchId} ${op}`)) return done - 1;
    return done;
  }

  /** The initiator's local transaction of a message; `false`: a check-back has forbidden it before. */
  async commitLocally(gid: string, amount: number): Promise<boolean> {
    try {
      await passBarrier(this.#table, { gid, branchId: "00", op: "msg", transType: "msg" }, "01");
    } catch (error) {
      if (error instanceof Duplicated) return this.committed.has(gid);
      throw error;
    }
    this.committed.add(gid);
    this.move(gid, amount);
    return true;
  }

  async #checkBack(gid: string): Promise<Answer> {
    if (this.#random.chance(0.2)) return this.#odd("checkBackUnclear", { outcome: "unknown", detail: "database away" });
    const row = checkBackRow(gid, "msg");
    await this.#table.insertIgnore(row);
    const verdict = checkBackVerdict(await this.#table.reason(row), gid);
    return verdict === "committed" ? { outcome: "success", detail: "" } : { outcome: "failure", detail: "rolled back" };
  }
}

function originOf(url: string): string {
  return url.slice(0, url.indexOf("/", "http://".length));
}

/** A barrier table in memory; every statement is one step. */
function table(): BarrierRows {
  const rows = new Map<string, string>();
  const keyOf = ({ gid, branchId, op, barrierId }: BarrierKey) => `${gid}/${branchId}/${op}/${barrierId}`;
  return {
    insertIgnore: async (row) => {
      const key = keyOf(row);
      if (rows.has(key)) return false;
      rows.set(key, row.reason);
      return true;
    },
    reason: async (key) => rows.get(keyOf(key)),
  };
}
