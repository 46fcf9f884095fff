// The coordinator inside a process: the same engine and operations as the server's, asked by function call instead of
// HTTP. What it gets from outside is everything that touches the world, so that tests can give it time and a network
// of their own.

import type { ApiAnswer, ApiBody, Endpoint, Operation } from "../client/api.js";
import { jsonBody } from "../client/http.js";
import { Engine } from "../engine/engine.js";
import type { EngineSettings } from "../engine/services.js";
import { refusalOf } from "../gateway/failure.js";
import { newGid } from "../gateway/gid.js";
import { refusalAnswer } from "../gateway/http/answer.js";
import { dtmBase, dtmRoutes } from "../gateway/http/dtm.js";
import { createOperations } from "../gateway/operations.js";
import type { Callers } from "../ports/caller.js";
import type { Clock, Random } from "../ports/clock.js";
import type { Log, Observer } from "../ports/observer.js";
import type { Store } from "../ports/store.js";
import type { KeyValues } from "../ports/topics.js";
import { inputLimits } from "../wire/limits.js";

/** The world of an embedded coordinator. */
export interface EmbeddedPorts {
  readonly store: Store;
  readonly keyValues: KeyValues;
  readonly callers: Callers;
  readonly clock: Clock;
  readonly random: Random;
  readonly observer: Observer;
  readonly log: Log;
}

/** A running coordinator; `endpoint` is what a client is made with. */
export interface EmbeddedCoordinator {
  readonly endpoint: Endpoint;
  /** Ends in good order within about `graceMs`. The store stays open: it was given, not made. */
  close(graceMs: number): Promise<void>;
}

/** The only process on this store owns every shard. */
const owner = { epochOf: () => 1, remainingMs: () => Number.POSITIVE_INFINITY, lost: () => {} };

/** Starts a coordinator on these ports; unfinished transactions of the store go on at once. */
export function embeddedCoordinator(ports: EmbeddedPorts, settings: EngineSettings): EmbeddedCoordinator {
  const { store, keyValues, callers, clock, log } = ports;
  const engine = new Engine({ ...ports, ownership: owner }, settings);
  const operations = createOperations({
    coordinator: engine,
    store,
    keyValues,
    callers,
    clock,
    limits: inputLimits,
    newGid: () => newGid(clock.nowMs()),
    timeoutToFailMs: settings.defaults.timeoutToFailMs,
    isSwamped: () => engine.stats().swamped,
  });
  const routes = dtmRoutes({ operations, limits: inputLimits, version: "embedded", nowMs: () => clock.nowMs() });
  engine.start();

  async function call(operation: Operation, body: ApiBody, signal: AbortSignal): Promise<ApiAnswer> {
    const path = operation === "deleteTopic" ? `${dtmBase}/topic/:topicName` : `${dtmBase}/${operation}`;
    const route = routes.find((one) => one.path === path);
    if (route === undefined) throw new Error(`the coordinator has no operation ${operation}`);
    const text = (name: string) => (body[name] === undefined ? "" : String(body[name]));
    const request = {
      body: new TextEncoder().encode(jsonBody(body)),
      query: text,
      param: (name: string) => text(name === "topicName" ? "topic" : name),
      waiting: <R>(held: (until: AbortSignal) => Promise<R>) => held(signal),
    };
    const answer = await Promise.resolve()
      .then(() => route.handle(request))
      .catch((error: unknown) => refusalAnswer(refusalOf(error, log), route.refusalBody));
    return { status: answer.status, body: JSON.parse(answer.body) as ApiBody };
  }

  return {
    endpoint: {
      address: "embedded",
      call: (operation, body, signal) => abortable(call(operation, body, signal), signal),
    },
    close: (graceMs) => engine.close(graceMs),
  };
}

/** The caller's wait ends with its signal, as a connection's would. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}
