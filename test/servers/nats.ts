// nats-server for tests, on loopback, without persistence.
import { writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { findBinary, urlFromEnvironment } from "./binaries.js";
import { foreignServer, freePort, makeFolder, run, type Server } from "./program.js";

/** What a suite may ask of its NATS server. */
export interface NatsOptions {
  /** A server of the suite's own, although one is given by the environment: for suites that kill or restart it. */
  readonly own?: boolean;
  /** Text of a configuration file (users, TLS, limits); address and port are set by flags and win. Implies `own`. */
  readonly config?: string;
}

/** Starts nats-server. Rejects when none can be had; ask `available("nats")` first. */
export async function startNats(options: NatsOptions = {}): Promise<Server> {
  const given = urlFromEnvironment("nats");
  if (given !== undefined && options.own !== true && options.config === undefined) return foreignServer(given, 4222);
  const command = await findBinary("nats");
  if (command === undefined) throw new Error("no nats-server here");
  const folder = await makeFolder("nats");
  const port = await freePort();
  const args = ["-a", "127.0.0.1", "-p", String(port)];
  if (options.config !== undefined) {
    const path = join(folder, "nats.conf");
    await writeFile(path, options.config);
    args.push("-c", path);
  }
  const url = `nats://127.0.0.1:${port}`;
  return run({ name: "nats-server", command, args, folder, port, url, ready: () => greeting(port, "", "INFO ") });
}

/** Resolves when the server's first bytes, after `hello` was sent, begin with `expected`. */
export function greeting(port: number, hello: string, expected: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    socket.setTimeout(2_000, () => socket.destroy(new Error("no greeting within 2 s")));
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("closed without a greeting")));
    if (hello !== "") socket.write(hello);
    socket.once("data", (bytes) => {
      const text = bytes.toString("latin1");
      socket.destroy();
      if (text.startsWith(expected)) resolve();
      else reject(new Error(`unexpected greeting ${JSON.stringify(text.slice(0, 80))}`));
    });
  });
}
