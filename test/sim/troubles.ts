/**
 * What each fault does to the world.
 */
import { type Fault, type FaultKind, faultText } from "./faults.js";
import type { Node, World } from "./world.js";

/** Most nodes that run at once. */
const nodesMax = 5;

/** Faults that change nothing about who holds which shard: a take-over must be in time beside them (L2). */
const harmless: ReadonlySet<FaultKind> = new Set([
  ...(["clockJump", "cutBus", "cutBusOneWay", "lossyBus", "participantDead"] as const),
  ...(["participantSlow", "participantFlaky", "poison"] as const),
]);

/** With these, half of the time, the node's way to the store is poor until some time after their end. */
const poorAfter: ReadonlySet<FaultKind> = new Set(["pause", "cutStore", "isolate", "leaveAndJoin", "join"]);
const poorMs = 2000;

/** Lets a fault happen now. */
export function apply(world: World, fault: Fault): void {
  const names = [...world.nodes.keys()];
  const name = names[fault.place % names.length]!;
  const node = world.nodes.get(name)!;
  world.say(`fault ${faultText(fault)}: ${name}`);
  if (!harmless.has(fault.kind) && fault.kind !== "crash") world.disturb(endOf(world, fault));
  if (fault.kind === "crash") {
    if (node.process.alive) world.met("crash", name);
    return world.crash(name, fault.lengthMs);
  }
  if (poorAfter.has(fault.kind) && fault.other % 2 === 0) {
    const untilMs = endOf(world, fault) + poorMs;
    world.disturb(untilMs);
    world.network.storePoor.set(name, untilMs);
  }
  if (!onNode(world, fault, name, node)) everywhere(world, fault, name, names);
}

function endOf({ scheduler }: World, { lengthMs }: Fault): number {
  return scheduler.nowMs + lengthMs;
}

/** Faults of one node; `false`: it is none of those. */
function onNode(world: World, fault: Fault, name: string, node: Node): boolean {
  const { process } = node;
  const runs = process.alive && !process.paused;
  switch (fault.kind) {
    case "crashAtDeed":
      if (process.alive) world.met("crashAtDeed", name);
      process.dieAfter(fault.other % 40, () => world.restart(name, node, fault.lengthMs));
      return true;
    case "pause":
      if (runs) world.met("pause", name);
      process.pause();
      world.scheduler.after(fault.lengthMs, () => process.resume());
      return true;
    case "clockJump":
      if (runs) world.met("clockJump", name);
      process.jumpClock(fault.other % 2 === 0 ? 3_600_000 : -3_600_000);
      return true;
    case "usurp":
      if (runs) world.met("usurp", name);
      world.boot(name);
      return true;
    case "leaveAndJoin":
      if (runs) leave(world, name, node, fault.lengthMs);
      return true;
    case "isolate":
      if (runs) world.met("isolate", name);
      world.network.isolate(name, endOf(world, fault));
      return true;
    case "cutStore":
      if (runs) world.met("cutStore", name);
      world.network.storeCuts.set(name, endOf(world, fault));
      return true;
    default:
      return false;
  }
}

function everywhere(world: World, fault: Fault, name: string, names: readonly string[]): void {
  const { network, services } = world;
  const untilMs = endOf(world, fault);
  const other = names[(fault.place + 1 + (fault.other % Math.max(1, names.length - 1))) % names.length]!;
  const host = `p${fault.place % 4}.sim`;
  if (fault.kind === "join" && world.nodes.size >= nodesMax) return;
  if (fault.kind === "poison" && poison(world, fault) === undefined) return;
  world.met(fault.kind);
  switch (fault.kind) {
    case "join":
      return world.boot(`x${world.nodes.size}`);
    case "cutBus":
      network.cuts.set(`${name} ${other}`, untilMs);
      return void network.cuts.set(`${other} ${name}`, untilMs);
    case "cutBusOneWay":
      return void network.cuts.set(`${name} ${other}`, untilMs);
    case "lossyBus":
      network.until.lossyMs = untilMs;
      return;
    case "storeSlow":
      network.until.storeSlowMs = untilMs;
      return;
    case "storeDown":
      network.until[fault.other % 3 === 0 ? "storeFlickersMs" : "storeDownMs"] = untilMs;
      return;
    case "storeRestart":
      return network.restartStore(Math.min(fault.lengthMs, 2000));
    case "storeClockJump":
      return world.jumpStoreClock((fault.other % 2 === 0 ? 1 : -1) * (1000 + fault.other * 10));
    case "commitDoubt":
      network.until.doubtMs = untilMs;
      return;
    case "deadlock":
      network.until.deadlockMs = untilMs;
      return;
    case "participantDead":
      return void services.deadUntil.set(host, untilMs + 2 * fault.lengthMs); // until breakers open
    case "participantSlow":
      return void services.slowUntil.set(host, untilMs);
    case "participantFlaky":
      return void services.flakyUntil.set(host, untilMs);
  }
}

/** From now on the store takes nothing of one unfinished transaction; people look at it, or the store is away too. */
function poison(world: World, fault: Fault): string | undefined {
  const gids = [...world.ledger.unfinished].filter((gid) => !world.poisoned.has(gid));
  const gid = gids[fault.other % Math.max(1, gids.length)];
  if (gid === undefined) return undefined;
  world.say(`the store refuses ${gid}`);
  world.poisoned.add(gid);
  if (fault.other % 2 === 0) {
    world.network.until.storeDownMs = world.scheduler.nowMs + 300 + fault.place;
    world.disturb(world.network.until.storeDownMs);
  }
  for (const afterMs of [2000, 3000, 5000])
    world.scheduler.after(afterMs, () => void world.ask(world.curious, gid, { kind: "query" }));
  return gid;
}

function leave(world: World, name: string, node: Node, lengthMs: number): void {
  world.met("leaveAndJoin", name);
  node.process.run(() => {
    void node.member.close(3000).then(() => {
      node.process.crash();
      world.restart(name, node, lengthMs);
    });
  });
}
