/**
 * One node of a cluster, put together from its parts: engine, keeper, link and router around one view. Takes everything
 * that touches the world from outside, so that a simulation makes the same node as production does.
 */
import { refused } from "../src/core/input.js";
import { Engine, type EnginePorts } from "../src/engine/engine.js";
import type { EngineSettings } from "../src/engine/services.js";
import type { Bus } from "../src/ports/bus.js";
import type { Clock } from "../src/ports/clock.js";
import type { Coordinator } from "../src/ports/coordinator.js";
import type { Leases, ShardRow } from "../src/ports/leases.js";
import type { Workforce } from "../src/ports/workforce.js";
import { waitForRoom } from "./alone.js";
import { Keeper } from "./keeper.js";
import { Link, type Writing } from "./link.js";
import { Router } from "./router.js";
import { storeClock } from "./storeclock.js";
import { type Downfall, keeperDefaults } from "./tenant.js";
import { View } from "./view.js";

/** What a member needs of the world; ownership is its own. */
export interface MemberPorts extends Omit<EnginePorts, "ownership"> {
  readonly leases: Leases;
  readonly bus: Bus;
  /** How messages are written; in the newest format of this program unless given. */
  readonly writing?: Writing;
  /** What works on this node's shards: an engine of this thread unless given. */
  readonly employ?: (ports: EnginePorts, keeper: Keeper) => Workforce;
}

/** Who it is. `leaseMs` as in keeper settings. */
export interface MemberSettings {
  readonly name: string;
  readonly address: string;
  readonly leaseMs?: number;
  readonly renewMs?: number;
}

export interface Member {
  readonly engine: Workforce;
  readonly keeper: Keeper;
  readonly view: View;
  readonly link: Link;
  /** Takes requests on any gid. */
  readonly coordinator: Router;
  /** Follows the store's time. */
  readonly clock: Clock;
  /** Joins; rejects when the store cannot be reached, and with `OwnedElsewhere` when others have it. */
  start(): Promise<void>;
  /** Hands over and ends, within about `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** Most requests that wait for an owner at a time. */
const waitersMax = 10_000;

/** Makes a member that is not started. `fell` is called when it must end for good. */
export function createMember(
  ports: MemberPorts,
  engineSettings: EngineSettings,
  settings: MemberSettings,
  fell: (why: Downfall) => void,
): Member {
  const { leases, bus, log } = ports;
  const clock = storeClock(ports.clock);
  const leaseMs = settings.leaseMs ?? keeperDefaults.leaseMs;
  const renewMs = settings.renewMs ?? Math.min(keeperDefaults.renewMs, Math.floor(leaseMs / 3));
  const view = new View();
  const keeper: Keeper = new Keeper(
    leases,
    clock,
    log,
    view,
    {
      gained: () => engine.gained(),
      lost: (shards) => engine.lost(shards),
      drain: (shards, graceMs) => engine.drain(shards, graceMs),
      raised: () => engine.raised?.(),
      leased: (untilMs) => engine.leased?.(untilMs),
      timed(storeNowMs, sentMs) {
        clock.anchor(storeNowMs, sentMs);
        if (clock.aheadMs !== undefined) engine.ahead?.(clock.aheadMs);
      },
      fell,
    },
    (rows) => link.announce(rows),
    { ...keeperDefaults, ...settings, leaseMs, renewMs },
  );
  const enginePorts: EnginePorts = { ...ports, clock, ownership: keeper };
  const engine: Workforce = ports.employ?.(enginePorts, keeper) ?? new Engine(enginePorts, engineSettings);
  const changed = (rows: readonly ShardRow[]) => {
    const taken = rows.some(({ shard, owner }) => owner === "" || view.ownerOf(shard)?.name !== owner);
    view.learn(rows);
    if (taken) keeper.hurry();
  };
  const link = new Link(settings.name, bus, clock, log, ownerOf(engine, keeper), changed, ports.random, ports.writing);
  const coordinator = new Router(engine, link, view, clock, {
    self: settings.name,
    ownerWaitMs: leaseMs + 1000,
    askMs: 1000,
    sliceMs: 1000,
    waitResultMs: engineSettings.waitResultMs,
    waitersMax,
  });
  return {
    engine,
    keeper,
    view,
    link,
    coordinator,
    clock,
    async start() {
      await waitForRoom(leases, clock, leaseMs, settings);
      await keeper.start();
      await waitForRoom(leases, clock, leaseMs, settings, true).catch(async (cause) => {
        await keeper.leave(0);
        throw cause;
      });
      engine.start();
    },
    async close(graceMs) {
      await keeper.leave(graceMs);
      await engine.close(500);
      await bus.close();
    },
  };
}

/**
 * The engine as other nodes ask it. One that stands still since its lease is over is about to have a follower: who asks
 * here on a client's behalf waits for that, as it does for any shard without an owner (reliability 7).
 */
function ownerOf(engine: Coordinator, keeper: Keeper): Coordinator {
  return {
    handle(gid, request) {
      if (!keeper.suspended) return engine.handle(gid, request);
      return Promise.resolve(refused("NOT_OWNER", `gid ${gid}: this node stands still until it has renewed its lease`));
    },
  };
}
