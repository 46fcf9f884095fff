/**
 * The HTTP gateway: all routes over one set of operations, on one server. Knows no engine and no adapter, only the
 * operations and what operators want to see.
 */
import type { Backup } from "../../ports/backup.js";
import type { Clock } from "../../ports/clock.js";
import type { Meters } from "../../ports/meters.js";
import type { Log } from "../../ports/observer.js";
import type { Store } from "../../ports/store.js";
import type { EngineStats, Targets } from "../../ports/targets.js";
import type { Json } from "../../wire/encode.js";
import type { InputLimits } from "../../wire/limits.js";
import type { Arriving } from "../arriving.js";
import type { Operations } from "../operations.js";
import { dtmRoutes } from "./dtm.js";
import { documentedDtm } from "./dtmdocs.js";
import { registerGauges } from "./gauges.js";
import { jsonRpcRoute } from "./jsonrpc.js";
import { probeRoutes } from "./probes.js";
import type { Route } from "./route.js";
import { createHttpServer, type HttpServer, type HttpSettings, httpSettings } from "./server.js";
import { openApiRoute } from "./v1/openapi.js";
import { v1Routes } from "./v1/routes.js";

/** What the composition root hands to the gateway. */
export interface HttpGatewayDeps {
  readonly operations: Operations;
  readonly limits: InputLimits;
  /** Bytes of requests in memory, of all gateways of the node. */
  readonly arriving: Arriving;
  readonly metrics: Meters;
  readonly log: Log;
  readonly clock: Clock;
  readonly store: Pick<Store, "count" | "oldestUnfinished">;
  readonly stats: () => EngineStats;
  readonly targets: Targets;
  /** Where the store can be copied while it runs. */
  readonly backup?: Backup | undefined;
  /** The cluster as this node sees it; without one the node is alone. */
  readonly cluster?: (() => Json) | undefined;
  readonly node: NodeInfo;
  /** Where `httpSettings` are not to count. */
  readonly settings?: Partial<HttpSettings>;
}

/** What a node says of itself. */
export interface NodeInfo {
  readonly name: string;
  readonly version: string;
  /** As configured, without secrets: `lmdb:data`. */
  readonly store: string;
  readonly startedAtMs: number;
}

/** The gateway, not yet listening. */
export function createHttpGateway(deps: HttpGatewayDeps): HttpServer {
  const { operations, limits, arriving, log, clock, metrics, node } = deps;
  const nowMs = () => clock.nowMs();
  const documented: readonly Route[] = [
    ...documentedDtm(dtmRoutes({ operations, limits, version: node.version, nowMs })),
    jsonRpcRoute({ operations, limits, log }),
    ...v1Routes(deps),
  ];
  const routes = [...documented, openApiRoute(documented, node.version), ...probeRoutes(deps)];
  registerGauges(deps);
  return createHttpServer(routes, {
    limits,
    arriving,
    log,
    clock,
    meter: (api) => metrics.api("http", api),
    settings: { ...httpSettings, ...deps.settings },
  });
}
