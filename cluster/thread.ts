/**
 * The program of a thread with an engine of its own: a composition root, as `node.ts` is. `threads.ts` starts it.
 */
import { parentPort, workerData } from "node:worker_threads";
import { createCallers } from "../src/caller/callers.js";
import { systemClock } from "../src/clock.js";
import { connectUrl } from "../src/config/store.js";
import { callerOptions, engineSettings } from "../src/node.js";
import { openMysql } from "../src/store/mysql/mysql.js";
import { startHand } from "./crew/hand.js";
import type { Channel } from "./crew/messages.js";
import { partOf } from "./crew/part.js";
import { Shared } from "./crew/shared.js";
import { connectNats } from "./natsline.js";
import type { Job } from "./threads.js";

const { config, store, name, engine, engines, memory, port } = workerData as Job;
const shared = new Shared(memory);
const clock = systemClock();

const channel: Channel = {
  send: (bytes) => port.postMessage(bytes, [bytes.buffer]),
  receive: (handler) => void port.on("message", handler),
};

await startHand(
  {
    ...{ channel, shared, clock },
    soon: setImmediate,
    random: Math.random,
    debug: config.log.level === "debug",
    async openStore({ incarnation, bumped, regressed, enlist, dismiss }) {
      const opened = await openMysql({
        url: connectUrl(store),
        connections: 2,
        format: () => shared.format,
        owner: { identity: () => ({ name, incarnation: incarnation() }), bumped, regressed },
        ...{ enlist, dismiss },
      });
      return { store: opened, keyValues: opened };
    },
    makeCallers(ownAddresses, log) {
      const { cluster } = config;
      const line = cluster && connectNats(cluster, log, clock);
      const nats = cluster && line && { connection: () => line.connection, prefix: cluster.prefix };
      const callers = createCallers({ ...callerOptions(config, []), ownAddresses, ...(nats && { nats }) });
      return { ...callers, close: async () => void (await Promise.all([callers.close(), line?.close()])) };
    },
  },
  partOf(engineSettings(config), engine, engines),
);
parentPort?.postMessage("hears");
