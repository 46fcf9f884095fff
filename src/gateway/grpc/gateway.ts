/**
 * The gRPC gateway: DTM's service, health and reflection on one port.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Metrics } from "../../metrics/metrics.js";
import type { Clock } from "../../ports/clock.js";
import type { Log } from "../../ports/observer.js";
import type { InputLimits } from "../../wire/limits.js";
import type { Arriving } from "../arriving.js";
import { refusalOf } from "../failure.js";
import type { Operations } from "../operations.js";
import { dtmMethods } from "./dtm.js";
import { healthMethods } from "./health.js";
import type { Methods } from "./method.js";
import { reflectionMethods } from "./reflection.js";
import { GrpcServer, type GrpcSettings, grpcSettings } from "./server.js";

/** What the gateway works with. */
export interface GrpcGatewayDeps {
  readonly operations: Operations;
  readonly limits: InputLimits;
  /** Bytes of requests in memory, of all gateways of the node. */
  readonly arriving: Arriving;
  readonly metrics: Pick<Metrics, "api">;
  readonly log: Log;
  readonly clock: Pick<Clock, "after">;
  /** Whether the node takes calls, for the health service. */
  readonly ready: () => boolean;
  /** Where `grpcSettings` are not to count. */
  readonly settings?: Partial<GrpcSettings>;
}

/** The gateway, not yet listening. */
export function createGrpcGateway(deps: GrpcGatewayDeps): GrpcServer {
  const { operations, limits, metrics, log } = deps;
  const own = new Map([...dtmMethods(operations, limits), ...healthMethods(deps.ready, ["dtmgimp.Dtm"])]);
  const methods: Methods = new Map([...own, ...reflectionMethods(descriptorSet(), served(own))]);
  const meters = new Map<string, ReturnType<Metrics["api"]>>();
  for (const { name } of methods.values()) if (!meters.has(name)) meters.set(name, metrics.api("grpc", name));
  const settings = { ...grpcSettings, ...deps.settings };
  return new GrpcServer(
    {
      methods,
      messageBytesMax: limits.bodyBytes,
      arriving: deps.arriving,
      requestTimeoutMs: settings.requestTimeoutMs,
      refusalOf: (error) => refusalOf(error, log),
      served: (name, isOk, durationMs, code) => meters.get(name)?.served(isOk, durationMs, code),
    },
    settings,
    deps.clock,
  );
}

/** Reflection lists what is served: the services of these methods, and itself. */
function served(methods: Methods): (service: string) => boolean {
  const services = new Set([...methods.keys()].map((path) => path.split("/")[1]));
  return (service) => services.has(service) || service.startsWith("grpc.reflection.");
}

/** The compiled `proto/*.proto`, wherever the package lies. */
function descriptorSet(): Buffer {
  return readFileSync(createRequire(import.meta.url).resolve("#proto/dtm.binpb"));
}
