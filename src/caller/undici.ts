/**
 * HTTP by undici: TLS, and whatever our own client does not do.
 * Uses `dispatch`, undici's own lowest door: no streams, no promises per request.
 */
import type { LookupFunction } from "node:net";
import { Agent, type Dispatcher } from "undici";
import type { Abort, Done, Exchange } from "./exchange.js";
import type { HttpRequest } from "./request.js";
import type { TlsProfiles } from "./tls.js";

/** Bounds of connections and responses, for both HTTP clients. */
export interface HttpLimits {
  readonly connectionsPerOrigin: number;
  readonly bodyBytesMax: number;
  /** An idle connection is closed after this; below the 5 s after which Node's servers close theirs. */
  readonly idleMs: number;
}

/** Largest header section of a response, bytes. */
const headerBytesMax = 64 * 1024;

/** An exchange over undici. One agent per set of certificates. */
export function createUndiciExchange(limits: HttpLimits, tls: TlsProfiles, lookup: LookupFunction): Exchange {
  const agents = new Map<unknown, Agent>();
  const agentOf = ({ url }: HttpRequest): Agent => {
    const profile = tls.of(url.host, url.port);
    const known = agents.get(profile);
    if (known !== undefined) return known;
    const agent = new Agent({
      connections: limits.connectionsPerOrigin,
      pipelining: 1,
      keepAliveTimeout: limits.idleMs,
      keepAliveMaxTimeout: limits.idleMs,
      maxHeaderSize: headerBytesMax,
      headersTimeout: 0,
      bodyTimeout: 0,
      allowH2: false,
      connect: { ...profile, lookup, timeout: 10_000 },
    });
    agents.set(profile, agent);
    return agent;
  };
  return {
    send: (request, done) => send(agentOf(request), request, limits.bodyBytesMax, done),
    close: async () => {
      await Promise.all([...agents.values()].map((agent) => agent.destroy()));
    },
  };
}

function send(agent: Agent, request: HttpRequest, bodyBytesMax: number, done: Done): Abort {
  const reader = new Reader(bodyBytesMax, done);
  try {
    const { url, method, path } = request;
    const origin = url.origin;
    agent.dispatch(
      { origin, path, method, headers: [...request.headers], body: request.body ?? null, reset: false },
      reader,
    );
  } catch (error) {
    reader.onResponseError(undefined, error as Error);
  }
  return () => reader.abort();
}

/** Collects one response. */
class Reader implements Dispatcher.DispatchHandler {
  readonly #bodyBytesMax: number;
  readonly #chunks: Buffer[] = [];
  #done: Done | undefined;
  #controller: Dispatcher.DispatchController | undefined;
  #bytes = 0;
  #status = 0;
  #encoding: string | undefined;

  constructor(bodyBytesMax: number, done: Done) {
    this.#bodyBytesMax = bodyBytesMax;
    this.#done = done;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#done === undefined) controller.abort(new Error("no longer wanted"));
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: Record<string, unknown>): void {
    this.#status = status;
    const encoding = headers["content-encoding"];
    this.#encoding =
      encoding === undefined || encoding === "" || encoding === "identity" ? undefined : String(encoding);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const room = this.#bodyBytesMax - this.#bytes;
    this.#bytes += chunk.length;
    if (chunk.length <= room) {
      this.#chunks.push(chunk);
      return;
    }
    this.#chunks.push(chunk.subarray(0, room));
    this.#finish(true);
    controller.abort(new Error("the body is too long"));
  }

  onResponseEnd(): void {
    this.#finish(false);
  }

  onResponseError(_: Dispatcher.DispatchController | undefined, error: Error): void {
    const done = this.#done;
    this.#done = undefined;
    done?.(error);
  }

  abort(): void {
    this.#done = undefined;
    this.#controller?.abort(new Error("no longer wanted"));
  }

  #finish(cut: boolean): void {
    const done = this.#done;
    this.#done = undefined;
    const body = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
    done?.({ status: this.#status, body, cut, encoding: this.#encoding });
  }
}
