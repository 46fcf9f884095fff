/**
 * The HTTP server: sockets, limits, and the way from a request to a route's answer. Bodies are bytes whatever their
 * content type says (S-HTTP-4); errors of every kind end here, once, in DTM's shape. Routes are data (`route.ts`).
 */
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { type Refusal, refused } from "../../core/input.js";
import type { Clock } from "../../ports/clock.js";
import type { ServedMeter } from "../../ports/meters.js";
import type { Log } from "../../ports/observer.js";
import { invalid } from "../../wire/invalid.js";
import type { InputLimits } from "../../wire/limits.js";
import type { Arriving } from "../arriving.js";
import { type HttpAnswer, jsonType, refusalAnswer, refusalBody } from "./answer.js";
import { takeBody } from "./body.js";
import type { HotRoute } from "./front/connection.js";
import { createFront, type Front } from "./front/front.js";
import { notFoundAnswer, refusalOfConnections, refusalOfFramework, refuseTunnels } from "./refusals.js";
import type { HttpRequest, Route } from "./route.js";
import { type Serve, serving } from "./serve.js";
import { Waits } from "./waits.js";

/** What a server relies on, whatever its routes are. */
export interface HttpServerDeps {
  readonly limits: InputLimits;
  /** Bytes of requests in memory, of all servers of the node. */
  readonly arriving: Arriving;
  readonly log: Log;
  readonly clock: Clock;
  /** Meter of a route; asked once per route. */
  readonly meter: (api: string) => ServedMeter;
  readonly settings: HttpSettings;
}

/** Deadlines and sizes of connections. */
export interface HttpSettings {
  /** Within this a request must have arrived whole, else 408. */
  readonly requestTimeoutMs: number;
  /** Names and values of one request's headers, else 431. */
  readonly headerBytes: number;
  /** How long `close` waits for answers that are held. */
  readonly drainMs: number;
  /** Connections that may wait to be accepted; the kernel may allow fewer. With Node's 511 a burst gets resets. */
  readonly backlog: number;
  /** Hot routes are served by our own reader of HTTP/1.1 (`front/`), everything else by the library; false: all. */
  readonly front: boolean;
}

/** The settings of a server that is told nothing else. */
export const httpSettings: HttpSettings = {
  requestTimeoutMs: 30_000,
  headerBytes: 16 * 1024,
  drainMs: 3_000,
  backlog: 4096,
  front: true,
};

/** Where a server listens. */
export interface HttpAddress {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
}

/** A server that can be asked without a socket, too (`app.inject`). */
export interface HttpServer {
  readonly app: FastifyInstance;
  /** Resolves to the address with its real port. */
  listen(address: HttpAddress): Promise<HttpAddress>;
  /** Takes no new connections, finishes what was begun (held answers within `drainMs`), closes the rest. */
  close(): Promise<void>;
}

/** A server for these routes. */
export function createHttpServer(routes: readonly Route[], deps: HttpServerDeps): HttpServer {
  const { log, settings, clock } = deps;
  const nowhere = deps.meter(unknownApi);
  const app = createApp(deps, nowhere);
  const waits = new Waits();
  const hot = new Map<string, HotRoute>();
  for (const route of routes) {
    const meter = route.uncounted ? uncounted : deps.meter(route.name);
    const serve = serving(route, meter, deps);
    register(app, route, meter, serve, waits);
    if (route.hot) hot.set(route.path, { serve, meter });
  }
  const front = settings.front ? frontOf(app, hot, waits, deps) : undefined;
  app.setErrorHandler((error, request, reply) => {
    refuse(request, reply, refusalOfFramework(error, log), nowhere);
  });
  const missing = notFoundAnswer(routes);
  app.setNotFoundHandler((request, reply) => {
    const answer = missing(request.method, request.url);
    if (answer.status >= 400) nowhere.served(false, reply.elapsedTime, answer.status);
    deps.arriving.change(-bodyOf(request).length);
    send(reply, answer);
  });
  return {
    app,
    async listen({ host, port }) {
      await app.listen({ host, port, backlog: settings.backlog });
      const address = app.server.address();
      return { host, port: typeof address === "object" && address !== null ? address.port : port };
    },
    async close() {
      const cancel = clock.after(settings.drainMs, () => waits.close());
      front?.stop();
      await app.close();
      cancel();
    },
  };
}

const anyBytes = "application/octet-stream";
const emptyBody = new Uint8Array();

/** Label of requests that lead to no route. */
const unknownApi = "unknown";
const uncounted: ServedMeter = { served: () => undefined };

/** How often connections are looked at whose requests do not arrive. */
function checkMs({ requestTimeoutMs }: HttpSettings): number {
  return Math.max(50, Math.min(1000, requestTimeoutMs / 4));
}

function frontOf(
  app: FastifyInstance,
  routes: ReadonlyMap<string, HotRoute>,
  waits: Waits,
  deps: HttpServerDeps,
): Front {
  const { limits, settings, arriving, clock, log } = deps;
  return createFront({
    ...{ server: app.server, routes, waits, arriving, clock, log },
    bodyBytes: limits.bodyBytes,
    headerBytes: settings.headerBytes,
    requestTimeoutMs: settings.requestTimeoutMs,
    checkMs: checkMs(settings),
  });
}

function createApp({ limits, arriving, settings, log }: HttpServerDeps, nowhere: ServedMeter): FastifyInstance {
  const body = { bytesMax: limits.bodyBytes, arriving };
  const app = fastify({
    requestTimeout: settings.requestTimeoutMs,
    http: {
      maxHeaderSize: settings.headerBytes,
      headersTimeout: settings.requestTimeoutMs,
      connectionsCheckingInterval: checkMs(settings),
    },
    routerOptions: { maxParamLength: 4 * 3 * 128 }, // a gid or topic of 128 characters, percent-encoded
    exposeHeadRoutes: false,
    forceCloseConnections: "idle",
    logger: false,
    clientErrorHandler: refusalOfConnections(),
    frameworkErrors: (error, _request, reply) => {
      const answer = refusalAnswer(refusalOfFramework(error, log));
      nowhere.served(false, reply.elapsedTime, answer.status);
      send(reply, answer);
    },
  });
  refuseTunnels(app.server);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", (_request, payload, done) => takeBody(payload, body, done));
  app.addHook("onRequest", (request, reply, done) => {
    const { headers } = request.raw;
    if (headers["content-type"] !== undefined) headers["content-type"] = anyBytes;
    const encoding = headers["content-encoding"];
    if (encoding === undefined || encoding === "identity") return done();
    const refusal = refused("UNSUPPORTED_MEDIA", "content-encoding: compressed body met, plain bytes needed");
    refuse(request, reply, refusal, nowhere);
  });
  return app;
}

function register(app: FastifyInstance, route: Route, meter: ServedMeter, serve: Serve, waits: Waits): void {
  app.route({
    method: [...route.methods],
    url: route.path,
    config: { refusalBody: route.refusalBody, served: meter.served } satisfies RouteConfig,
    async handler(request, reply) {
      const answer = await serve(requestOf(request, reply, waits), () => checkQuery(request.raw.url ?? ""));
      send(reply, answer);
      return reply;
    },
  });
}

function requestOf(request: FastifyRequest, reply: FastifyReply, waits: Waits): HttpRequest {
  const query = request.query as Readonly<Record<string, string | readonly string[] | undefined>>;
  const params = request.params as Readonly<Record<string, string | undefined>>;
  return {
    body: bodyOf(request),
    query(name) {
      const value = query[name];
      return typeof value === "string" ? value : (value?.[0] ?? "");
    },
    param: (name) => params[name] ?? "",
    waiting: (call) => waits.until(reply.raw, call),
  };
}

function bodyOf({ body }: FastifyRequest): Uint8Array {
  return (body as Uint8Array | undefined) ?? emptyBody;
}

/**
 * The framework keeps what it cannot decode as it stands; here it is bad syntax, and nothing of it is stored. Bytes
 * that are not ASCII never get here, the HTTP parser refuses them.
 */
function checkQuery(url: string): void {
  const at = url.indexOf("?");
  if (at < 0) return;
  const query = url.slice(at + 1);
  if (!query.includes("%")) return;
  try {
    decodeURIComponent(query);
  } catch {
    throw invalid("query", "malformed percent-encoding", "percent-encoded UTF-8");
  }
}

function send(reply: FastifyReply, { status, type = jsonType, headers, body }: HttpAnswer): void {
  reply.code(status).header("content-type", type);
  if (headers !== undefined) reply.headers(headers);
  reply.send(body);
}

/** What a request's route says even when it is not asked; nothing of it for requests that lead to none. */
interface RouteConfig {
  readonly refusalBody: Route["refusalBody"];
  readonly served: ServedMeter["served"];
}

/** A refusal that no route makes; counted as its route would, or as that of none. */
function refuse(request: FastifyRequest, reply: FastifyReply, refusal: Refusal, nowhere: ServedMeter): void {
  const { refusalBody: own, served = nowhere.served } = request.routeOptions.config as Partial<RouteConfig>;
  const answer = refusalAnswer(refusal, own ?? refusalBody);
  served(false, reply.elapsedTime, answer.status);
  send(reply, answer);
}
