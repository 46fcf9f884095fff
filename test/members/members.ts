/**
 * A small cluster on virtual time: real members over one memory store, one table of leases, one bus.
 */
import { MemoryHub } from "../../cluster/bus/memory.js";
import { createMember, type Member } from "../../cluster/member.js";
import { MemoryLeases } from "../../src/store/memory/leases.js";
import { MemoryStore } from "../../src/store/memory/memory.js";
import { Participants, settings, type VirtualClock, virtualClock } from "../engine/harness.js";

export interface Cluster {
  readonly clock: VirtualClock;
  readonly leases: MemoryLeases;
  readonly store: MemoryStore;
  readonly participants: Participants;
  readonly members: Map<string, Member>;
  readonly log: string[];
  /** Messages between these two are lost, both ways. */
  readonly cut: Set<string>;
  join(name: string): Promise<Member>;
  /** As kill -9: the node's timers and promises still exist but nothing of it reaches anybody. */
  kill(name: string): void;
}

export function cluster(): Cluster {
  const clock = virtualClock();
  const leases = new MemoryLeases(() => clock.nowMs());
  const store = new MemoryStore((shard) => leases.epochOf(shard));
  const participants = new Participants();
  const members = new Map<string, Member>();
  const log: string[] = [];
  const cut = new Set<string>();
  const dead = new Set<string>();
  const hub = new MemoryHub(clock, (from, to) => {
    const lost = dead.has(from) || dead.has(to) || cut.has(`${from} ${to}`) || cut.has(`${to} ${from}`);
    return lost ? [] : [1];
  });
  const never = <T>() => new Promise<T>(() => {});
  return {
    clock,
    leases,
    store,
    participants,
    members,
    log,
    cut,
    async join(name) {
      const line = (event: string) => void log.push(`${name} ${event}`);
      const gate = <T extends object>(target: T): T =>
        new Proxy(target, {
          get(object, key) {
            const value: unknown = Reflect.get(object, key);
            if (typeof value !== "function") return value;
            return (...args: unknown[]) => (dead.has(name) ? never() : Reflect.apply(value, object, args));
          },
        });
      const member = createMember(
        {
          store: gate(store),
          keyValues: gate(store),
          leases: gate(leases),
          bus: hub.connect(name),
          callers: {
            locate: participants.locate.bind(participants),
            call: gate(participants).call,
            close: async () => {},
          },
          clock,
          random: () => 0.5,
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
        () => line("usurped"),
      );
      const started = member.start();
      await clock.advance(50);
      await started;
      members.set(name, member);
      return member;
    },
    kill(name) {
      dead.add(name);
      members.delete(name);
    },
  };
}
