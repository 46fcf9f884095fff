/**
 * Faults of a real cluster, one function each: does it, waits for the cluster to serve again, says what was hit.
 */
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { shardOf } from "../../src/core/shard.js";
import type { Bank } from "../cluster/bank.js";
import { type Fleet, type Node, until } from "../cluster/fleet.js";
import type { Load } from "../cluster/load.js";

/** What a campaign works with. */
export interface Scene {
  readonly fleet: Fleet;
  readonly bank: Bank;
  readonly load: Load;
  readonly leaseMs: number;
  readonly random: () => number;
}

/** What a fault did. */
export interface Hit {
  /** Transfers that were being called by the victim at that moment, or by any node whose log says that it was hit. */
  readonly atWork: number;
  /** Shards that changed hands by force. */
  readonly takenOver: number;
  /** Until every shard was served again, milliseconds. */
  readonly servedMs: number;
}

/** When to give up waiting; what is too late (lease and half a second) is judged at the end. */
const patienceMs = (leaseMs: number) => leaseMs + 10_000;

/** Transfers of the victim's shards whose participants have been called and have not answered. */
async function atWork({ fleet, bank }: Scene, victim: Node): Promise<number> {
  const { owners } = await fleet.shares();
  return [...bank.onTheWire].filter((gid) => owners.get(shardOf(gid)) === victim.name).length;
}

async function sharesOf({ fleet }: Scene, victim: Node): Promise<number> {
  return [...(await fleet.shares()).owners.values()].filter((owner) => owner === victim.name).length;
}

function anyNode({ fleet, random }: Scene): Node {
  return fleet.nodes[Math.floor(random() * fleet.nodes.length)]!;
}

/** Waits until the victim is at work, some seconds, resolves to with how much: an idle victim proves little. */
export async function whenAtWork(scene: Scene, victim: Node): Promise<number> {
  for (let i = 0; i < 100; i++) {
    const count = await atWork(scene, victim);
    if (count > 0) return count;
    await delay(20);
  }
  return 0;
}

/** kill -9 of an owner; it comes back under its name when others serve its shards. */
export async function kill(scene: Scene): Promise<Hit> {
  const { fleet, leaseMs } = scene;
  const victim = anyNode(scene);
  const takenOver = await sharesOf(scene, victim);
  const busy = await whenAtWork(scene, victim);
  const killedMs = performance.now();
  victim.signal("SIGKILL");
  await victim.gone();
  await until("the dead node's shards are others'", patienceMs(leaseMs), async () => {
    const { owners, orphans } = await fleet.shares();
    return orphans === 0 && ![...owners.values()].includes(victim.name);
  });
  const servedMs = performance.now() - killedMs;
  await victim.start();
  await fleet.settled(60, 20_000);
  return { atWork: busy, takenOver, servedMs };
}

/** SIGSTOP for longer than the lease, then SIGCONT: the process finds itself fenced, drops everything and rejoins. */
export async function stop(scene: Scene): Promise<Hit> {
  const { fleet, leaseMs } = scene;
  const victim = anyNode(scene);
  const takenOver = await sharesOf(scene, victim);
  const busy = await whenAtWork(scene, victim);
  const fencedBefore = lines(victim, '"fenced"');
  const stoppedMs = performance.now();
  victim.signal("SIGSTOP");
  await until("the stopped node's shards are others'", patienceMs(leaseMs), async () => {
    const { owners, orphans } = await fleet.shares();
    return orphans === 0 && ![...owners.values()].includes(victim.name);
  });
  const servedMs = performance.now() - stoppedMs;
  await delay(scene.random() * 500);
  victim.signal("SIGCONT");
  await until("the node has found itself fenced", 10_000, async () => lines(victim, '"fenced"') > fencedBefore);
  await fleet.settled(60, 20_000);
  return { atWork: busy, takenOver, servedMs };
}

/** Waits until transfers are being called, at most five seconds; resolves to how many. */
async function whenBusy({ bank }: Scene): Promise<number> {
  for (let i = 0; i < 250 && bank.onTheWire.size === 0; i++) await delay(20);
  return bank.onTheWire.size;
}

/** What a node says that misses its database: at a commit, at a read, at its lease. */
const withoutDatabase = ['"store_unavailable"', '"load_failed"', '"suspended"'] as const;

/** How often a word stands in the logs of all nodes. */
function linesOfAll({ nodes }: Fleet, word: string): number {
  return nodes.reduce((sum, node) => sum + lines(node, word), 0);
}

/** Resolves to whether a node says so within the time. */
async function isNoticed(isSaid: () => boolean, withinMs: number): Promise<boolean> {
  const told = until("a node says so", withinMs, async () => isSaid());
  return told.then(
    () => true,
    () => false,
  );
}

/** The NATS server is restarted, at once or after a while; over when every node is connected again. */
export async function restartNats(scene: Scene): Promise<Hit> {
  const { fleet, random } = scene;
  const [left, back] = [linesOfAll(fleet, '"nats_disconnect"'), linesOfAll(fleet, '"nats_reconnect"')];
  const busy = await whenBusy(scene);
  fleet.nats.kill("SIGKILL");
  const downMs = performance.now();
  const noticed = await isNoticed(() => linesOfAll(fleet, '"nats_disconnect"') > left, 5000);
  await delay(random() * 3000);
  await fleet.nats.start();
  const living = fleet.nodes.filter(({ pid }) => pid !== undefined).length;
  await until("every node connected", 15_000, async () => linesOfAll(fleet, '"nats_reconnect"') >= back + living);
  return { atWork: noticed ? busy : 0, takenOver: 0, servedMs: performance.now() - downMs };
}

/** The database is killed and comes back, now and then only after all leases are over. */
export async function restartMysql(scene: Scene): Promise<Hit> {
  const { fleet, leaseMs, random } = scene;
  const fencedBefore = deaths(fleet);
  const missing = () => withoutDatabase.reduce((sum, word) => sum + linesOfAll(fleet, word), 0);
  const missingBefore = missing();
  const busy = await whenBusy(scene);
  fleet.mysql.kill("SIGKILL");
  const noticed = await isNoticed(() => missing() > missingBefore, 3000);
  await delay(random() < 0.5 ? 0 : leaseMs * 1.5);
  const downMs = performance.now();
  await fleet.mysql.start();
  await fleet.served(30_000);
  const servedMs = performance.now() - downMs;
  await delay(leaseMs);
  const fenced = deaths(fleet) - fencedBefore;
  if (fenced > 0) throw new Error(`${fenced} living nodes were fenced after the database came back`);
  return { atWork: noticed ? busy : 0, takenOver: 0, servedMs };
}

/** Every node in turn is asked to end, and started again. Resolves to requests that one retry did not hide. */
export async function rollingRestart({ fleet, load }: Scene): Promise<number> {
  load.mark();
  for (const node of fleet.nodes) {
    node.signal("SIGTERM");
    await node.gone();
    if (node.ended !== "0") throw new Error(`${node.name} ended with ${node.ended}`);
    await node.start();
    await fleet.settled(60, 10_000);
    await delay(500);
  }
  return load.stubborn;
}

/** How often a word stands in a node's log. */
export function lines(node: Node, word: string): number {
  return readFileSync(node.log, "utf8").split(word).length - 1;
}

function deaths(fleet: Fleet): number {
  return fleet.nodes.reduce((sum, node) => sum + lines(node, '"fencedByThis":true'), 0);
}
