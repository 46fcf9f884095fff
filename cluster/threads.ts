/**
 * The threads of a node's engines: how many there are, their start and their end.
 */
import { once } from "node:events";
import { availableParallelism } from "node:os";
import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import type { Config } from "../src/config/config.js";
import type { MysqlChoice } from "../src/config/store.js";
import type { Log } from "../src/ports/observer.js";
import { Crew, type CrewPorts } from "./crew/crew.js";
import type { Channel } from "./crew/messages.js";
import { Shared } from "./crew/shared.js";
import type { MemberPorts } from "./member.js";

/** What a thread is told at its start. */
export interface Job {
  readonly config: Config;
  readonly store: MysqlChoice;
  /** Of the node. */
  readonly name: string;
  readonly engine: number;
  readonly engines: number;
  /** See `Shared`. */
  readonly memory: SharedArrayBuffer;
  readonly port: MessagePort;
}

/** Threads that are ready for orders. */
export interface Threads {
  /** Puts a member to work through them. */
  readonly employ: NonNullable<MemberPorts["employ"]>;
  /** Ends them, whatever they do. */
  end(): Promise<void>;
}

/** Database connections of a node's main thread with engines elsewhere, and of each engine: at least. */
const connections = { main: 2, engine: 3 } as const;

/** From so many cores on a node has threads unless it is told otherwise: as many but two, at most four. */
const coresMin = 4;
const threadsMax = 4;

/**
 * How many engines a node has: as configured, or as its cores suggest; never more than its database connections suffice
 * for. 1: that of the main thread.
 */
function enginesOf({ threads }: Config, { maxConnections }: MysqlChoice): number {
  const cores = availableParallelism();
  const suggested = cores < coresMin ? 1 : Math.min(threadsMax, cores - 2);
  const affordable = Math.floor((maxConnections - connections.main) / connections.engine);
  return Math.max(1, Math.min(threads || suggested, affordable));
}

/**
 * Starts the threads; `undefined`: the main thread does their work. Rejects when one cannot start. One that fails later
 * ends the process, as any bug does.
 */
export async function startThreads(
  node: Pick<Job, "config" | "store" | "name">,
  log: Pick<Log, "info">,
  ports: Pick<CrewPorts, "enlist" | "dismiss" | "format" | "ownAddresses">,
): Promise<Threads | undefined> {
  const engines = enginesOf(node.config, node.store);
  if (engines === 1) return undefined;
  const memory = Shared.make();
  const starting = Array.from({ length: engines }, (_, engine) => start({ ...node, engines, memory, engine }));
  const threads = await Promise.all(starting);
  const channels = threads.map(({ channel }) => channel);
  const shared = new Shared(memory);
  log.info("threads", { engines });
  return {
    employ: ({ log, observer, clock }, landlord) =>
      new Crew({ ...ports, channels, soon: setImmediate, clock, shared, log, observer, landlord }),
    end: async () => void (await Promise.all(threads.map(({ worker }) => worker.terminate()))),
  };
}

async function start(job: Omit<Job, "port">): Promise<{ readonly worker: Worker; readonly channel: Channel }> {
  const { port1: here, port2: port } = new MessageChannel();
  const worker = new Worker(new URL("./thread.js", import.meta.url), {
    name: `engine ${job.engine}`,
    workerData: { ...job, port } satisfies Job,
    transferList: [port],
  });
  const failed = once(worker, "exit").then(() => {
    throw new Error(`engine ${job.engine} ended before it had begun`);
  });
  await Promise.race([once(worker, "message"), failed]); // rejects on an error of the worker, too
  failed.catch(() => undefined);
  worker.unref();
  worker.on("error", (cause) => {
    throw cause;
  });
  return {
    worker,
    channel: {
      send: (bytes) => here.postMessage(bytes, [bytes.buffer]),
      receive: (handler) => here.on("message", handler).unref(),
    },
  };
}
