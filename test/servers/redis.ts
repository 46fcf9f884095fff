// redis-server for tests, on loopback, in memory only.
import { findBinary, urlFromEnvironment } from "./binaries.js";
import { greeting } from "./nats.js";
import { foreignServer, freePort, makeFolder, run, type Server } from "./program.js";

/** What a suite may ask of its Redis. */
export interface RedisOptions {
  /** A server of the suite's own, although one is given by the environment: for suites that kill or restart it. */
  readonly own?: boolean;
}

/**
 * Starts redis-server; its data is gone after a restart. Rejects when none can be had; ask `available("redis")` first.
 */
export async function startRedis(options: RedisOptions = {}): Promise<Server> {
  const given = urlFromEnvironment("redis");
  if (given !== undefined && options.own !== true) return foreignServer(given, 6379);
  const command = await findBinary("redis");
  if (command === undefined) throw new Error("no redis-server here");
  const folder = await makeFolder("redis");
  const port = await freePort();
  const args = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder];
  const url = `redis://127.0.0.1:${port}`;
  return run({ name: "redis", command, args, folder, port, url, ready: () => greeting(port, "PING\r\n", "+PONG") });
}
