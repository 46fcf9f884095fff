// Tandem without a server: a coordinator in the application's own process, with a store in a folder or in memory.
// Participants are still called by URL; they may live in the same process.

import type { NatsConnection } from "nats";
import { createCallers } from "../caller/callers.js";
import type { Endpoint } from "../client/api.js";
import { systemClock } from "../clock.js";
import { loadConfig } from "../config/config.js";
import { createLog } from "../log.js";
import { engineSettings } from "../node.js";
import type { HeaderProvider } from "../ports/caller.js";
import { openEmbedded } from "../stores.js";
import { embeddedCoordinator } from "./coordinator.js";

/** Where an embedded coordinator keeps its transactions. */
export interface EmbeddedOptions {
  /** `lmdb:FOLDER`, which one process at a time can have open, or `memory:`, which ends with the process. */
  readonly store: `lmdb:${string}` | "memory:";
  /** Interval of retries, whole seconds; default 10. */
  readonly retryIntervalSeconds?: number;
  /** By which participants at `nats://subject` are called. It stays open. Subjects below `tandem` are refused. */
  readonly nats?: NatsConnection;
  /**
   * Says which headers a call to a participant carries besides those of its transaction and step, a token for instance;
   * asked at each call of the coordinator, tries again and phase two included. What it says wins. While it throws or
   * rejects, the call waits for its next try.
   */
  readonly headers?: HeaderProvider;
}

export type { Call, HeaderProvider } from "../ports/caller.js";

/** A coordinator to make a client with: `createClient({ endpoints: [embedded.endpoint] })`. */
export interface Embedded extends AsyncDisposable {
  readonly endpoint: Endpoint;
  /**
   * Lets calls on the wire end within `graceMs` (default 3 s), then closes the store. Unfinished work goes on at the
   * next start.
   */
  close(graceMs?: number): Promise<void>;
}

/** Opens the store and goes on with what is unfinished in it. Rejects if the store is in use or cannot be opened. */
export async function startEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const { retryIntervalSeconds } = options;
  const retry = retryIntervalSeconds === undefined ? {} : { RetryInterval: String(retryIntervalSeconds) };
  const flags = { "Store.Url": options.store, ...retry };
  const { config } = loadConfig({ environment: {}, flags, readFile: () => "" });
  if (config.store.kind === "mysql") throw new Error("an embedded store is a folder or memory");
  const { store, keyValues } = await openEmbedded(config.store);
  const log = createLog(config.log.level, config.log.outputs);
  const ignore = () => {};
  const observer = {
    finished: ignore,
    called: ignore,
    flushed: ignore,
    lateAnswer: ignore,
    breaker: ignore,
    stuck: ({ gid, branch, error }: { gid: string; branch: string; error: string }) =>
      log.warn("branch does not get through", { gid, branch, error }),
  };
  const { nats, headers } = options;
  const access = nats && { connection: () => nats, prefix: "tandem" };
  const callers = createCallers({ headers, ...(access && { nats: access }) });
  const ports = { store, keyValues, callers, clock: systemClock(), random: Math.random, observer, log };
  const coordinator = embeddedCoordinator(ports, engineSettings(config));
  const end = async (graceMs: number) => {
    // The engine's own timers keep no process alive; one that has nothing else to do must not end half closed.
    const held = setInterval(() => {}, 1_000);
    try {
      await coordinator.close(graceMs);
      await store.close();
      log.close();
    } finally {
      clearInterval(held);
    }
  };
  let closing: Promise<void> | undefined;
  const close = (graceMs = 3_000): Promise<void> => (closing ??= end(graceMs));
  return { endpoint: coordinator.endpoint, close, [Symbol.asyncDispose]: () => close() };
}
