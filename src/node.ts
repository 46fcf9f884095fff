/**
 * The composition root of one process: reads like a list of what a node consists of. Everything that touches the world
 * (time, chance, sockets, files) is made here and handed down.
 */
import { hostname } from "node:os";
import { getHeapStatistics } from "node:v8";
import { Alerts } from "./alerts.js";
import { createCallers } from "./caller/callers.js";
import { packageVersion } from "./cli/version.js";
import { systemClock } from "./clock.js";
import type { Config } from "./config/config.js";
import { masked, type StoreChoice } from "./config/store.js";
import { Engine } from "./engine/engine.js";
import type { EngineSettings } from "./engine/services.js";
import { newGid } from "./gateway/gid.js";
import { createGrpcGateway } from "./gateway/grpc/gateway.js";
import { createHttpGateway } from "./gateway/http/gateway.js";
import { createOperations } from "./gateway/operations.js";
import { createLog } from "./log.js";
import { Metrics } from "./metrics/metrics.js";
import type { Observer } from "./ports/observer.js";
import type { Ownership } from "./ports/ownership.js";
import { openEmbedded } from "./stores.js";

/** A node that takes requests. */
export interface RunningNode {
  /** Base URL of HTTP, and `host:port` of gRPC where it is served. */
  readonly addresses: { readonly http: string; readonly grpc: string | undefined };
  /** Ends in good order within about `graceMs`; what is unfinished goes on after the next start. */
  close(graceMs: number): Promise<void>;
}

/** One process with an embedded store owns every shard for ever. */
const owner: Ownership = { epochOf: () => 1, remainingMs: () => Number.POSITIVE_INFINITY, lost: () => {} };

/** Starts a node. @throws when a port or the store cannot be had; nothing is left open then. */
export async function startNode(config: Config): Promise<RunningNode> {
  if (config.store.kind === "mysql") throw new Error("a store of several nodes is started by the clustered root");
  const clock = systemClock();
  const log = createLog(config.log.level, config.log.outputs);
  const metrics = new Metrics(log, { http: "fastify", grpc: "grpc-js" });
  const alerts = new Alerts(config.alert.webHook, clock, log);
  const { store, keyValues, backup } = await openEmbedded(config.store);
  const own: string[] = [];
  const callers = createCallers(callerOptions(config, own));
  const observer = observe(metrics, alerts);
  const engine = new Engine(
    { store, keyValues, callers, ownership: owner, clock, random: Math.random, observer, log },
    engineSettings(config),
  );
  const limits = config.limits.input;
  const operations = createOperations({
    coordinator: engine,
    store,
    keyValues,
    callers,
    clock,
    limits,
    newGid: () => newGid(clock.nowMs()),
    timeoutToFailMs: config.defaults.timeoutToFailMs,
  });
  const http = createHttpGateway({
    operations,
    limits,
    metrics,
    log,
    clock,
    store,
    stats: () => engine.stats(),
    targets: engine.targets,
    backup,
    node: { name: hostname(), version: packageVersion(), store: storeName(config.store), startedAtMs: clock.nowMs() },
  });
  const grpc = createGrpcGateway({
    operations,
    limits,
    metrics,
    log,
    clock,
    ready: () => engine.stats().storeUnavailableMs === undefined,
  });
  const end = async (graceMs: number) => {
    await Promise.all([http.close(), grpc.close(), engine.close(graceMs)]);
    await callers.close();
    alerts.close();
    await store.close();
    log.info("stopped");
    log.close();
  };
  try {
    const { host, port } = await http.listen({ host: config.host, port: config.httpPort });
    const { port: grpcPort } = await grpc.listen({ host: config.host, port: config.grpcPort });
    own.push(...ownAddresses(config.host, port), ...ownAddresses(config.host, grpcPort));
    engine.start();
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
    activeMax: load.activeTransactions,
    queuedBytesMax: load.requestBytes,
    mailboxMax: 1000,
    storeWaitMs: 5000,
    flush: { commitsMax: 256, bytesMax: 8 << 20 },
    dispatch: {
      perOrigin: load.callsPerParticipant,
      perNode: load.callsInFlight,
      waitingPerTarget: 10_000,
      targets: 10_000,
    },
    retention: { journalMs: config.retention.finishedDataMs, headMs: config.retention.finishedHeadMs },
  };
}

function callerOptions(config: Config, own: readonly string[]) {
  const { ca, cert, key, localhostAs } = config.participants;
  return {
    strictResults: config.strictResults,
    ownAddresses: () => own,
    connectionsPerOrigin: config.limits.load.callsPerParticipant,
    ...(localhostAs && { localhostAs }),
    tls: { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) },
  };
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

/** "host:port" of this node's APIs, under every name that leads here. */
function ownAddresses(host: string, port: number): readonly string[] {
  const names = host === "0.0.0.0" || host === "::" ? ["127.0.0.1", "[::1]", "localhost", hostname()] : [urlHost(host)];
  const loopback = host === "127.0.0.1" || host === "::1" ? ["localhost"] : [];
  return [...names, ...loopback].map((name) => `${name}:${port}`);
}

function urlHost(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

function storeName(choice: StoreChoice): string {
  if (choice.kind === "mysql") return masked(choice.url);
  return choice.kind === "lmdb" ? `lmdb:${choice.dir}` : "memory:";
}
