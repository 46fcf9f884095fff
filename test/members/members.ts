/**
 * A small cluster on virtual time: real members over one memory store, one table of leases, one bus, with the faults of
 * nodes, network and store at the test's will.
 */
import { expect } from "vitest";
import { MemoryHub } from "../../cluster/bus/memory.js";
import { createMember, type Member } from "../../cluster/member.js";
import type { Reply, Request, Submission } from "../../src/core/input.js";
import { shardOf } from "../../src/core/shard.js";
import type { Clock } from "../../src/ports/clock.js";
import { StoreUnavailable } from "../../src/ports/store.js";
import { MemoryLeases } from "../../src/store/memory/leases.js";
import { MemoryStore } from "../../src/store/memory/memory.js";
import { Participants, settings, type VirtualClock, virtualClock } from "../engine/harness.js";

/** One life of one process. */
interface Process {
  readonly name: string;
  dead: boolean;
  /** Set while it is stopped: resolves when it goes on. */
  stopped: { readonly gone: Promise<void>; readonly go: () => void } | undefined;
}

export interface Cluster {
  readonly clock: VirtualClock;
  readonly leases: MemoryLeases;
  readonly store: MemoryStore;
  readonly participants: Participants;
  readonly members: Map<string, Member>;
  readonly log: string[];
  /** Nodes whose messages are lost, both ways; `a b` = only between these two. */
  readonly cut: Set<string>;
  /** Nodes that do not reach the store. */
  readonly storeCut: Set<string>;
  /** When a message arrives: milliseconds from now, once per entry. */
  weather: (from: string, to: string) => readonly number[];
  /** How long a node's commits travel before the store sees them. */
  readonly commitDelayMs: Map<string, number>;
  /** Runs after a method of the leases, before its answer is seen. */
  after: (node: string, method: string, result: unknown) => unknown;
  /** How far the store's clock is ahead. */
  storeAheadMs: number;
  /** Commits of each node that the store took, by shard. */
  readonly commits: { readonly node: string; readonly shard: number; readonly epoch: number; readonly atMs: number }[];
  join(name: string, over?: Over): Promise<Member>;
  /** As kill -9: the node's timers and promises still exist but nothing of it reaches anybody. */
  kill(name: string): void;
  /** As SIGSTOP and SIGCONT: what happens meanwhile is noticed afterwards, in order. */
  stop(name: string): void;
  go(name: string): void;
  /** The member of a name; fails the test when there is none. */
  at(name: string): Member;
}

export interface Over {
  /** The node's wall clock is wrong by this, milliseconds; may change. */
  readonly wallErrorMs?: () => number;
  /** Empty: alone. */
  readonly address?: string;
}

export function cluster(): Cluster {
  const clock = virtualClock();
  const leases = new MemoryLeases(() => clock.nowMs() + c.storeAheadMs);
  const store = new MemoryStore((shard) => leases.epochOf(shard));
  const participants = new Participants();
  const processes = new Map<string, Process>();
  const c: Cluster = {
    clock,
    leases,
    store,
    participants,
    members: new Map(),
    log: [],
    cut: new Set(),
    storeCut: new Set(),
    weather: () => [1],
    commitDelayMs: new Map(),
    after: (_node, _method, result) => result,
    storeAheadMs: 0,
    commits: [],
    join: (name, over = {}) => join(c, hub, processes, name, over),
    kill(name) {
      const process = processes.get(name);
      if (process !== undefined) process.dead = true;
      c.members.delete(name);
    },
    stop(name) {
      if (processes.get(name)!.stopped !== undefined) return;
      let go = () => {};
      const gone = new Promise<void>((resolve) => {
        go = resolve;
      });
      processes.get(name)!.stopped = { gone, go };
    },
    go(name) {
      const process = processes.get(name)!;
      process.stopped?.go();
      process.stopped = undefined;
    },
    at(name) {
      const member = c.members.get(name);
      if (member === undefined) throw new Error(`no member ${name}: ${c.log.join("; ")}`);
      return member;
    },
  };
  const hub = new MemoryHub(clock, (from, to) => {
    const lost = [from, to, `${from} ${to}`, `${to} ${from}`].some((word) => c.cut.has(word));
    return lost || processes.get(from)?.dead === true ? [] : c.weather(from, to);
  });
  return c;
}

async function join(
  c: Cluster,
  hub: MemoryHub,
  processes: Map<string, Process>,
  name: string,
  over: Over,
): Promise<Member> {
  const process: Process = { name, dead: false, stopped: undefined };
  processes.set(name, process);
  const line = (event: string) => void c.log.push(`${name} ${event}`);
  const bus = hub.connect(name);
  const member = createMember(
    {
      store: throughStore(c, process, c.store),
      keyValues: throughStore(c, process, c.store),
      leases: throughStore(c, process, c.leases),
      bus: { ...bus, receive: (handler) => bus.receive((message) => whenRunning(process, () => handler(message))) },
      callers: {
        locate: (protocol, url) => c.participants.locate(protocol, url),
        call: async (call) => {
          await running(process);
          const answer = await c.participants.call(call);
          await running(process);
          return answer;
        },
        close: async () => {},
      },
      clock: clockOf(process, c.clock, over.wallErrorMs ?? (() => 0)),
      random: () => 0.5,
      log: { info: line, warn: line, error: line },
      observer: {
        finished: () => {},
        called: () => {},
        flushed: () => {},
        lateAnswer: () => line("late answer"),
        breaker: () => {},
        stuck: () => {},
      },
    },
    settings,
    { name, address: over.address ?? `http://${name}` },
    (why) => {
      line(`fell: ${why}`);
      process.dead = true;
    },
  );
  const started = member.start();
  let error: unknown;
  let done = false;
  started.then(
    () => {
      done = true;
    },
    (cause) => {
      error = cause;
      done = true;
    },
  );
  for (let i = 0; i < 500 && !done; i++) await c.clock.advance(10);
  if (error !== undefined) throw error;
  await c.clock.advance(50);
  c.members.set(name, member);
  return member;
}

/** A cluster at rest: every shard with the node that should have it. */
export async function settled(names: readonly string[]): Promise<Cluster> {
  const c = cluster();
  for (const name of names) await c.join(name);
  await c.clock.advance(9000);
  expect(ownedByAll(c)).toBe(256);
  return c;
}

/** Makes a request of a submission. */
export const submit = (submission: Submission) => ({ kind: "submit", submission }) as const;

/** Waits for a promise while time goes on. */
export async function meanwhile<T>(c: Cluster, promise: Promise<T>, atMostMs = 30_000): Promise<T> {
  let done: (() => T) | undefined;
  promise.then(
    (value) => {
      done = () => value;
    },
    (cause) => {
      done = () => {
        throw cause;
      };
    },
  );
  for (let ms = 0; ms < atMostMs && done === undefined; ms += 10) await c.clock.advance(10);
  if (done === undefined) throw new Error(`nothing after ${atMostMs} ms: ${c.log.join("; ")}`);
  return done();
}

/** Asks one node while time goes on. */
export function ask(c: Cluster, at: string, gid: string, request: Request): Promise<Reply> {
  return meanwhile(c, c.at(at).coordinator.handle(gid, request));
}

/** Lets time go on until the condition holds. */
export async function until(c: Cluster, what: string, condition: () => boolean, atMostMs = 20_000): Promise<void> {
  for (let ms = 0; ms < atMostMs; ms += 10) {
    if (condition()) return;
    await c.clock.advance(10);
  }
  const owned = [...c.members].map(([name, { keeper }]) => `${name} owns ${keeper.owned.size}`);
  throw new Error(`not within ${atMostMs} ms: ${what}; ${owned.join(", ")}; ${c.log.join("; ")}`);
}

/** Shards per living node. */
export function owned(c: Cluster): Record<string, number> {
  return Object.fromEntries([...c.members].map(([name, { keeper }]) => [name, keeper.owned.size]));
}

/** Shards of all living nodes together. */
export function ownedByAll(c: Cluster): number {
  return Object.values(owned(c)).reduce((sum, count) => sum + count, 0);
}

/** A gid of a shard that `name` owns; `nth` gives different ones. */
export function gidOf(c: Cluster, name: string, nth = 0): string {
  let left = nth;
  for (let i = 0; i < 10_000; i++) if (c.at(name).keeper.owned.has(shardOf(`g${i}`)) && left-- === 0) return `g${i}`;
  throw new Error(`${name} owns ${c.at(name).keeper.owned.size} shards, none with a gid of this test`);
}

/** S2: per shard, the epochs of what the store took never go down, and one epoch is written by one node only. */
export function expectOneWriter(c: Cluster): void {
  const last = new Map<number, { readonly epoch: number; readonly node: string }>();
  for (const { node, shard, epoch } of c.commits) {
    const before = last.get(shard);
    if (before !== undefined && (before.epoch > epoch || (before.epoch === epoch && before.node !== node)))
      throw new Error(`shard ${shard}: ${node} wrote under ${epoch} after ${before.node} under ${before.epoch}`);
    last.set(shard, { epoch, node });
  }
}

/** Resolves at once while the process runs, after it goes on when it is stopped, never when it is dead. */
async function running(process: Process): Promise<void> {
  if (process.dead) return new Promise(() => {});
  while (process.stopped !== undefined) await process.stopped.gone;
  if (process.dead) return new Promise(() => {});
}

function whenRunning(process: Process, task: () => void): void {
  if (process.dead) return;
  if (process.stopped === undefined) task();
  else void running(process).then(task);
}

function clockOf(process: Process, clock: Clock, wallErrorMs: () => number): Clock {
  return {
    nowMs: () => clock.nowMs() + wallErrorMs(),
    monotonicMs: () => clock.monotonicMs(),
    after: (delayMs, task) => clock.after(delayMs, () => whenRunning(process, task)),
  };
}

/** The store as one process reaches it: not at all while cut off or dead; answers wait while it is stopped. */
function throughStore<T extends object>(c: Cluster, process: Process, target: T): T {
  return new Proxy(target, {
    get(object, key) {
      const value: unknown = Reflect.get(object, key);
      if (typeof value !== "function") return value;
      return async (...args: unknown[]) => {
        await running(process);
        if (c.storeCut.has(process.name)) throw new StoreUnavailable(`${process.name} is cut off from the store`);
        const delayMs = key === "commit" ? c.commitDelayMs.get(process.name) : undefined;
        if (delayMs !== undefined) await new Promise<void>((resolve) => void c.clock.after(delayMs, resolve));
        const answer: unknown = await Reflect.apply(value, object, args);
        const result = (target as unknown) === c.leases ? c.after(process.name, String(key), answer) : answer;
        if (key === "commit") note(c, process.name, args[0] as never, result as never);
        await running(process);
        return result;
      };
    },
  });
}

function note(
  c: Cluster,
  node: string,
  batch: readonly { readonly shard: number; readonly epoch: number }[],
  verdicts: readonly string[],
): void {
  batch.forEach(({ shard, epoch }, i) => {
    if (verdicts[i] === "ok") c.commits.push({ node, shard, epoch, atMs: c.clock.nowMs() });
  });
}
