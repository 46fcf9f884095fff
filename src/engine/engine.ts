/**
 * All actors of a node, and the door to them. Decides who is let in, brings actors into memory and out of it, and ends
 * in good order. Knows no protocol, no store and no other node.
 */
import { type Refusal, type Reply, type Request, refused } from "../core/input.js";
import { shardOf } from "../core/shard.js";
import type { Callers } from "../ports/caller.js";
import type { Clock, Random } from "../ports/clock.js";
import type { Log, Observer } from "../ports/observer.js";
import type { Ownership } from "../ports/ownership.js";
import type { Store } from "../ports/store.js";
import type { EngineStats, Targets } from "../ports/targets.js";
import type { KeyValues } from "../ports/topics.js";
import type { Workforce } from "../ports/workforce.js";
import { SlotMap } from "../slotmap.js";
import { Actor, residentHorizonMs } from "./actor.js";
import { Admission } from "./admission.js";
import { submissionBytes } from "./bytes.js";
import { Committer } from "./committer.js";
import { Dispatcher } from "./dispatcher.js";
import { Footprint } from "./footprint.js";
import { Ids } from "./ids.js";
import type { End, Message } from "./message.js";
import { type Place, Recovery } from "./recovery.js";
import { Retention } from "./retention.js";
import type { EngineSettings, Services } from "./services.js";
import { sparing } from "./sparing.js";
import { Timers } from "./timers.js";

/** Everything that an engine gets from outside. */
export interface EnginePorts {
  readonly store: Store;
  readonly keyValues: KeyValues;
  readonly callers: Callers;
  readonly ownership: Ownership;
  readonly clock: Clock;
  readonly random: Random;
  readonly observer: Observer;
  readonly log: Log;
}

/** Poisoned gids remembered. */
const isolatedMax = 10_000;

/** How often an actor that lost its picture is followed by another within one request. */
const followersMax = 5;

/** Actors looked at in one search for resting ones. */
const looksMax = 128;

/** When an actor that could not be loaded, or lost its picture too often, is followed by the next one; milliseconds. */
const followAgainMs = 1000;

export class Engine implements Workforce {
  readonly #services: Services;
  readonly #actors = new SlotMap<string, Actor>();
  readonly #isolated = new Set<string>();
  readonly #draining = new Set<number>();
  /** Shards of `#draining` that take no more requests. */
  readonly #shut = new Set<number>();
  readonly #admission: Admission;
  readonly #recovery: Recovery;
  readonly #retention: Retention | undefined;
  readonly #caller: Callers;
  #closing = false;

  constructor(ports: EnginePorts, settings: EngineSettings) {
    const { store, clock, observer, log, ownership, callers } = ports;
    this.#caller = callers;
    this.#services = {
      ...ports,
      settings,
      unread: sparing(log, clock, "load_failed"),
      committer: new Committer(store, clock, observer, log, settings.flush, () => ownership.remainingMs() > 0),
      footprint: new Footprint(settings.residentBytesMax),
      dispatcher: new Dispatcher(callers, clock, observer, ownership, settings.dispatch),
      ids: new Ids(store),
      timers: new Timers(clock, (gid) => this.wake(gid)),
      draining: this.#draining,
    };
    this.#admission = new Admission(this.#services, () => this.#actors.size);
    this.#recovery = new Recovery(
      store,
      clock,
      log,
      {
        owns: (shard) => ownership.epochOf(shard) !== undefined,
        knows: (gid) => this.#actors.has(gid) || this.#services.timers.has(gid) || this.#isolated.has(gid),
        expect: (gid, atMs) => this.#services.timers.set(gid, atMs),
        reserve: (gid) => this.#reserve(gid),
        hasRoom: () => this.#hasRoom(),
        isTight: () => this.#services.footprint.isTight,
      },
      { horizonMs: residentHorizonMs, page: 500, batch: 128 },
    );
    this.#retention = settings.retention && new Retention(store, clock, log, settings.retention);
  }

  /** Participants as this node sees them. */
  get targets(): Targets {
    return this.#services.dispatcher;
  }

  /** Begins to bring back what is stored. Requests are served from construction on. */
  start(): void {
    this.#recovery.look();
    this.#retention?.start();
  }

  stats(): EngineStats {
    const { committer, dispatcher, footprint, timers, clock } = this.#services;
    const sinceMs = committer.unavailableSinceMs;
    return {
      resident: this.#actors.size,
      residentBytes: footprint.bytes,
      commitsQueued: committer.queued,
      callsInFlight: dispatcher.inFlight,
      callsWaiting: dispatcher.waiting,
      timers: timers.size,
      overloaded: this.#admission.overloaded(),
      swamped: this.#admission.swamped(),
      storeUnavailableMs: sinceMs === undefined ? undefined : clock.monotonicMs() - sinceMs,
      recovering: this.#recovery.running,
    };
  }

  async handle(gid: string, request: Request, signal?: AbortSignal): Promise<Reply> {
    const refusal =
      this.#refusal(gid, request) ?? (this.#isTooMuch(gid, request) ? await this.#refuseNew(gid, request) : undefined);
    if (refusal !== undefined) return refusal;
    if (this.#isolated.has(gid)) return this.stored(gid); // an actor would go on with it
    return new Promise((resolve) => {
      const pending = this.#admission.enter(resolve);
      this.#actorOf(gid).tell(request, pending, signal);
    });
  }

  /** What is stored of a transaction, whoever owns it. Refused when too many are read, or the store is away. */
  async stored(gid: string): Promise<Reply> {
    const crowd = this.#admission.refuse({ kind: "query" }, undefined);
    if (crowd !== undefined) return crowd;
    try {
      const [stored] = await this.#services.store.load([gid]);
      return { kind: "transaction", transaction: stored?.tx };
    } catch {
      return { ...refused("UNAVAILABLE", "the store cannot be read now, ask again"), retryAfterS: 1 };
    }
  }

  /** Lets a transaction look for what is due: at once when it is in memory, else when recovery has read it. */
  wake(gid: string): void {
    if (this.#closing || this.#isolated.has(gid)) return;
    if (this.#services.ownership.epochOf(shardOf(gid)) === undefined) return;
    const actor = this.#actors.get(gid);
    if (actor === undefined) this.#recovery.bring(gid);
    else actor.tell({ kind: "woke" });
  }

  /** Shards were gained: brings back their transactions. */
  gained(): void {
    this.#recovery.look();
  }

  /** Shards are gone: their actors end at once, unanswered requests are told to ask elsewhere. */
  lost(shards: ReadonlySet<number>): void {
    for (const shard of shards) this.#services.ids.forget(shard);
    for (const actor of [...this.#actors.values()]) if (shards.has(actor.shard)) actor.end("lost");
    this.#services.timers.clearIf((gid) => shards.has(shardOf(gid)));
    for (const shard of shards) this.#draining.delete(shard);
    for (const shard of shards) this.#shut.delete(shard);
  }

  /**
   * Ends the work on shards in good order: no call starts, those on the wire are waited for at most `graceMs`, then no
   * request is taken and what is decided is flushed. `lost` follows.
   */
  async drain(shards: ReadonlySet<number>, graceMs: number): Promise<void> {
    const { clock } = this.#services;
    const until = async (limitMs: number, done: (actor: Actor) => boolean) => {
      const endMs = clock.monotonicMs() + limitMs;
      const open = () => [...this.#actors.values()].some((actor) => shards.has(actor.shard) && !done(actor));
      while (open() && clock.monotonicMs() < endMs) await new Promise<void>((resolve) => void clock.after(10, resolve));
    };
    for (const shard of shards) this.#draining.add(shard);
    for (const actor of this.#actors.values()) if (shards.has(actor.shard)) actor.holdBack();
    await until(graceMs, (actor) => !actor.calling);
    for (const shard of shards) if (this.#draining.has(shard)) this.#shut.add(shard); // not lost meanwhile
    await until(1000, (actor) => !actor.busy);
  }

  /**
   * Ends in good order: takes no requests, starts no calls, waits for those on the wire at most `graceMs`, then
   * flushes. What is not finished is durable and goes on after the next start.
   */
  async close(graceMs: number): Promise<void> {
    const { dispatcher, committer, timers, clock } = this.#services;
    this.#closing = true;
    timers.close();
    dispatcher.stop();
    const untilMs = clock.monotonicMs() + graceMs;
    await Promise.all([this.#retention?.close(), this.#recovery.close()]);
    const busy = () => dispatcher.inFlight > 0 || committer.queued > 0;
    while (busy() && clock.monotonicMs() < untilMs) await new Promise<void>((resolve) => void clock.after(10, resolve));
    for (const actor of [...this.#actors.values()]) actor.end("rests");
    await committer.close();
    this.#admission.close();
    dispatcher.abort(); // nobody is left to take an aborted call for an attempt
    await this.#caller.close();
  }

  #refusal(gid: string, request: Request): Refusal | undefined {
    const shard = shardOf(gid);
    if (this.#services.ownership.epochOf(shard) === undefined || this.#shut.has(shard))
      return refused("NOT_OWNER", `gid ${gid}: this node does not own shard ${shard}`);
    if (this.#closing) return { ...refused("UNAVAILABLE", "this node is shutting down, ask again"), retryAfterS: 1 };
    if (this.#isolated.has(gid) && request.kind !== "query")
      return refused("INTERNAL", `gid ${gid}: stopped, the store refused what it would record; see the log`);
    return this.#admission.refuse(request, this.#actors.get(gid));
  }

  /** May be a new transaction while there is more work than this node keeps up with. */
  #isTooMuch(gid: string, request: Request): boolean {
    if (!("submission" in request) || this.#actors.has(gid)) return false;
    this.#makeRoom(this.#services.settings.residentMax);
    return this.#admission.crowded;
  }

  /** Over the limit only what exists already goes on at once; whether it does is then worth a look at the store. */
  async #refuseNew(gid: string, request: Request): Promise<Refusal | undefined> {
    const [stored] = await this.#services.store.load([gid]).catch(() => [undefined]);
    const bytes = "submission" in request ? submissionBytes(request.submission) : 0;
    if (stored === undefined && !(await this.#admission.admits(bytes))) return this.#admission.overload();
    return this.#refusal(gid, request);
  }

  #actorOf(gid: string, optimistic = true): Actor {
    const known = this.#actors.get(gid);
    if (known !== undefined) return known;
    this.#makeRoom(this.#services.settings.residentMax);
    const actor = new Actor(gid, shardOf(gid), this.#services, optimistic, (ended, end, unread) =>
      this.#ended(ended, end, unread),
    );
    this.#actors.set(gid, actor);
    return actor;
  }

  #reserve(gid: string): Place | undefined {
    const owned = this.#services.ownership.epochOf(shardOf(gid)) !== undefined;
    return this.#closing || this.#isolated.has(gid) || !owned ? undefined : this.#actorOf(gid).reserve();
  }

  #hasRoom(): boolean {
    this.#makeRoom(this.#services.settings.residentMax / 2);
    return this.#admission.roomForRecovery();
  }

  /**
   * Lets resting actors leave while there are more than `most`, or they hold too many bytes. Looks at some only, those
   * looked at longest ago first, so that a memory full of busy ones costs each newcomer little. Who leaves is woken at
   * its time (`#ended`).
   */
  #makeRoom(most: number): void {
    if (this.#actors.size < most && !this.#services.footprint.isTight) return;
    let looks = looksMax;
    for (const [gid, actor] of this.#actors.entries()) {
      if (looks-- === 0) return;
      if (actor.resting) actor.end("rests");
      else {
        this.#actors.take(gid);
        this.#actors.set(gid, actor);
      }
    }
  }

  #ended(actor: Actor, end: End, unread: readonly Message[]): void {
    const { gid } = actor;
    if (this.#actors.get(gid) === actor) this.#actors.take(gid);
    if (end === "isolated") this.#isolate(gid);
    const requests = unread.filter(({ reply }) => reply !== undefined);
    if (this.#closing || this.#services.ownership.epochOf(actor.shard) === undefined) {
      for (const { reply } of requests)
        reply?.(refused("NOT_OWNER", `gid ${gid}: shard ${actor.shard} has a new owner`));
      return;
    }
    if (end === "final" && unread.length === 0) return;
    if (end === "lost" && actor.generation < followersMax) return this.#follow(actor, requests);
    const { timers, clock } = this.#services;
    if (end === "lost" || end === "unreadable") timers.set(gid, clock.nowMs() + followAgainMs);
    if (end === "rests" && actor.comesBackAtMs !== undefined) timers.set(gid, actor.comesBackAtMs);
    else if (end === "rests") this.#recovery.left();
    for (const { reply } of requests) reply?.({ ...refused("UNAVAILABLE", `gid ${gid}: ask again`), retryAfterS: 1 });
  }

  /** A new actor looks at the store before it supposes anything, and goes on. */
  #follow(lost: Actor, requests: readonly Message[]): void {
    const next = this.#actorOf(lost.gid, false);
    next.generation = lost.generation + 1;
    for (const { input, reply, signal } of requests) next.tell(input, reply, signal);
    next.tell({ kind: "woke" });
  }

  #isolate(gid: string): void {
    this.#services.log.error("transaction_isolated", { gid });
    if (this.#isolated.size >= isolatedMax) this.#isolated.delete(this.#isolated.values().next().value ?? gid);
    this.#isolated.add(gid);
  }
}
