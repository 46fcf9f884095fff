/**
 * A whole cluster in one process: real members (engine, keeper, router, link) on machines, one shared store with its
 * leases, one network. Starts and ends nodes, and carries requests to them.
 */
import { MemoryHub } from "../../cluster/bus/memory.js";
import { createMember, type Member } from "../../cluster/member.js";
import type { Reply, Request } from "../../src/core/input.js";
import { shardCount, shardOf } from "../../src/core/shard.js";
import type { EngineSettings } from "../../src/engine/services.js";
import type { Log } from "../../src/ports/observer.js";
import type { Commit, Store, Verdict } from "../../src/ports/store.js";
import type { KeyValues } from "../../src/ports/topics.js";
import { MemoryLeases } from "../../src/store/memory/leases.js";
import { MemoryStore } from "../../src/store/memory/memory.js";
import { settings as engineDefaults } from "../engine/harness.js";
import { Coverage, states } from "./coverage.js";
import { Crews, type Furnishing } from "./crew.js";
import type { MomentaryKind } from "./faults.js";
import { isFinal, Ledger } from "./ledger.js";
import { type Place, Process } from "./machine.js";
import { Network } from "./network.js";
import { Services } from "./participants.js";
import { remoteKeyValues, remoteLeases, remoteStore, type Shared } from "./paths.js";
import { plainSaga } from "./plain.js";
import type { Random } from "./random.js";
import { type Law, type Right, Rights } from "./rights.js";
import { Scheduler } from "./scheduler.js";
import { eventText, replyText } from "./texts.js";
import { Trace } from "./trace.js";

export const startMs = Date.UTC(2026, 0, 1);

/** Lease of the keepers, and the time beyond it within which shards of the dead are served again (L2). */
const takeOverMs = 3500;

/** Beyond it, until what was due has been called for or recorded anew. */
const takeUpMs = 1500;

export interface Node {
  readonly process: Process;
  /** Where all but the engines run, if those have threads of their own. */
  readonly main: Place;
  readonly member: Member;
  /** As the process reaches them. */
  readonly store: Store;
  readonly keyValues: KeyValues;
}

export interface WorldOptions {
  readonly keepStory: boolean;
  /** After how long the journal of a finished transaction is purged. */
  readonly journalMs: number;
  /** What differs from the engine of other tests. */
  readonly engine: Partial<EngineSettings>;
  /** Chance of engines on threads of their own; without it no node has them. */
  readonly crews: Random | undefined;
}

export class World {
  readonly scheduler = new Scheduler(startMs);
  readonly coverage = new Coverage();
  readonly ledger = new Ledger(this.coverage, () => this.scheduler.nowMs);
  readonly trace: Trace;
  readonly leases: MemoryLeases;
  readonly store: MemoryStore;
  readonly services: Services;
  readonly network: Network;
  readonly nodes = new Map<string, Node>();
  /** All that ever ran. */
  readonly processes: Process[] = [];
  readonly poisoned = new Set<string>();
  /** An operator asked to stop them. */
  readonly forced = new Set<string>();
  readonly violations: string[] = [];
  /** What the topic has held, and since when. */
  readonly editions: { readonly urls: readonly string[]; readonly sinceMs: number }[] = [];
  /** For those who only look. */
  readonly curious: Random;
  readonly #random: Random;
  readonly #hub: MemoryHub;
  readonly #settings: EngineSettings;
  readonly #law: Law;
  readonly #crews: Crews | undefined;
  #healed = false;
  /** Nothing has disturbed the cluster's ownership since. */
  #disturbedMs = startMs;
  #storeSkewMs = 0;
  #storeJumpedMs = Number.NEGATIVE_INFINITY;

  constructor(random: Random, { keepStory, journalMs, engine, crews }: WorldOptions) {
    this.#random = random.fork();
    this.curious = random.fork();
    this.trace = new Trace(this.scheduler, keepStory);
    this.#settings = {
      ...engineDefaults,
      defaults: { timeoutToFailMs: 8000, requestTimeoutMs: 2000, retryIntervalMs: 1000 },
      waitResultMs: 5000,
      retention: { journalMs, headMs: 7_200_000 },
      ...engine,
    };
    this.leases = new MemoryLeases(() => this.scheduler.nowMs + this.#storeSkewMs);
    this.store = new MemoryStore((shard) => this.leases.epochOf(shard));
    const hit = (kind: MomentaryKind) => this.hit(kind);
    this.services = new Services(this.scheduler, random.fork(), hit);
    this.network = new Network(this.scheduler, random.fork(), hit, (end) => this.coverage.count(`doubt: ${end}`));
    const { scheduler, coverage, violations, leases } = this;
    this.#law = {
      ...{ leases, coverage, violations },
      storeNowMs: () => scheduler.nowMs + this.#storeSkewMs,
      isJumping: () => scheduler.nowMs - this.#storeJumpedMs < takeOverMs,
    };
    this.#crews =
      crews &&
      new Crews(crews, {
        ...{ scheduler, coverage, violations, settings: this.#settings },
        disturb: (untilMs) => this.disturb(untilMs),
        isHealed: () => this.#healed,
      });
    this.#hub = new MemoryHub(this.scheduler.clock(), (from, to) => this.network.delivery(from, to));
  }

  /** Everything that was ever stored is final, but for what the store refuses. */
  get finished(): boolean {
    for (const gid of this.ledger.unfinished) if (!this.poisoned.has(gid)) return false;
    return true;
  }

  hit(kind: MomentaryKind): void {
    this.coverage.count(`hit: ${kind}`);
  }

  say(line: string): void {
    this.trace.say(line);
  }

  /** Starts a node. A name that ran before is a restart of the same node; one that still runs gets a rival. */
  boot(name: string): void {
    const process = new Process(name, this.scheduler, this.#random.fork(), (kind) => this.hit(kind));
    this.processes.push(process);
    const path = this.network.pathOf(name);
    const shared = this.#shared();
    const bus = this.#hub.connect(name);
    const rights = new Rights(this.#law, name, () => member.keeper);
    const furnishing: Furnishing = {
      path,
      store: (at, owner, right) => remoteStore(at, path, shared, owner, () => rights.judge("flush", right())),
      keyValues: (at) => remoteKeyValues(at, path, shared),
      callers: (at, right, { dispatch }) => this.#callers(at, rights, right, dispatch),
    };
    const staff = this.#crews?.draw(process, furnishing);
    const main = staff?.main ?? process;
    const store = furnishing.store(
      main,
      () => member.keeper,
      () => member.keeper,
    );
    const keyValues = furnishing.keyValues(main);
    const member: Member = createMember(
      {
        ...(staff && { employ: staff.employ }),
        store,
        keyValues,
        leases: remoteLeases(main, path, shared, rights.givenUp),
        bus: {
          ...bus,
          send: (to, message) => main.does("message") && bus.send(to, message),
          announce: (message) => void (main.does("message") && bus.announce(message)),
          receive: (handler) => bus.receive((message) => main.run(() => handler(message))),
        },
        callers: furnishing.callers(main, () => member.keeper, this.#settings),
        clock: main.clock(),
        random: () => main.random(),
        log: this.#log(name),
        observer: {
          finished: () => {},
          called: () => {},
          flushed: () => {},
          lateAnswer: () => this.coverage.count("purge or late: late answer"),
          breaker: (_target, open) => this.coverage.count(`breaker: ${open ? "open" : "closed"}`),
          stuck: () => {},
        },
      },
      this.#settings,
      { name, address: `http://${name}` },
      (why) => this.#fell(process, why),
    );
    const node = { process, main, member, store, keyValues };
    this.nodes.set(name, node);
    this.say(`${name} starts`);
    main.run(() => {
      member.start().catch(() => {
        process.crash(); // a process that cannot start ends, and is started again
        this.restart(name, node, 500);
      });
    });
  }

  /** Sends a request through a living node and brings back its reply; `undefined`: none came in time. */
  ask(random: Random, gid: string, request: Request, timeoutMs = 6000, signal?: AbortSignal, own = true) {
    const node = random.pick([...this.nodes.values()].filter(({ process }) => process.alive)) as Node | undefined;
    return new Promise<Reply | undefined>((resolve) => {
      const timeout = this.scheduler.after(timeoutMs, () => resolve(undefined));
      if (node === undefined) return;
      const { name } = node.process;
      this.scheduler.after(random.between(0.2, 2), () => {
        if (this.network.isIsolated(name)) return this.hit("requestCut");
        node.main.run(() => {
          void node.member.coordinator.handle(gid, request, signal).then((reply) => {
            if (!node.process.does("reply")) return;
            if (this.network.isIsolated(name)) return this.hit("replyCut");
            this.ledger.answered(gid, request, reply, own);
            this.say(`${node.process.name} replies ${gid} ${request.kind} ${replyText(reply)}`);
            this.scheduler.after(random.between(0.2, 2), () => {
              timeout.cancelled = true;
              resolve(reply);
            });
          });
        });
      });
    });
  }

  /** Kills a node, looks whether its shards are served in time (L2), and starts it again after a while. */
  crash(name: string, downMs: number): void {
    const node = this.nodes.get(name)!;
    if (!node.process.alive) return;
    node.process.crash();
    this.#expectTakeOver(node);
    this.restart(name, node, downMs);
  }

  /** The store's host sets its clock: all leases are longer or shorter at once. */
  jumpStoreClock(ms: number): void {
    this.#storeSkewMs += ms;
    this.#storeJumpedMs = this.scheduler.nowMs;
  }

  /** Something disturbs the cluster's ownership until then. */
  disturb(untilMs: number): void {
    this.#disturbedMs = Math.max(this.#disturbedMs, untilMs);
  }

  /** Notes which unfinished transactions a fault meets: those of a node, or all. */
  met(kind: string, name?: string): void {
    this.coverage.count(`fault: ${kind}`);
    const counts = new Map<string, number>();
    for (const gid of this.ledger.unfinished) {
      const account = this.ledger.accounts.get(gid)!;
      if (name !== undefined && this.leases.row(shardOf(gid))?.owner !== name) continue;
      const state = `${account.type} ${account.status}`;
      counts.set(state, (counts.get(state) ?? 0) + 1);
    }
    for (const state of states)
      if (counts.has(state)) this.coverage.count(`met: ${kind} × ${state}`, counts.get(state)!);
  }

  /** Ends every fault; dead nodes come back by their own events. */
  heal(): void {
    this.say("healing");
    this.#healed = true;
    this.network.heal();
    this.services.heal();
    for (const { process } of this.nodes.values()) process.heal();
  }

  /** Each living node takes a new transaction of a shard of its own; what does not is told. */
  async serves(): Promise<void> {
    for (const [name, { process, member }] of this.nodes) {
      if (!process.alive) continue;
      if (member.keeper.owned.size === 0) continue;
      let i = 0;
      while (this.ledger.accounts.has(`last${i}`) || !member.keeper.owned.has(shardOf(`last${i}`))) i++;
      const gid = `last${i}`;
      const reply = await member.coordinator.handle(gid, { kind: "submit", submission: plainSaga(gid) });
      this.coverage.count("checked: every node serves at the end");
      if (reply.kind !== "accepted" && member.keeper.epochOf(shardOf(gid)) !== undefined)
        this.violations.push(`L1: ${name} takes nothing new at the end: ${replyText(reply)}`);
    }
  }

  /** Starts it again, unless somebody else has. */
  restart(name: string, node: Node, delayMs: number): void {
    this.scheduler.after(delayMs, () => {
      if (this.nodes.get(name) === node) this.boot(name);
    });
  }

  #fell(process: Process, why: string): void {
    this.coverage.count(`node: ${why}`);
    this.say(`${process.name} ends: ${why}`);
    if (why === "regressed") this.violations.push(`S3: ${process.name} saw an epoch go down`);
    process.crash();
    const node = this.nodes.get(process.name);
    if (node?.process === process) this.restart(process.name, node, 1000);
  }

  /** Judged only where nothing else disturbs the cluster from a lease before to the end. */
  #expectTakeOver({ process, member }: Node): void {
    const dead = member.keeper.incarnation;
    const deadMs = this.scheduler.nowMs;
    const shards = Array.from({ length: shardCount }, (_, shard) => shard);
    const held = shards.filter((shard) => this.leases.row(shard)?.owner === process.name);
    const calm = deadMs - this.#disturbedMs > takeOverMs;
    this.disturb(deadMs);
    const others = [...this.nodes.values()].filter((node) => node.process.alive);
    if (!calm || held.length === 0 || others.length === 0) return;
    const waiting = this.#workOf(new Set(held));
    this.scheduler.after(takeOverMs, () => {
      if (this.#disturbedMs !== deadMs) return;
      this.coverage.count("checked: take-over in time");
      const unserved = held.filter((shard) => {
        const { owner, incarnation } = this.leases.row(shard)!;
        return owner === process.name && incarnation === dead;
      });
      if (unserved.length > 0)
        this.violations.push(
          `L2: ${unserved.length} shards of ${process.name} unserved ${takeOverMs} ms after its death`,
        );
    });
    this.scheduler.after(takeOverMs + takeUpMs, () => {
      const hasRoom = this.#settings.residentMax === engineDefaults.residentMax; // else work waits for room
      if (this.#disturbedMs !== deadMs || !hasRoom || this.coverage.counts.has("breaker: open")) return;
      for (const gid of waiting) {
        const account = this.ledger.accounts.get(gid)!;
        this.coverage.count("checked: work taken up in time");
        if (account.touchedMs <= deadMs && !isFinal(account) && !account.parked && !this.poisoned.has(gid))
          this.violations.push(
            `L2: ${gid} (${account.type}) is not taken up ${takeOverMs + takeUpMs} ms after a death`,
          );
      }
    });
  }

  /** Transactions of these shards that a coordinator has to do something for, whatever their clients do. */
  #workOf(shards: ReadonlySet<number>): readonly string[] {
    return [...this.ledger.unfinished].filter((gid) => {
      const { status } = this.ledger.accounts.get(gid)!;
      const due = this.store.wakeOf(gid) ?? Number.POSITIVE_INFINITY;
      return (
        status !== "prepared" &&
        shards.has(shardOf(gid)) &&
        due <= this.scheduler.nowMs + this.#storeSkewMs + takeOverMs
      );
    });
  }

  #callers(at: Place, rights: Rights, right: () => Right, room: EngineSettings["dispatch"]) {
    return this.services.callers(at, {
      sent: (call) => {
        rights.judge("call", right());
        this.ledger.called(call, rights.owns(shardOf(call.gid), right()));
      },
      epochOf: (gid) => right().epochOf(shardOf(gid)),
      room,
      cut: () => this.network.isIsolated(at.name),
      full: () => this.coverage.count("checked: no more calls than there may be"),
    });
  }

  #shared(): Shared {
    return {
      store: this.store,
      leases: this.leases,
      poisoned: this.poisoned,
      noted: (node, commit, verdict) => this.#noted(node, commit, verdict),
      refused: () => this.hit("commitRefused"),
      subscribed: (urls) => this.editions.push({ urls, sinceMs: this.scheduler.nowMs }),
      purged: (transactions) => this.coverage.count("purge or late: journal", transactions),
    };
  }

  #noted(node: string, commit: Commit, verdict: Verdict): void {
    this.coverage.count(`commit: ${verdict}`);
    if (verdict === "ok") this.ledger.took(node, commit, this.leases.row(commit.shard)!);
    this.say(`${node} commits ${commit.gid} v${commit.row.version} ${commit.row.events.map(eventText)} ${verdict}`);
  }

  #log(name: string): Log {
    const line = (event: string, fields?: Readonly<Record<string, unknown>>) => {
      if (event === "claimed" && this.curious.chance(0.3)) this.#meddle(name);
      this.coverage.count(`node: ${event}`);
      this.say(`${name} ${event} ${fields === undefined ? "" : JSON.stringify(fields)}`);
      if (event === "turn_failed" || event === "commit_listener_failed" || event === "store_failed")
        if (!String(fields?.cause).includes("StoreInDoubt"))
          this.violations.push(`bug: ${name} ${event} ${JSON.stringify(fields)}`);
    };
    return { info: line, warn: line, error: line };
  }

  /** An impatient operator, just when a node brings back what it has taken over. */
  #meddle(name: string): void {
    const gids = [...this.ledger.unfinished].filter((gid) => this.leases.row(shardOf(gid))?.owner === name);
    if (gids.length === 0) return;
    const gid = this.curious.pick(gids);
    const stops = this.curious.chance(0.5);
    if (stops) this.forced.add(gid);
    const request: Request = stops ? { kind: "forceStop" } : { kind: "hasten", bulk: false };
    this.scheduler.after(this.curious.between(0, 20), () => void this.ask(this.curious, gid, request));
  }
}
