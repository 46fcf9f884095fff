/**
 * The composition root of one process: reads like a list of what a node consists of. Everything that touches the world
 * (time, chance, sockets, files) is made here and handed down.
 */
import { hostname, totalmem } from "node:os";
import { getHeapStatistics } from "node:v8";
import { ownAddresses } from "./addresses.js";
import { Alerts } from "./alerts.js";
import { type CallerOptions, createCallers } from "./caller/callers.js";
import { CliError } from "./cli/exit.js";
import { packageVersion } from "./cli/version.js";
import { systemClock } from "./clock.js";
import type { Config, Shown } from "./config/config.js";
import { masked, type StoreChoice } from "./config/store.js";
import type { TargetSettings } from "./config/targets.js";
import { Engine } from "./engine/engine.js";
import type { EngineSettings } from "./engine/services.js";
import { Arriving } from "./gateway/arriving.js";
import { newGid } from "./gateway/gid.js";
import { createGrpcGateway } from "./gateway/grpc/gateway.js";
import { createHttpGateway } from "./gateway/http/gateway.js";
import { createOperations, type Operations } from "./gateway/operations.js";
import { createLog, type FileLog } from "./log.js";
import { Metrics } from "./metrics/metrics.js";
import type { Backup } from "./ports/backup.js";
import type { Callers } from "./ports/caller.js";
import type { Clock } from "./ports/clock.js";
import type { Coordinator } from "./ports/coordinator.js";
import type { Observer } from "./ports/observer.js";
import type { Ownership } from "./ports/ownership.js";
import type { Store } from "./ports/store.js";
import type { EngineStats, Targets } from "./ports/targets.js";
import type { KeyValues } from "./ports/topics.js";
import { openEmbedded } from "./stores.js";
import type { Json } from "./wire/encode.js";
import { urlHost } from "./wire/url.js";

/** A node that takes requests. */
export interface RunningNode {
  /** Base URL of HTTP, and `host:port` of gRPC where it is served. */
  readonly addresses: { readonly http: string; readonly grpc: string | undefined };
  /** Ends in good order within about `graceMs`; what is unfinished goes on after the next start. */
  close(graceMs: number): Promise<void>;
}

/** What is made of a configuration before anything is known about stores and other nodes. */
export interface Surroundings {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: FileLog;
  readonly metrics: Metrics;
  readonly alerts: Alerts;
  readonly callers: Callers;
  readonly observer: Observer;
  /** "host:port" of this node's own APIs, known once it listens: no branch may lead there. */
  readonly ownAddresses: string[];
}

/** What stands behind the gateways: an engine with its store, alone or as a member of a cluster. */
export interface Heart {
  /** The node's name. */
  readonly name: string;
  /** Takes requests on any gid. */
  readonly coordinator: Coordinator;
  readonly targets: Targets;
  stats(): EngineStats;
  readonly store: Store;
  readonly keyValues: KeyValues;
  readonly backup: Backup | undefined;
  /** The time that stored times are compared with. */
  readonly clock: Clock;
  /** The cluster as this node sees it, for `/api/v1/cluster`. */
  readonly cluster?: (() => Json) | undefined;
  /** The gateways listen: begins to work. */
  start(operations: Operations): Promise<void>;
  /** Gives up what others can go on with, while the gateways still answer. */
  leave(graceMs: number): Promise<void>;
  /** The gateways take nothing new: ends the work in good order, those who wait are told to ask again. */
  close(graceMs: number): Promise<void>;
  /** The gateways are gone: lets go of everything, the store included. */
  end(): Promise<void>;
}

/**
 * Starts a node with a store of its own that logs `shown`. @throws when the configuration asks for more, or a port or
 * the store cannot be had; nothing is left open then.
 */
export async function startNode(config: Config, shown: Shown = []): Promise<RunningNode> {
  const surroundings = surround(config, shown);
  return runNode(surroundings, await embedded(surroundings));
}

/**
 * Opens nothing yet, says by which configuration the node runs. `extra` are ways to call participants that need a
 * connection of the node's.
 */
export function surround(config: Config, shown: Shown, extra: Pick<CallerOptions, "nats"> = {}): Surroundings {
  const clock = systemClock();
  const log = createLog(config.log.level, config.log.outputs);
  if (shown.length > 0) log.info("configuration", Object.fromEntries(shown.map(({ path, value }) => [path, value])));
  const metrics = new Metrics(log, { http: "fastify", grpc: `node:http2 ${process.versions.nghttp2}` });
  const alerts = new Alerts(config.alert.webHook, clock, log);
  const own: string[] = [];
  const callers = createCallers({ ...callerOptions(config, own), ...extra });
  return { config, clock, log, metrics, alerts, callers, observer: observe(metrics, alerts), ownAddresses: own };
}

/** One process with an embedded store owns every shard for ever. */
const owner: Ownership = { epochOf: () => 1, remainingMs: () => Number.POSITIVE_INFINITY, lost: () => {} };

async function embedded({ config, clock, log, callers, observer }: Surroundings): Promise<Heart> {
  if (config.store.kind === "mysql" || config.cluster !== undefined)
    throw new CliError("usage", "this program serves embedded stores only, and no clusters", [
      "MySQL and clusters are served by dist/cluster/main.js, which is installed as tandem",
    ]);
  const { store, keyValues, backup } = await openEmbedded(config.store);
  const engine = new Engine(
    { store, keyValues, callers, ownership: owner, clock, random: Math.random, observer, log },
    engineSettings(config),
  );
  return {
    ...{ name: hostname(), coordinator: engine, targets: engine.targets, store, keyValues, backup, clock },
    stats: () => engine.stats(),
    start: async () => engine.start(),
    leave: async () => {},
    close: (graceMs) => engine.close(graceMs),
    end: () => store.close(),
  };
}

/** Puts the gateways before a heart. @throws when a port cannot be had or the heart does not start */
export async function runNode(surroundings: Surroundings, heart: Heart): Promise<RunningNode> {
  const { config, log, metrics, alerts, callers } = surroundings;
  const { clock, store, targets, backup, cluster } = heart;
  const limits = config.limits.input;
  const operations = createOperations({
    ...{ coordinator: heart.coordinator, store, keyValues: heart.keyValues, callers, clock, limits },
    newGid: () => newGid(clock.nowMs()),
    timeoutToFailMs: config.defaults.timeoutToFailMs,
    isSwamped: () => heart.stats().swamped,
  });
  const stats = () => heart.stats();
  const node = {
    ...{ name: heart.name, version: packageVersion(), store: storeName(config.store) },
    startedAtMs: clock.nowMs(),
  };
  const arriving = new Arriving(config.limits.load.requestBytes);
  const http = createHttpGateway({
    ...{ operations, limits, arriving, metrics, log, clock, store, stats, targets, backup, cluster, node },
  });
  const ready = () => stats().storeUnavailableMs === undefined;
  const grpc = createGrpcGateway({ operations, limits, arriving, metrics, log, clock, ready });
  const end = async (graceMs: number) => {
    const untilMs = clock.monotonicMs() + graceMs;
    await heart.leave(graceMs * 0.7);
    await Promise.all([http.close(), grpc.close(), heart.close(Math.max(0, untilMs - clock.monotonicMs()))]);
    await callers.close();
    await heart.end();
    alerts.close();
    log.info("stopped");
    log.close();
  };
  try {
    const { host, port } = await http.listen({ host: config.host, port: config.httpPort });
    const { port: grpcPort } = await grpc.listen({ host: config.host, port: config.grpcPort });
    const advertise = config.cluster?.advertise ?? "";
    surroundings.ownAddresses.push(...ownAddresses({ host: config.host, ports: [port, grpcPort], advertise }));
    await heart.start(operations);
    log.info("started", { store: storeName(config.store), http: port, grpc: grpcPort });
    const addresses = { http: `http://${urlHost(host)}:${port}`, grpc: `${urlHost(host)}:${grpcPort}` };
    return { addresses, close: end };
  } catch (error) {
    await end(0);
    throw error;
  }
}

/** Engine settings that a configuration stands for. */
export function engineSettings({ limits, defaults, alert, ...config }: Config): EngineSettings {
  const { load } = limits;
  const heapBytes = getHeapStatistics().heap_size_limit;
  const bytesPerActor = 8192;
  return {
    defaults,
    alertAfter: alert.retryLimit,
    parkAfter: config.parkAfter,
    branchesMax: limits.input.branches,
    waitResultMs: config.waitResultTimeoutMs,
    residentMax: load.residentTransactions || Math.min(200_000, Math.floor((heapBytes * 0.4) / bytesPerActor)),
    residentBytesMax: load.residentBytes || Math.min(1 << 30, Math.floor(memoryBytes() / 4)),
    activeMax: load.activeTransactions,
    queuedBytesMax: load.requestBytes,
    mailboxMax: 1000,
    storeWaitMs: 5000,
    flush: { commitsMax: 256, bytesMax: 8 << 20, lingerMs: 2 },
    dispatch: {
      perOrigin: load.callsPerParticipant,
      perNode: load.callsInFlight,
      waitingPerTarget: 10_000,
      targets: 10_000,
    },
    retention: { journalMs: config.retention.finishedDataMs, headMs: config.retention.finishedHeadMs },
  };
}

/** What this process may use: of its container, or of the machine. */
function memoryBytes(): number {
  const containerBytes = process.constrainedMemory();
  return containerBytes > 0 ? Math.min(containerBytes, totalmem()) : totalmem();
}

/** How participants are called. `own`: "host:port" of this node's APIs, where no branch may lead. */
export function callerOptions(config: Config, own: readonly string[]): CallerOptions {
  const { ca, cert, key, localhostAs, targets } = config.participants;
  return {
    strictResults: config.strictResults,
    ownAddresses: () => own,
    connectionsPerOrigin: config.limits.load.callsPerParticipant,
    ...(localhostAs && { localhostAs }),
    tls: { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }), targets: eachOf(targets, "tls") },
    targetHeaders: eachOf(targets, "headers"),
  };
}

/** One member of what is said of participants, where it is there. */
function eachOf<K extends keyof TargetSettings>(
  targets: Readonly<Record<string, TargetSettings>>,
  member: K,
): Readonly<Record<string, NonNullable<TargetSettings[K]>>> {
  const pairs = Object.entries(targets).flatMap(([name, settings]) => {
    const value = settings[member];
    return value === undefined ? [] : [[name, value] as const];
  });
  return Object.fromEntries(pairs);
}

/** Metrics count everything; who is stuck is also told to people. */
function observe(metrics: Metrics, alerts: Alerts): Observer {
  return {
    finished: (tx) => metrics.finished(tx),
    called: (call, target, answer, durationMs) => metrics.called(call, target, answer, durationMs),
    flushed: (commits, durationMs) => metrics.flushed(commits, durationMs),
    lateAnswer: (call) => metrics.lateAnswer(call),
    breaker: (target, open) => metrics.breaker(target, open),
    stuck: (alert) => {
      metrics.stuck(alert);
      alerts.send(alert);
    },
  };
}

function storeName(choice: StoreChoice): string {
  if (choice.kind === "mysql") return masked(choice.url);
  return choice.kind === "lmdb" ? `lmdb:${choice.dir}` : "memory:";
}
