/**
 * A whole cluster in one process: real members (engine, keeper, router, link) on machines, one shared store with its
 * leases, one network. Applies the fault schedule, and heals at its end.
 */
import { MemoryHub } from "../../cluster/bus/memory.js";
import { createMember, type Member } from "../../cluster/member.js";
import type { Reply, Request } from "../../src/core/input.js";
import { shardOf } from "../../src/core/shard.js";
import type { EngineSettings } from "../../src/engine/services.js";
import type { Call } from "../../src/ports/caller.js";
import type { Leases } from "../../src/ports/leases.js";
import type { Commit, Store } from "../../src/ports/store.js";
import type { KeyValues } from "../../src/ports/topics.js";
import { MemoryLeases } from "../../src/store/memory/leases.js";
import { MemoryStore } from "../../src/store/memory/memory.js";
import { settings as engineDefaults } from "../engine/harness.js";
import type { Fault, FaultKind } from "./faults.js";
import { Process, type StorePath } from "./machine.js";
import { Services } from "./participants.js";
import type { Random } from "./random.js";
import { Scheduler } from "./scheduler.js";

export const startMs = Date.UTC(2026, 0, 1);

const settings: EngineSettings = {
  ...engineDefaults,
  defaults: { timeoutToFailMs: 8000, requestTimeoutMs: 2000, retryIntervalMs: 1000 },
  waitResultMs: 5000,
  retention: { journalMs: 3_600_000, headMs: 7_200_000 },
};

interface Node {
  readonly process: Process;
  readonly member: Member;
}

export class World {
  readonly scheduler = new Scheduler(startMs);
  readonly leases: MemoryLeases;
  readonly store: MemoryStore;
  readonly services: Services;
  readonly nodes = new Map<string, Node>();
  readonly violations: string[] = [];
  /** Stored and not final, as the store took it. */
  readonly #unfinished = new Set<string>();
  /** How often each fault hit something: a living node, a message, a statement. */
  readonly hits = new Map<FaultKind | "messageLost" | "messageDoubled" | "callLost" | "callDoubled", number>();
  readonly #random: Random;
  readonly #network: Random;
  readonly #hub: MemoryHub;
  readonly #trace: (line: string) => void;
  readonly #cuts = new Map<string, number>();
  readonly #storeCut = new Map<string, number>();
  #storeDownUntil = 0;
  #storeSlowUntil = 0;
  #doubtUntil = 0;
  #lossyUntil = 0;
  #joined = 0;

  constructor(random: Random, trace: (line: string) => void) {
    this.#random = random.fork();
    this.#network = random.fork();
    this.#trace = trace;
    const world = this.#clockOfTheWorld();
    this.leases = new MemoryLeases(() => this.scheduler.nowMs);
    this.store = new MemoryStore((shard) => this.leases.epochOf(shard));
    this.services = new Services(this.scheduler, random.fork());
    this.#hub = new MemoryHub(world, (from, to) => this.#delivery(from, to));
  }

  /** Everything that was ever stored is final. */
  get finished(): boolean {
    return this.#unfinished.size === 0;
  }

  /** Starts a node. A name that ran before is a restart of the same node. */
  boot(name: string): void {
    const process = new Process(name, this.scheduler, this.#random.fork());
    const path = this.#pathOf(name);
    const bus = this.#hub.connect(name);
    const line = (event: string, fields?: unknown) => this.#say(`${name} ${event} ${JSON.stringify(fields ?? {})}`);
    const clock = process.clock();
    const member: Member = createMember(
      {
        store: this.#remoteStore(process, path, () => member),
        keyValues: remoteKeyValues(process, path, this.store),
        leases: remoteLeases(process, path, this.leases),
        bus: { ...bus, receive: (handler) => bus.receive((message) => process.run(() => handler(message))) },
        callers: this.services.callers(
          process,
          (call) => this.#judgeCall(process, call),
          (gid) => member.keeper.epochOf(shardOf(gid)),
        ),
        clock,
        random: () => process.random(),
        log: { info: line, warn: line, error: line },
        observer: {
          finished: () => {},
          called: () => {},
          flushed: () => {},
          lateAnswer: () => {},
          breaker: () => {},
          stuck: () => {},
        },
      },
      settings,
      { name, address: `http://${name}` },
      (why) => this.#say(`${name} ${why}`),
    );
    this.nodes.set(name, { process, member });
    const start = () => member.start().catch(() => clock.after(500, start));
    process.run(() => void start());
  }

  /** Sends a request through a living node and brings back its reply; `undefined`: none came in time. */
  ask(random: Random, gid: string, request: Request, timeoutMs: number): Promise<Reply | undefined> {
    const alive = [...this.nodes.values()].filter(({ process }) => process.alive);
    const node = random.pick(alive);
    return new Promise((resolve) => {
      const timeout = this.scheduler.after(timeoutMs, () => resolve(undefined));
      this.scheduler.after(random.between(0.2, 2), () =>
        node.process.run(() => {
          void node.member.coordinator.handle(gid, request).then((reply) => {
            this.scheduler.after(random.between(0.2, 2), () => {
              timeout.cancelled = true;
              resolve(reply);
            });
          });
        }),
      );
    });
  }

  apply(fault: Fault): void {
    const names = [...this.nodes.keys()];
    const name = names[fault.place % names.length]!;
    const other = names[fault.other % names.length]!;
    const untilMs = this.scheduler.nowMs + fault.lengthMs;
    const node = this.nodes.get(name)!;
    this.#say(`fault ${fault.kind} ${name} ${fault.lengthMs}`);
    const hit = () => this.#hit(fault.kind);
    switch (fault.kind) {
      case "crash":
        if (node.process.alive) hit();
        node.process.crash();
        return void this.scheduler.after(fault.lengthMs, () => this.boot(name));
      case "pause":
        if (node.process.alive && !node.process.paused) hit();
        node.process.pause();
        return void this.scheduler.after(fault.lengthMs, () => node.process.resume());
      case "clockJump":
        hit();
        return node.process.jumpClock(fault.other % 2 === 0 ? 3_600_000 : -3_600_000);
      case "cutBus":
        this.#cuts.set(`${name} ${other}`, untilMs);
        return void this.#cuts.set(`${other} ${name}`, untilMs);
      case "cutBusOneWay":
        return void this.#cuts.set(`${name} ${other}`, untilMs);
      case "cutStore":
        return void this.#storeCut.set(name, untilMs);
      case "lossyBus":
        this.#lossyUntil = untilMs;
        return;
      case "storeSlow":
        this.#storeSlowUntil = untilMs;
        return;
      case "storeDown":
        this.#storeDownUntil = untilMs;
        return;
      case "commitDoubt":
        this.#doubtUntil = untilMs;
        return;
      case "leaveAndJoin":
        if (node.process.alive && !node.process.paused) this.#leave(name, node, fault.lengthMs);
        return;
      case "join":
        if (this.nodes.size >= 5) return;
        hit();
        return this.boot(`x${this.#joined++}`);
      case "participantDead":
        hit();
        return void this.services.deadUntil.set(`p${fault.place % 4}.sim`, untilMs);
      case "participantSlow":
        hit();
        return void this.services.slowUntil.set(`p${fault.place % 4}.sim`, untilMs);
    }
  }

  /** Ends every fault; crashed nodes come back by their own events. */
  heal(): void {
    this.#cuts.clear();
    this.#storeCut.clear();
    this.#storeDownUntil = this.#storeSlowUntil = this.#doubtUntil = this.#lossyUntil = 0;
    this.services.deadUntil.clear();
    this.services.slowUntil.clear();
    for (const { process } of this.nodes.values()) process.resume();
  }

  #leave(name: string, node: Node, lengthMs: number): void {
    this.#hit("leaveAndJoin");
    node.process.run(() => {
      void node.member.close(3000).then(() => {
        node.process.crash();
        this.scheduler.after(lengthMs, () => this.boot(name));
      });
    });
  }

  /** S5 and S8 at the moment a call goes on the wire. */
  #judgeCall(process: Process, call: Call): void {
    void this.store.load([call.gid]).then(([stored]) => {
      if (stored === undefined) return void this.violations.push(`S5: ${call.gid} called but not stored`);
      const { tx } = stored;
      const final = tx.status === "succeed" || tx.status === "failed";
      if (final && this.#ownsNow(process.name, call.gid))
        this.violations.push(`S8: ${call.gid} ${call.op} ${call.branchId} called after '${tx.status}'`);
      if (call.branchId === "00") return;
      const op = tx.ops.find(({ branchId, op: name }) => branchId === call.branchId && name === call.op);
      if (op?.startedAtMs === undefined)
        this.violations.push(`S5: ${call.gid} ${call.op} ${call.branchId} called without a durable intent`);
    });
  }

  #ownsNow(name: string, gid: string): boolean {
    const node = this.nodes.get(name);
    if (node === undefined) return false;
    const shard = shardOf(gid);
    return node.member.keeper.epochOf(shard) === this.leases.epochOf(shard);
  }

  #remoteStore(process: Process, path: StorePath, member: () => Member): Store {
    const { store, leases } = this;
    const call = <T>(work: () => Promise<T>) => process.remote(path, false, work);
    return {
      commit: (batch) =>
        process.remote(path, true, async () => {
          const verdicts = await store.commit(batch);
          for (const [i, commit] of batch.entries()) this.#noteCommit(process.name, commit, verdicts[i]!);
          return verdicts;
        }),
      settle: async (batch) => {
        const { incarnation } = member().keeper;
        const { rows, verdicts } = await call(async () => {
          const mine = [...new Set(batch.map(({ shard }) => shard))]
            .map((shard) => leases.row(shard)!)
            .filter((row) => row.owner === process.name && row.incarnation === incarnation);
          const bumped = await leases.claim(mine, process.name, incarnation);
          const epochs = new Map(bumped.map((row) => [row.shard, row.epoch]));
          const again = batch.map((commit) => ({ ...commit, epoch: epochs.get(commit.shard) ?? commit.epoch }));
          const settled = await store.settle(again);
          for (const [i, commit] of again.entries()) this.#noteCommit(process.name, commit, settled[i]!);
          return { rows: bumped, verdicts: settled };
        });
        member().keeper.bumped(rows);
        return verdicts;
      },
      load: (gids) => call(() => store.load(gids)),
      history: (gid) => call(() => store.history(gid)),
      due: (...args) => call(() => store.due(...args)),
      earliest: () => call(() => store.earliest()),
      list: (...args) => call(() => store.list(...args)),
      lastId: (shard) => call(() => store.lastId(shard)),
      count: () => call(() => store.count()),
      purge: (...args) => call(() => store.purge(...args)),
      close: async () => {},
    };
  }

  /** S2: what the store takes carries the epoch that the table holds at that moment. */
  #noteCommit(name: string, commit: Commit, verdict: string): void {
    const status = commit.head?.status;
    if (verdict === "ok" && commit.row.version === 1) this.#unfinished.add(commit.gid);
    if (verdict === "ok" && (status === "succeed" || status === "failed")) this.#unfinished.delete(commit.gid);
    if (verdict === "ok" && commit.epoch !== this.leases.epochOf(commit.shard))
      this.violations.push(`S2: ${commit.gid} written under epoch ${commit.epoch}`);
    this.#say(
      `${name} commit ${commit.gid} v${commit.row.version} ${commit.row.events.map(({ kind }) => kind)} ${verdict}`,
    );
  }

  #pathOf(name: string): StorePath {
    return {
      latencyMs: () => {
        const slow = this.#storeSlowUntil > this.scheduler.nowMs ? this.#network.between(100, 1500) : 0;
        if (slow > 0) this.#hit("storeSlow");
        return this.#network.between(0.2, 1.5) + slow;
      },
      fate: (isCommit) => {
        const nowMs = this.scheduler.nowMs;
        if (this.#storeDownUntil > nowMs) return this.#hit("storeDown", "away");
        if ((this.#storeCut.get(name) ?? 0) > nowMs) return this.#hit("cutStore", "away");
        if (!isCommit || this.#doubtUntil <= nowMs || !this.#network.chance(0.3)) return "ok";
        return this.#hit("commitDoubt", this.#network.chance(0.5) ? "doubtDone" : "doubtLost");
      },
    };
  }

  #delivery(from: string, to: string): readonly number[] {
    const nowMs = this.scheduler.nowMs;
    if ((this.#cuts.get(`${from} ${to}`) ?? 0) > nowMs) {
      this.#hit(this.#cuts.has(`${to} ${from}`) ? "cutBus" : "cutBusOneWay");
      return [];
    }
    const lossy = this.#lossyUntil > nowMs;
    if (lossy) this.#hit("lossyBus");
    if (this.#network.chance(lossy ? 0.3 : 0.005)) return this.#hit("messageLost", []);
    const delayMs = () => this.#network.between(0.1, lossy ? 300 : 2);
    if (this.#network.chance(lossy ? 0.2 : 0.01)) return this.#hit("messageDoubled", [delayMs(), delayMs()]);
    return [delayMs()];
  }

  #hit<T = void>(kind: FaultKind | "messageLost" | "messageDoubled", value?: T): T {
    this.hits.set(kind, (this.hits.get(kind) ?? 0) + 1);
    return value as T;
  }

  #say(line: string): void {
    this.#trace(`${(this.scheduler.nowMs - startMs).toFixed(2)} ${line}`);
  }

  #clockOfTheWorld() {
    return {
      nowMs: () => this.scheduler.nowMs,
      monotonicMs: () => this.scheduler.nowMs,
      after: (delayMs: number, task: () => void) => {
        const event = this.scheduler.after(delayMs, task);
        return () => {
          event.cancelled = true;
        };
      },
    };
  }
}

function remoteLeases(process: Process, path: StorePath, leases: MemoryLeases): Leases {
  const read = <T>(work: () => Promise<T>) => process.remote(path, false, work);
  const write = <T>(work: () => Promise<T>) => process.remote(path, true, work);
  return {
    join: (...args) => read(() => leases.join(...args)),
    renew: (...args) => read(() => leases.renew(...args)),
    look: (...args) => read(() => leases.look(...args)),
    fence: (...args) => write(() => leases.fence(...args)),
    claim: (...args) => write(() => leases.claim(...args)),
    release: (...args) => write(() => leases.release(...args)),
    leave: (...args) => read(() => leases.leave(...args)),
    close: async () => {},
  };
}

function remoteKeyValues(process: Process, path: StorePath, keyValues: KeyValues): KeyValues {
  const call = <T>(work: () => Promise<T>) => process.remote(path, false, work);
  return {
    get: (...args) => call(() => keyValues.get(...args)),
    put: (...args) => call(() => keyValues.put(...args)),
    remove: (...args) => call(() => keyValues.remove(...args)),
    scan: (...args) => call(() => keyValues.scan(...args)),
  };
}
