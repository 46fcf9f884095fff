/**
 * Faults that come all at once: each kind strikes by itself, again and again, whatever the others do. Counts how often,
 * how many were under way at the same time, and how many transfers were being called at that moment.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Fleet, Node } from "../cluster/fleet.js";
import type { CutLine } from "../cluster/proxy.js";
import type { Server } from "../servers.js";

/** Kinds of faults; those of `cuts` are of one node's line. */
export const troubleKinds = [
  ...(["kill -9", "SIGTERM", "SIGSTOP", "NATS restart", "MariaDB restart", "bank's MariaDB restart"] as const),
  ...(["cut off from NATS", "cut off from MariaDB", "cut off from the nodes"] as const),
] as const;
export type TroubleKind = (typeof troubleKinds)[number];

/** Seconds between the end of one and the begin of the next of its kind, on average. */
const pauseS: Readonly<Record<TroubleKind, number>> = {
  "kill -9": 9,
  SIGTERM: 25,
  SIGSTOP: 9,
  "NATS restart": 20,
  "MariaDB restart": 30,
  "bank's MariaDB restart": 40,
  "cut off from NATS": 12,
  "cut off from MariaDB": 14,
  "cut off from the nodes": 12,
};

/** Lines of one node. */
export interface Lines {
  readonly nats: CutLine;
  readonly mysql: CutLine;
  readonly node: CutLine;
}

/** What the troubles are made on. */
export interface Ground {
  readonly fleet: Fleet;
  readonly lines: ReadonlyMap<string, Lines>;
  readonly bank: Server;
  readonly random: () => number;
  /** Transfers whose participants are being called. */
  readonly atWork: () => number;
  /** Nodes that were asked to end. */
  readonly asked: Set<string>;
}

/** How often one kind has struck. */
export interface Struck {
  times: number;
  /** Of these while transfers were being called. */
  hit: number;
  /** While another one was under way. */
  beside: number;
}

/** Troubles under way. */
export interface Troubles {
  readonly struck: ReadonlyMap<TroubleKind, Struck>;
  /** Pairs of kinds that were under way at the same time. */
  readonly pairs: ReadonlySet<string>;
  readonly mostAtOnce: number;
  /** Ends of nodes that nobody asked for, and starts that failed, by exit code. */
  readonly ends: ReadonlyMap<string, number>;
  readonly underWay: readonly TroubleKind[];
  /** No new ones; resolves when everything is healed and every node runs. */
  stop(): Promise<void>;
}

/** Lets all kinds strike until `stop`. */
export function startTroubles(ground: Ground): Troubles {
  const struck = new Map(troubleKinds.map((kind) => [kind, { times: 0, hit: 0, beside: 0 } satisfies Struck]));
  const active: TroubleKind[] = [];
  const pairs = new Set<string>();
  const ending = new AbortController();
  let mostAtOnce = 0;
  const strike = async (kind: TroubleKind) => {
    const counts: Struck = struck.get(kind)!;
    counts.times++;
    if (ground.atWork() > 0) counts.hit++;
    if (active.length > 0) counts.beside++;
    for (const other of active) pairs.add([kind, other].sort().join(" + "));
    active.push(kind);
    mostAtOnce = Math.max(mostAtOnce, active.length);
    await strikes[kind](ground);
    active.splice(active.indexOf(kind), 1);
  };
  const pause = (ms: number) => delay(ms, undefined, { signal: ending.signal }).catch(() => {});
  const again = async (kind: TroubleKind) => {
    await pause(ground.random() * 8000); // all of them soon
    while (!ending.signal.aborted) {
      await strike(kind);
      await pause(2 * ground.random() * pauseS[kind] * 1000);
    }
  };
  const keepers = ground.fleet.nodes.map((node) => keepRunning(node, ground));
  const loops = Promise.all(troubleKinds.map(again));
  return {
    ...{ struck, pairs, underWay: active },
    get mostAtOnce() {
      return mostAtOnce;
    },
    get ends() {
      return sum(keepers.map(({ ends }) => ends));
    },
    async stop() {
      ending.abort();
      await loops;
      await Promise.all(keepers.map((keeper) => keeper.stop()));
    },
  };
}

function sum(all: readonly ReadonlyMap<string, number>[]): ReadonlyMap<string, number> {
  const total = new Map<string, number>();
  for (const counts of all) for (const [key, count] of counts) total.set(key, (total.get(key) ?? 0) + count);
  return total;
}

/** Starts a node again whenever it has ended, as a supervisor of processes does. */
function keepRunning(node: Node, { random, asked }: Ground) {
  const ends = new Map<string, number>();
  const note = (what: string) => ends.set(what, (ends.get(what) ?? 0) + 1);
  let running = true;
  const work = async () => {
    for (;;) {
      if (node.pid === undefined) {
        await node.start().catch(() => note(`did not start, ended with ${node.ended}`));
        if (node.pid === undefined) await delay(500);
        continue;
      }
      if (!running) return;
      await Promise.race([node.gone(), delay(100)]);
      if (node.pid !== undefined) continue;
      note(`ended with ${node.ended}${asked.delete(node.name) ? " after SIGTERM" : ""}`);
      await delay(random() * 4000);
    }
  };
  const done = work();
  return {
    ends,
    async stop() {
      running = false;
      await done;
    },
  };
}

function anyNode({ fleet, random }: Ground): Node {
  return fleet.nodes[Math.floor(random() * fleet.nodes.length)]!;
}

/** Half of them short, half longer than a lease. */
const lastingMs = (random: () => number) => (random() < 0.5 ? random() * 2000 : 3000 + random() * 5000);

async function restart(server: Server, { random }: Ground, downMs: number): Promise<void> {
  server.kill(random() < 0.7 ? "SIGKILL" : "SIGTERM");
  await delay(random() * downMs);
  await server.start();
}

async function cut(line: CutLine, { random }: Ground): Promise<void> {
  line.cut();
  await delay(lastingMs(random));
  line.heal();
}

const strikes: Readonly<Record<TroubleKind, (ground: Ground) => Promise<void>>> = {
  "kill -9": async (ground) => {
    const node = anyNode(ground);
    node.signal("SIGKILL");
    await node.gone();
  },
  SIGTERM: async (ground) => {
    const node = anyNode(ground);
    if (node.pid !== undefined) ground.asked.add(node.name);
    node.signal("SIGTERM");
    await Promise.race([node.gone(), delay(20_000)]);
  },
  SIGSTOP: async (ground) => {
    const node = anyNode(ground);
    node.signal("SIGSTOP");
    await delay(lastingMs(ground.random));
    node.signal("SIGCONT");
  },
  "NATS restart": (ground) => restart(ground.fleet.nats, ground, 4000),
  "MariaDB restart": (ground) => restart(ground.fleet.mysql, ground, 6000),
  "bank's MariaDB restart": (ground) => restart(ground.bank, ground, 3000),
  "cut off from NATS": (ground) => cut(ground.lines.get(anyNode(ground).name)!.nats, ground),
  "cut off from MariaDB": (ground) => cut(ground.lines.get(anyNode(ground).name)!.mysql, ground),
  "cut off from the nodes": (ground) => cut(ground.lines.get(anyNode(ground).name)!.node, ground),
};
