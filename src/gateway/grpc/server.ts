/**
 * HTTP/2 without TLS for gRPC: connections, limits and a stop in good order. By `node:http2` itself: the library's
 * server was measured at 174 µs a call against 126 µs.
 */
import { createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import type { Clock } from "../../ports/clock.js";
import { type Call, type CallDeps, serveCall } from "./call.js";

/** Limits of a server; each client may only use so much of it. */
export interface GrpcSettings {
  /** Calls at a time on one connection; more wait at the client. */
  readonly callsPerConnection: number;
  /** Connections at a time; further ones are closed at once. */
  readonly connections: number;
  /** Metadata of one call, bytes. */
  readonly headerBytes: number;
  /** Within this a unary request must have arrived whole. */
  readonly requestTimeoutMs: number;
  /** How long `close` waits for calls under way. */
  readonly drainMs: number;
  /** Connections that may wait to be accepted; the kernel may allow fewer. */
  readonly backlog: number;
}

/** What a node has unless told otherwise. */
export const grpcSettings: GrpcSettings = {
  callsPerConnection: 1000,
  connections: 20_000,
  headerBytes: 16 * 1024,
  requestTimeoutMs: 30_000,
  drainMs: 3_000,
  backlog: 4096,
};

/** Where a server listens. */
export interface GrpcAddress {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
}

/** A gRPC server of fixed methods. */
export class GrpcServer {
  readonly #http2: Http2Server;
  readonly #settings: GrpcSettings;
  readonly #clock: Pick<Clock, "after">;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #calls = new Set<Call>();

  constructor(deps: CallDeps, settings: GrpcSettings, clock: Pick<Clock, "after">) {
    this.#settings = settings;
    this.#clock = clock;
    this.#http2 = createServer({
      settings: {
        enablePush: false,
        maxConcurrentStreams: settings.callsPerConnection,
        maxHeaderListSize: settings.headerBytes,
      },
      maxSendHeaderBlockLength: settings.headerBytes,
      maxSessionMemory: 64,
    });
    this.#http2.maxConnections = settings.connections;
    this.#http2.on("connection", (socket) => socket.setNoDelay(true).setKeepAlive(true, 60_000));
    this.#http2.on("session", (session) => this.#welcome(session));
    this.#http2.on("stream", (stream, headers) => serveCall(stream, headers, deps, this.#calls));
    this.#http2.on("sessionError", () => {}); // bad bytes: their connection is closed, nobody else is concerned
  }

  /** Resolves to the address with its real port. */
  listen({ host, port }: GrpcAddress): Promise<GrpcAddress> {
    return new Promise((resolve, reject) => {
      this.#http2.once("error", reject);
      this.#http2.listen({ port, host, backlog: this.#settings.backlog }, () => {
        this.#http2.off("error", reject);
        resolve({ host, port: (this.#http2.address() as AddressInfo).port });
      });
    });
  }

  /**
   * Takes no new connections and calls, finishes those under way; who still waits after `drainMs` is told UNAVAILABLE.
   */
  async close(): Promise<void> {
    if (!this.#http2.listening) return;
    const closed = new Promise<void>((resolve) => this.#http2.close(() => resolve()));
    for (const session of this.#sessions) session.close();
    const stop = this.#clock.after(this.#settings.drainMs, () => {
      for (const call of this.#calls) call.stop();
    });
    const kill = this.#clock.after(this.#settings.drainMs + 1000, () => {
      for (const session of this.#sessions) session.destroy();
    });
    await closed;
    stop();
    kill();
  }

  #welcome(session: ServerHttp2Session): void {
    this.#sessions.add(session);
    session.on("error", () => {});
    session.once("close", () => this.#sessions.delete(session));
  }
}
