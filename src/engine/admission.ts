/**
 * Who is let in (architecture 6, Admission): limits per node, new transactions refused first. What exists goes on:
 * inputs for it, answers and timers are never refused. Also knows who has waited too long for a store that takes
 * nothing.
 */
import { type Refusal, type Reply, type Request, refused } from "../core/input.js";
import type { Cancel } from "../ports/clock.js";
import { Numbered } from "../slotmap.js";
import type { Actor } from "./actor.js";
import type { Services } from "./services.js";

/** How long a look at the backlog counts, milliseconds: it walks over all targets. */
const lookMs = 50;

/**
 * Commits that wait longer than this, milliseconds, mean that this node is behind: with every transaction more it would
 * get slower, not do more. Well above what a busy node shows (35 ms at 256 clients), well below what a client waits.
 */
const delayMaxMs = 120;

/**
 * Work under way beyond which recovery waits. Measured at machine load 10 (20,000 due, LMDB): 384 drains 1,400/s
 * and a new submit takes 5 ms, 640 1,900/s and 7 ms, 1024 3,000/s and 250 ms.
 */
const recoveringMax = 768;

/**
 * While this node is behind, newcomers wait for their turn before anything is done for them: at most so many, so
 * large, so long; then they are refused. Refusing costs nearly as much as accepting, so a node that refuses at once
 * spends itself on it (measured: 4 % of the peak were left); waiting costs nothing. As many go on as fill two flushes.
 */
const line = { max: 16_384, bytesMax: 64 << 20, longestMs: 5000, everyMs: 5 } as const;

interface Newcomer {
  readonly bytes: number;
  readonly sinceMs: number;
  readonly go: (admitted: boolean) => void;
}

interface Pending {
  readonly sinceMs: number;
  readonly resolve: (reply: Reply) => void;
}

export class Admission {
  readonly #services: Services;
  readonly #resident: () => number;
  readonly #pending = new Numbered<Pending>();
  #looked = { atMs: Number.NEGATIVE_INFINITY, backlog: 0 };
  #sweep: Cancel | undefined;
  #line: Newcomer[] = [];
  #lineBytes = 0;
  #pump: Cancel | undefined;

  constructor(services: Services, resident: () => number) {
    this.#services = services;
    this.#resident = resident;
  }

  /** More work is under way than this node keeps up with, or more is in memory than fits. */
  overloaded(): boolean {
    const { committer, settings } = this.#services;
    return this.#full() || committer.delayMs > delayMaxMs || this.#active() > settings.activeMax;
  }

  /** No room is left in memory: waiting would not help. */
  #full(): boolean {
    const { committer, footprint, settings } = this.#services;
    const { queuedBytes } = committer;
    if (queuedBytes > settings.queuedBytesMax || footprint.isFull(queuedBytes)) return true;
    return this.#resident() >= settings.residentMax;
  }

  /** So much beyond the limits that not even looking is affordable. */
  swamped(): boolean {
    const { activeMax, residentMax } = this.#services.settings;
    return this.#active() > activeMax * 2 || this.#resident() > residentMax * 2;
  }

  /** Newcomers have to wait for their turn. */
  get crowded(): boolean {
    return this.#line.length > 0 || this.overloaded();
  }

  /** Whether a newcomer of that size may come in: at once, or when its turn has come; `false` when it must go. */
  async admits(bytes: number): Promise<boolean> {
    if (!this.crowded) return true;
    if (this.#line.length >= line.max || this.#lineBytes + bytes > line.bytesMax || this.#full()) return false;
    return new Promise((go) => {
      this.#lineBytes += bytes;
      this.#line.push({ bytes, sinceMs: this.#services.clock.monotonicMs(), go });
      this.#pump ??= this.#services.clock.after(line.everyMs, () => this.#pumpNow());
    });
  }

  /** What is brought back from the store leaves at least half of the room to new work. */
  roomForRecovery(): boolean {
    const { committer, dispatcher, footprint, settings } = this.#services;
    if (footprint.isTight) return false;
    const work = committer.queued + dispatcher.inFlight + dispatcher.backlog();
    return work < Math.min(settings.activeMax / 8, recoveringMax) && this.#resident() < settings.residentMax / 2;
  }

  /** Why a request cannot be taken now, as far as that is known without looking at its transaction. */
  refuse(request: Request, actor: Actor | undefined): Refusal | undefined {
    const { settings, committer, clock, ownership } = this.#services;
    if (ownership.remainingMs() <= 0)
      return { ...refused("UNAVAILABLE", "this node stands still until it has renewed its lease"), retryAfterS: 1 };
    if (request.kind === "query") return actor === undefined && this.swamped() ? this.overload() : undefined;
    if (actor !== undefined && actor.queued >= settings.mailboxMax)
      return { ...refused("TOO_MANY", `${actor.queued} requests for this gid wait already`), retryAfterS: 1 };
    if (request.kind === "await") return undefined;
    const sinceMs = committer.unavailableSinceMs;
    if (sinceMs === undefined) return undefined;
    const seconds = Math.round((clock.monotonicMs() - sinceMs) / 1000);
    return {
      ...refused("UNAVAILABLE", `the store has taken no write for ${seconds} s, nothing was accepted`),
      retryAfterS: 2,
    };
  }

  overload(): Refusal {
    return {
      ...refused("OVERLOADED", "this node has more work than it keeps up with, nothing was accepted"),
      retryAfterS: 1,
    };
  }

  /** Notes a request whose reply is outstanding; the returned function replies, once. */
  enter(resolve: (reply: Reply) => void): (reply: Reply) => void {
    const id = this.#pending.add({ sinceMs: this.#services.clock.monotonicMs(), resolve });
    this.#sweep ??= this.#services.clock.after(1000, () => this.#sweepNow());
    return (reply) => this.#pending.take(id)?.resolve(reply);
  }

  close(): void {
    this.#sweep?.();
    this.#pump?.();
    this.#leave(this.#line.length, false);
    for (const { resolve } of this.#pending.values())
      resolve({ ...refused("UNAVAILABLE", "this node shut down"), retryAfterS: 1 });
    this.#pending.clear();
  }

  #pumpNow(): void {
    this.#pump = undefined;
    const { clock, committer, settings } = this.#services;
    const tooOldMs = clock.monotonicMs() - line.longestMs;
    const old = this.#line.findIndex(({ sinceMs }) => sinceMs > tooOldMs);
    this.#leave(old < 0 ? this.#line.length : old, false);
    const room = 2 * settings.flush.commitsMax - committer.queued; // one flush is under way, the next one gathers
    if (room > 0 && !this.#full() && this.#active() <= settings.activeMax) this.#leave(room, true);
    if (this.#line.length > 0) this.#pump = clock.after(line.everyMs, () => this.#pumpNow());
  }

  #leave(count: number, admitted: boolean): void {
    for (const { bytes, go } of this.#line.splice(0, count)) {
      this.#lineBytes -= bytes;
      go(admitted);
    }
  }

  #active(): number {
    const { clock, committer, dispatcher } = this.#services;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#looked.atMs > lookMs) this.#looked = { atMs: nowMs, backlog: dispatcher.backlog() };
    return committer.queued + dispatcher.inFlight + this.#looked.backlog;
  }

  /** While the store takes nothing, whoever has waited long enough is told; what it asked for may still be recorded. */
  #sweepNow(): void {
    this.#sweep = undefined;
    const { clock, committer, settings } = this.#services;
    if (committer.unavailableSinceMs !== undefined) {
      const beforeMs = clock.monotonicMs() - settings.storeWaitMs;
      for (const [id, pending] of this.#pending.entries()) {
        if (pending.sinceMs > beforeMs) continue;
        this.#pending.take(id);
        pending.resolve({
          ...refused("UNAVAILABLE", "the store takes no writes, ask again with the same gid"),
          retryAfterS: 2,
        });
      }
    }
    if (this.#pending.size > 0) this.#sweep = clock.after(1000, () => this.#sweepNow());
  }
}
