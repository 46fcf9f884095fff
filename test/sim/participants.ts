/**
 * The services of a simulated business: accounts behind the SDK's barrier, reached over a network that loses, doubles
 * and delays. They also play workflow clients and answer check-backs. Every effect is counted.
 */
import { type BarrierRows, passBarrier } from "../../src/client/barrier/core.js";
import type { Outcome } from "../../src/core/transaction.js";
import type { Answer, Call, Callers } from "../../src/ports/caller.js";
import type { Process } from "./machine.js";
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
}

export const plain: Manner = { refuses: false, unknownBefore: 0, unknownAfter: 0, ongoing: 0 };

/** A call as a participant saw it. */
export interface Seen {
  readonly atMs: number;
  readonly gid: string;
  readonly branchId: string;
  readonly op: string;
  readonly node: string;
}

const undoing = new Set(["compensate", "cancel", "rollback"]);

export class Services {
  readonly seen: Seen[] = [];
  /** Effects that took place, by `gid branch op`. */
  readonly effects = new Map<string, number>();
  readonly manners = new Map<string, Manner>();
  /** Answers a check-back: whether the initiator's local transaction committed. */
  readonly committed = new Map<string, boolean>();
  /** Plays the executor of a workflow when it is called back. */
  readonly executors = new Map<string, () => void>();
  readonly deadUntil = new Map<string, number>();
  readonly slowUntil = new Map<string, number>();
  /** Calls that one process made though it had been told success before. */
  readonly wasted: string[] = [];
  lost = 0;
  doubled = 0;
  readonly #rows = new Map<string, string>();
  readonly #nth = new Map<string, number>();
  readonly #scheduler: Scheduler;
  readonly #random: Random;

  constructor(scheduler: Scheduler, random: Random) {
    this.#scheduler = scheduler;
    this.#random = random;
  }

  /**
   * The services as one process reaches them. `sent` is told at the moment a call goes on the wire; `epochOf` is the
   * right under which the process works on a gid then: a reload under a new one may have to call again.
   */
  callers(process: Process, sent: (call: Call) => void, epochOf: (gid: string) => number | undefined): Callers {
    const settled = new Set<string>();
    return {
      locate: (_protocol, url) => {
        const origin = url.split("/").slice(0, 3).join("/");
        return { origin, target: url.split("?")[0]! };
      },
      call: async (call) => {
        sent(call);
        const key = `${call.gid} ${call.branchId} ${call.op} under epoch ${epochOf(call.gid)}`;
        if (settled.has(key)) this.wasted.push(`${process.name} called ${key} again after its own success`);
        const answer = await this.#exchange(process, call);
        if (answer.outcome === "success" && call.branchId !== "00") settled.add(key);
        return answer;
      },
      close: async () => {},
    };
  }

  #exchange(process: Process, call: Call): Promise<Answer> {
    return new Promise((resolve) => {
      let answered = false;
      const answer = (value: Answer, delayMs: number) =>
        this.#scheduler.after(delayMs, () =>
          process.run(() => {
            if (answered) return;
            answered = true;
            resolve(value);
          }),
        );
      answer({ outcome: "unknown", detail: "timeout" }, call.timeoutMs);
      const host = call.url.split("/")[2]!;
      if ((this.deadUntil.get(host) ?? 0) > this.#scheduler.nowMs)
        return void answer({ outcome: "unknown", detail: "connection refused" }, 1);
      const slow = (this.slowUntil.get(host) ?? 0) > this.#scheduler.nowMs ? this.#random.between(500, 8000) : 0;
      const times = this.#random.chance(0.02) ? 0 : this.#random.chance(0.03) ? 2 : 1;
      if (times === 0) this.lost++;
      if (times === 2) this.doubled++;
      for (let i = 0; i < times; i++)
        this.#scheduler.after(this.#random.between(0.2, 4) + slow, () => {
          void this.#perform(process, call).then((value) => {
            if (this.#random.chance(0.02)) this.lost++;
            else answer(value, this.#random.between(0.2, 4));
          });
        });
    });
  }

  async #perform(process: Process, call: Call): Promise<Answer> {
    const { gid, branchId, op } = call;
    this.seen.push({ atMs: this.#scheduler.nowMs, gid, branchId, op, node: process.name });
    if (op === "msg") return this.#checkBack(gid);
    if (branchId === "00") {
      this.executors.get(gid)?.();
      return { outcome: "success", detail: "" };
    }
    const key = `${gid} ${branchId} ${op}`;
    const nth = (this.#nth.get(key) ?? 0) + 1;
    this.#nth.set(key, nth);
    const manner = this.manners.get(`${gid} ${branchId}`) ?? plain;
    if (nth <= manner.ongoing) return { outcome: "ongoing", detail: "not yet" };
    if (nth <= manner.ongoing + manner.unknownBefore) return { outcome: "unknown", detail: "out of order" };
    if (manner.refuses && (op === "action" || op === "try") && call.type !== "msg")
      return { outcome: "failure", detail: "no" };
    await this.effect(call);
    const late = nth <= manner.ongoing + manner.unknownBefore + manner.unknownAfter;
    const outcome: Outcome = late ? "unknown" : "success";
    return { outcome, detail: late ? "done, but the answer was lost" : "" };
  }

  /** Does the work of an op behind the barrier, in one go. */
  async effect({ gid, branchId, op, type }: Pick<Call, "gid" | "branchId" | "op" | "type">): Promise<void> {
    const verdict = await passBarrier(this.#table(), { gid, branchId, op, transType: type }, "01");
    if (verdict !== "execute") return;
    const key = `${gid} ${branchId} ${op}`;
    this.effects.set(key, (this.effects.get(key) ?? 0) + 1);
  }

  /** Net effect of a branch: 1 = its work stands, 0 = never done or undone. */
  net(gid: string, branchId: string, forward: string): number {
    const undo = [...undoing].find((op) => this.effects.has(`${gid} ${branchId} ${op}`));
    return (this.effects.get(`${gid} ${branchId} ${forward}`) ?? 0) - (undo === undefined ? 0 : 1);
  }

  #checkBack(gid: string): Answer {
    if (this.#random.chance(0.2)) return { outcome: "unknown", detail: "database away" };
    const committed = this.committed.get(gid);
    if (committed === undefined) this.committed.set(gid, false); // it can never commit from now on
    return committed === true ? { outcome: "success", detail: "" } : { outcome: "failure", detail: "rolled back" };
  }

  #table(): BarrierRows {
    const keyOf = (row: { gid: string; branchId: string; op: string; barrierId: string }) =>
      JSON.stringify([row.gid, row.branchId, row.op, row.barrierId]);
    return {
      insertIgnore: async (row) => {
        if (this.#rows.has(keyOf(row))) return false;
        this.#rows.set(keyOf(row), row.reason);
        return true;
      },
      reason: async (key) => this.#rows.get(keyOf(key)),
    };
  }
}
