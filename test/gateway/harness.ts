/**
 * A whole coordinator behind its HTTP gateway: real engine, memory store, scripted participants whose URLs are judged
 * as
 * in production. Asked without sockets.
 */
import { createCallers } from "../../src/caller/callers.js";
import { systemClock } from "../../src/clock.js";
import type { Protocol, Transaction } from "../../src/core/transaction.js";
import { Engine } from "../../src/engine/engine.js";
import type { EngineSettings } from "../../src/engine/services.js";
import { Arriving } from "../../src/gateway/arriving.js";
import { newGid } from "../../src/gateway/gid.js";
import { createHttpGateway } from "../../src/gateway/http/gateway.js";
import type { HttpServer, HttpSettings } from "../../src/gateway/http/server.js";
import { createOperations, type Operations } from "../../src/gateway/operations.js";
import { Metrics } from "../../src/metrics/metrics.js";
import type { Log } from "../../src/ports/observer.js";
import { MemoryStore } from "../../src/store/memory/memory.js";
import { type InputLimits, inputLimits } from "../../src/wire/limits.js";
import { Participants, settings } from "../engine/harness.js";

/** Where the node says it can be reached itself. */
export const ownAddress = "127.0.0.1:36789";

class LocatedParticipants extends Participants {
  readonly #real = createCallers({ ownAddresses: () => [ownAddress] });

  override locate(protocol: string, url: string) {
    return this.#real.locate(protocol as Protocol, url) as { origin: string; target: string };
  }
}

export interface HttpReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
  readonly json: Record<string, unknown>;
}

export interface Coordinator {
  readonly http: HttpServer;
  readonly engine: Engine;
  readonly store: MemoryStore;
  readonly participants: Participants;
  readonly operations: Operations;
  readonly arriving: Arriving;
  readonly log: readonly string[];
  get(path: string): Promise<HttpReply>;
  /** An object is sent as JSON, text and bytes as they are. */
  post(path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<HttpReply>;
  /** JSON-RPC call with id "1". */
  rpc(method: string, params?: unknown): Promise<HttpReply>;
  stored(gid: string): Promise<Transaction | undefined>;
  /** Waits until a transaction has that status. */
  until(gid: string, status: string): Promise<Transaction>;
  close(): Promise<void>;
}

export interface Over {
  readonly engine?: Partial<EngineSettings>;
  readonly limits?: Partial<InputLimits>;
  readonly http?: Partial<HttpSettings>;
  readonly arrivingBytes?: number;
  /** Log at level `debug`. */
  readonly debug?: boolean;
}

export function coordinator(over: Over = {}): Coordinator {
  const clock = systemClock();
  const store = new MemoryStore();
  const participants = new LocatedParticipants();
  const lines: string[] = [];
  const line = (event: string, fields?: unknown) => void lines.push(`${event} ${JSON.stringify(fields)}`);
  const log: Log = { info: line, warn: line, error: line, ...(over.debug && { debug: line }) };
  const metrics = new Metrics(log, { http: "test", grpc: "test" });
  const limits = { ...inputLimits, ...over.limits };
  const engine = new Engine(
    {
      store,
      keyValues: store,
      callers: participants,
      ownership: { epochOf: () => 1, remainingMs: () => Number.POSITIVE_INFINITY, lost: () => {} },
      clock,
      random: () => 0.5,
      log,
      observer: metrics,
    },
    { ...settings, ...over.engine },
  );
  const operations = createOperations({
    coordinator: engine,
    store,
    keyValues: store,
    callers: participants,
    clock,
    limits,
    newGid: () => newGid(clock.nowMs()),
    timeoutToFailMs: settings.defaults.timeoutToFailMs,
    isSwamped: () => engine.stats().swamped,
  });
  const arriving = new Arriving(over.arrivingBytes ?? 256 << 20);
  const http = createHttpGateway({
    operations,
    limits,
    arriving,
    metrics,
    log,
    clock,
    store,
    stats: () => engine.stats(),
    targets: engine.targets,
    node: { name: "n1", version: "0.0.0-test", store: "memory:", startedAtMs: clock.nowMs() },
    settings: over.http ?? {},
  });
  return {
    ...asking(http),
    arriving,
    ...looking(store),
    http,
    engine,
    store,
    participants,
    operations,
    log: lines,
    close: async () => {
      await http.close();
      await engine.close(0);
    },
  };
}

function asking(http: HttpServer): Pick<Coordinator, "get" | "post" | "rpc"> {
  const ask = async (method: "GET" | "POST", url: string, body?: unknown, headers = {}): Promise<HttpReply> => {
    const raw = typeof body === "string" || body instanceof Uint8Array || body === undefined;
    const payload = raw ? (body as string | Buffer | undefined) : JSON.stringify(body);
    const reply = await http.app.inject({ method, url, headers, ...(payload !== undefined && { payload }) });
    const text = reply.body;
    const json = text.startsWith("{") ? (JSON.parse(text) as Record<string, unknown>) : {};
    return { status: reply.statusCode, headers: reply.headers, text, json };
  };
  const post = (path: string, body?: unknown, headers?: Readonly<Record<string, string>>) =>
    ask("POST", path.startsWith("/") ? path : `/api/dtmsvr/${path}`, body, headers);
  return {
    get: (path) => ask("GET", path.startsWith("/") ? path : `/api/dtmsvr/${path}`),
    post,
    rpc: (method, params) => post("/api/json-rpc", { jsonrpc: "2.0", id: "1", method, params }),
  };
}

function looking(store: MemoryStore): Pick<Coordinator, "stored" | "until"> {
  const stored = async (gid: string) => (await store.load([gid]))[0]?.tx;
  return {
    stored,
    async until(gid, status) {
      const deadline = Date.now() + 5000;
      for (;;) {
        const tx = await stored(gid);
        if (tx?.status === status) return tx;
        if (Date.now() > deadline) throw new Error(`gid ${gid} is ${tx?.status}, needed ${status}`);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
  };
}

/** For conditions that are waited for: a busy machine is no failure. */
export const patient = { timeout: 10_000, interval: 10 };

let counter = 0;

/** A gid of its own for each call. */
export function freshGid(): string {
  return `test-${process.pid}-${++counter}`;
}

/** A saga as DTM's Go client sends it. */
export function sagaBody(gid: string, over: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    gid,
    trans_type: "saga",
    concurrent: false,
    steps: [{ action: "http://busi.test/TransOut", compensate: "http://busi.test/TransOutCom" }],
    payloads: ['{"amount":30}'],
    protocol: "",
    ...over,
  };
}
