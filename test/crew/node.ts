/**
 * A crew in one process: real engines behind channels that deliver when the clock says so, one memory store that
 * fences, a keeper that only notes what it is told.
 */
import { Crew } from "../../cluster/crew/crew.js";
import { startHand, type Writership } from "../../cluster/crew/hand.js";
import type { Channel } from "../../cluster/crew/messages.js";
import { partOf } from "../../cluster/crew/part.js";
import { Shared } from "../../cluster/crew/shared.js";
import { shardCount, shardOf } from "../../src/core/shard.js";
import type { EngineSettings } from "../../src/engine/services.js";
import type { Store } from "../../src/ports/store.js";
import { MemoryStore } from "../../src/store/memory/memory.js";
import { Participants, settings, settle, type VirtualClock, virtualClock } from "../engine/harness.js";

export const engines = 2;

/** The keeper's part, played by the test: it owns what is written into `epochs`. */
export interface Keeper {
  incarnation: number;
  readonly epochs: Map<number, number>;
  /** What it was told, as words. */
  readonly told: string[];
}

export interface CrewNode {
  readonly crew: Crew;
  readonly clock: VirtualClock;
  readonly participants: Participants;
  readonly store: MemoryStore;
  readonly shared: Shared;
  readonly keeper: Keeper;
  /** `info claimed {"shards":3}` … and what the observer was told. */
  readonly heard: string[];
  /** What each engine's store may ask and tell. */
  readonly writers: Writership[];
  /** `engine shard` of each commit that was sent. */
  readonly commits: string[];
  /** Connections that the node was asked to enlist, and to dismiss; those in `unwelcome` are refused. */
  readonly enlisted: string[];
  readonly unwelcome: Set<number>;
  /** Of the node's main thread to its engines. */
  readonly channels: readonly Channel[];
  /** From now on messages in both directions take so long. */
  delayMs: number;
  /** The node owns these from now on under that epoch, and has a lease; the store agrees. */
  own(shards: Iterable<number>, epoch: number): void;
}

/** A gid of a shard of that engine; `nth` gives different ones. */
export function gidOf(engine: number, nth = 0): string {
  let left = nth;
  for (let i = 0; ; i++) if (shardOf(`g${i}`) % engines === engine && left-- === 0) return `g${i}`;
}

export const allShards: readonly number[] = Array.from({ length: shardCount }, (_, shard) => shard);

/** A node whose crew is ready and owns nothing yet. */
export async function crewNode(over: Partial<EngineSettings> = {}): Promise<CrewNode> {
  const clock = virtualClock();
  const memory = Shared.make();
  const fence = new Map<number, number>();
  const store = new MemoryStore((shard) => fence.get(shard) ?? 0);
  const keeper: Keeper = { incarnation: 1, epochs: new Map(), told: [] };
  const participants = new Participants();
  const heard: string[] = [];
  const line = (word: string) => (event: string, fields?: object) =>
    void heard.push(`${word} ${event} ${JSON.stringify(fields)}`);
  const soon = (task: () => void) => void clock.after(0, task);
  const writers: Writership[] = [];
  const commits: string[] = [];
  const enlisted: string[] = [];
  const unwelcome = new Set<number>();
  const delay = () => node.delayMs;
  const channels: Channel[] = [];
  for (let engine = 0; engine < engines; engine++) {
    const [orders, reports] = [way(clock, delay), way(clock, delay)];
    channels.push({ send: orders.send, receive: reports.receive });
    await startHand(
      {
        ...{ clock, soon, random: () => 0.5, debug: true, shared: new Shared(memory) },
        channel: { send: reports.send, receive: orders.receive },
        openStore: async (writer) => {
          writers.push(writer);
          return { store: noting(store, (shard) => commits.push(`${engine} ${shard}`)), keyValues: store };
        },
        makeCallers: (ownAddresses) => ({
          ...{ locate: (protocol, url) => participants.locate(protocol, url), close: async () => {} },
          call: (call, signal) => {
            heard.push(`engine ${engine} calls from ${ownAddresses().join()}`);
            return participants.call(call, signal);
          },
        }),
      },
      partOf({ ...settings, ...over }, engine, engines),
    );
  }
  const crew = new Crew({
    ...{ channels, soon, clock, shared: new Shared(memory), format: () => 2, ownAddresses: () => ["n:1"] },
    log: { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") },
    observer: {
      finished: ({ type, status }) => void heard.push(`finished ${type} ${status}`),
      called: ({ gid, op }, target, { outcome, detail }) =>
        void heard.push(`called ${gid} ${op} ${target} ${outcome} ${detail}`),
      flushed: (count) => void heard.push(`flushed ${count}`),
      lateAnswer: ({ gid, op }) => void heard.push(`late ${gid} ${op}`),
      breaker: (target, open) => void heard.push(`breaker ${target} ${open}`),
      stuck: ({ gid }) => void heard.push(`stuck ${gid}`),
    },
    landlord: {
      get incarnation() {
        return keeper.incarnation;
      },
      epochOf: (shard) => keeper.epochs.get(shard),
      lost: (shard, epoch) => void keeper.told.push(`lost ${shard} at ${epoch}`),
      bumped: (rows) => void keeper.told.push(`bumped ${rows.map(({ shard, epoch }) => `${shard} to ${epoch}`)}`),
      regressed: (what) => void keeper.told.push(`regressed ${what}`),
    },
    async enlist(connection) {
      enlisted.push(`+${connection}`);
      if (unwelcome.has(connection)) throw new Error(`connection ${connection} is not welcome`);
    },
    dismiss: (connection) => void enlisted.push(`-${connection}`),
  });
  const node: CrewNode = {
    ...{ crew, clock, participants, store, keeper, heard, writers, commits, enlisted, unwelcome, channels },
    delayMs: 1,
    shared: new Shared(memory),
    own(shards, epoch) {
      for (const shard of shards) {
        keeper.epochs.set(shard, epoch);
        fence.set(shard, epoch);
      }
      crew.leased(clock.monotonicMs() + 3_600_000);
      crew.gained();
    },
  };
  return node;
}

/** One direction: in order, as late as the node says. */
function way(clock: VirtualClock, delayMs: () => number): Channel {
  let handler: (bytes: Uint8Array) => void = () => {};
  return {
    send: (bytes) => void clock.after(delayMs(), () => handler(bytes)),
    receive: (its) => {
      handler = its;
    },
  };
}

function noting(store: MemoryStore, sent: (shard: number) => void): Store {
  return new Proxy(store, {
    get(target, key) {
      if (key !== "commit") return Reflect.get(target, key).bind(target);
      return (batch: Parameters<Store["commit"]>[0]) => {
        for (const { shard } of batch) sent(shard);
        return target.commit(batch);
      };
    },
  });
}

/** Lets time go on until a promise has ended. */
export async function meanwhile<T>({ clock }: CrewNode, promise: Promise<T>, atMostMs = 30_000): Promise<T> {
  let done = false;
  const end = () => {
    done = true;
  };
  promise.then(end, end);
  for (let ms = 0; ms < atMostMs && !done; ms++) await clock.advance(1);
  await settle();
  if (!done) throw new Error(`nothing after ${atMostMs} ms`);
  return promise;
}
