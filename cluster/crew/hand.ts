/**
 * One engine on a thread of its own: carries out the orders of the node's main thread on its part of the shards, and
 * reports. Relies on nothing of Node's, so that a simulation runs it too.
 */
import { type Reply, refused } from "../../src/core/input.js";
import { Engine } from "../../src/engine/engine.js";
import type { EngineSettings } from "../../src/engine/services.js";
import type { Callers } from "../../src/ports/caller.js";
import type { Clock, Random } from "../../src/ports/clock.js";
import type { ShardRow } from "../../src/ports/leases.js";
import type { Log, Observer } from "../../src/ports/observer.js";
import type { Store } from "../../src/ports/store.js";
import type { EngineStats } from "../../src/ports/targets.js";
import type { KeyValues } from "../../src/ports/topics.js";
import { SlotMap } from "../../src/slotmap.js";
import { shiftedClock } from "../storeclock.js";
import { type Channel, type Order, type Report, Talk } from "./messages.js";
import type { Shared } from "./shared.js";
import { Tenure } from "./tenure.js";

/** What a hand's store may ask and must tell. */
export interface Writership {
  /** See `Owner` of the store. */
  incarnation(): number;
  bumped(rows: readonly ShardRow[]): void;
  regressed(what: string): void;
  /** Resolves when a connection may write. */
  enlist(connection: number): Promise<void>;
  dismiss(connection: number): void;
}

/** What a hand gets of the world. */
export interface HandPorts {
  readonly channel: Channel;
  /** Runs a task after the events of this turn of the event loop. */
  readonly soon: (task: () => void) => void;
  readonly shared: Shared;
  /** Its monotonic milliseconds are the main thread's. */
  readonly clock: Clock;
  readonly random: Random;
  /** Lines of this level are reported, too. */
  readonly debug: boolean;
  openStore(writer: Writership): Promise<{ readonly store: Store; readonly keyValues: KeyValues }>;
  makeCallers(ownAddresses: () => readonly string[], log: Log): Callers;
}

/** Figures are reported that often when they have changed, milliseconds. */
const statsMs = 100;

/** Begins to work; resolves when it hears, to what it may do. Rejects when the store cannot be opened. */
export async function startHand(ports: HandPorts, settings: EngineSettings): Promise<Tenure> {
  const { shared, random } = ports;
  const talk = new Talk<Report, Order>(ports.channel, ports.soon, ports.clock);
  const clock = shiftedClock(ports.clock, () => shared.aheadMs);
  const log = reportingLog(talk, ports.debug);
  const tenure = new Tenure(shared, clock, (shard, epoch) => {
    engine.lost(new Set([shard]));
    talk.say({ kind: "fenced", shard, epoch });
  });
  const enlisting = new Enlisting(talk);
  const opened = await ports.openStore({
    incarnation: () => tenure.incarnation,
    bumped(rows) {
      tenure.bumped(rows);
      talk.say({ kind: "bumped", rows });
    },
    regressed: (what) => talk.say({ kind: "regressed", what }),
    enlist: (connection) => enlisting.ask(connection),
    dismiss: (connection) => talk.say({ kind: "dismiss", connection }),
  });
  const own: string[] = [];
  const callers = ports.makeCallers(() => own, log);
  const observer = reportingObserver(talk, ports.debug);
  const engine: Engine = new Engine({ ...opened, callers, ownership: tenure, clock, random, observer, log }, settings);
  const hand = new Hand(engine, tenure, talk, log, enlisting, () => opened.store.close());
  talk.hear((order) => {
    if (order.kind === "start") {
      own.push(...order.ownAddresses);
      reportStats(engine, clock, talk);
    }
    hand.carryOut(order);
  });
  return tenure;
}

class Hand {
  readonly #engine: Engine;
  readonly #tenure: Tenure;
  readonly #talk: Talk<Report, Order>;
  readonly #log: Log;
  readonly #enlisting: Enlisting;
  readonly #closeStore: () => Promise<void>;
  readonly #cancellable = new SlotMap<number, AbortController>();

  constructor(
    engine: Engine,
    tenure: Tenure,
    talk: Talk<Report, Order>,
    log: Log,
    enlisting: Enlisting,
    closeStore: () => Promise<void>,
  ) {
    this.#engine = engine;
    this.#tenure = tenure;
    this.#talk = talk;
    this.#log = log;
    this.#enlisting = enlisting;
    this.#closeStore = closeStore;
  }

  carryOut(order: Order): void {
    switch (order.kind) {
      case "request":
        return this.#request(order);
      case "cancel":
        return this.#cancellable.get(order.id)?.abort();
      case "stored":
        return this.#reply(order.id, this.#engine.stored(order.gid));
      case "owned":
        this.#tenure.incarnation = order.incarnation;
        if (this.#tenure.take(order.epochs)) this.#engine.gained();
        return;
      case "lost":
        this.#tenure.drop(order.shards);
        return this.#engine.lost(new Set(order.shards));
      case "drain":
        return this.#done(order.id, this.#engine.drain(new Set(order.shards), order.graceMs));
      case "start":
        return this.#engine.start();
      case "close":
        return this.#done(order.id, this.#engine.close(order.graceMs).then(this.#closeStore));
      case "targets":
        return this.#targets(order.id);
      case "enlisted":
        return this.#enlisting.answered(order.id, order.why);
    }
  }

  #request({ id, gid, request, cancellable }: Extract<Order, { kind: "request" }>): void {
    if (!cancellable) return this.#reply(id, this.#engine.handle(gid, request));
    const wait = new AbortController();
    this.#cancellable.set(id, wait);
    const replied = this.#engine.handle(gid, request, wait.signal);
    this.#reply(
      id,
      replied.finally(() => this.#cancellable.take(id)),
    );
  }

  #targets(id: number): void {
    void Promise.resolve(this.#engine.targets.list()).then((targets) =>
      this.#talk.say({ kind: "targets", id, targets }),
    );
  }

  /** A bug that one request has met is no end of the thread, and with it of the node. */
  #reply(id: number, replied: Promise<Reply>): void {
    const answer = (reply: Reply) => this.#talk.say({ kind: "reply", id, reply });
    replied.then(answer, (cause) => {
      this.#log.error("request_failed", { cause: String(cause) });
      answer(refused("INTERNAL", "the engine met an error of its own, it is in the log"));
    });
  }

  #done(id: number, work: Promise<void>): void {
    void work.then(() => this.#talk.say({ kind: "done", id }));
  }
}

/** Connections that wait for the main thread's word. */
class Enlisting {
  readonly #talk: Talk<Report, Order>;
  readonly #waiting = new Map<number, { readonly resolve: () => void; readonly reject: (why: Error) => void }>();
  #nextId = 0;

  constructor(talk: Talk<Report, Order>) {
    this.#talk = talk;
  }

  ask(connection: number): Promise<void> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#talk.say({ kind: "enlist", id, connection });
    });
  }

  answered(id: number, why: string | undefined): void {
    const asked = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (why === undefined) asked?.resolve();
    else asked?.reject(new Error(why));
  }
}

function reportingLog(talk: Talk<Report, Order>, debug: boolean): Log {
  const at =
    (level: Extract<Report, { kind: "log" }>["level"]) => (event: string, fields?: Readonly<Record<string, unknown>>) =>
      talk.say({ kind: "log", level, event, fields });
  return { ...(debug && { debug: at("debug") }), info: at("info"), warn: at("warn"), error: at("error") };
}

/** Details of answers are only for the log at level debug. */
function reportingObserver(talk: Talk<Report, Order>, debug: boolean): Observer {
  return {
    finished: ({ type, status, createdAtMs, updatedAtMs, endedAtMs }) =>
      talk.mention({ kind: "finished", of: [type, status, createdAtMs, updatedAtMs, endedAtMs] }),
    called({ gid, type, branchId, op }, target, { outcome, detail, timedOut = false }, durationMs) {
      const said = debug ? detail : "";
      talk.mention({ kind: "called", of: [gid, type, branchId, op, target, outcome, said, timedOut, durationMs] });
    },
    flushed: (commits, durationMs) => talk.mention({ kind: "flushed", commits, durationMs }),
    lateAnswer: ({ gid, type, branchId, op }) => talk.say({ kind: "late", call: { gid, type, branchId, op } }),
    breaker: (target, open) => talk.say({ kind: "breaker", target, open }),
    stuck: (alert) => talk.say({ kind: "stuck", alert }),
  };
}

function reportStats(engine: Engine, clock: Clock, talk: Talk<Report, Order>): void {
  let last = "";
  const look = () => {
    const stats: EngineStats = engine.stats();
    const text = Object.values(stats).join(" ");
    if (text !== last) talk.mention({ kind: "stats", stats });
    last = text;
    clock.after(statsMs, look);
  };
  look();
}
