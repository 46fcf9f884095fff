/**
 * Stands before the library on the same listening socket: new connections are the front's, which serves the hot routes
 * itself and hands every connection with anything else on it to the library (`connection.ts`).
 *
 * The socket, its options and its close stay the library's server's; it counts the front's connections as its own, so
 * its close waits for them.
 */
import type { Server } from "node:http";
import type { Socket } from "node:net";
import type { Clock } from "../../../ports/clock.js";
import type { Log } from "../../../ports/observer.js";
import type { Arriving } from "../../arriving.js";
import type { Waits } from "../waits.js";
import { Answers } from "./answers.js";
import { Connection, type HotRoute } from "./connection.js";

/** Node keeps an idle connection this much longer than it tells clients. */
const keepAliveMarginMs = 1000;

/** What a front relies on. */
export interface FrontDeps {
  /** The library's server, not yet listening. */
  readonly server: Server;
  /** Hot routes by path, for POST. */
  readonly routes: ReadonlyMap<string, HotRoute>;
  readonly waits: Waits;
  readonly arriving: Arriving;
  readonly clock: Clock;
  readonly log: Log;
  readonly bodyBytes: number;
  readonly headerBytes: number;
  readonly requestTimeoutMs: number;
  /** How often deadlines are looked at. */
  readonly checkMs: number;
}

/** What a connection may ask of its front. */
export interface FrontServer extends Omit<FrontDeps, "server" | "checkMs"> {
  readonly answers: Answers;
  readonly keepAliveMs: number;
  readonly stopping: boolean;
  /** Gives a socket, whose unread bytes are in it again, to the library. */
  toLibrary(socket: Socket): void;
  left(connection: Connection): void;
}

/** What a server may ask of its front. */
export interface Front {
  /** Ends idle connections; the others are ended by their next answer. */
  stop(): void;
}

/** Puts itself before the server. */
export function createFront({ server, checkMs, ...deps }: FrontDeps): Front {
  const library = server.listeners("connection");
  const connections = new Set<Connection>();
  let checking = false;
  const check = () => {
    const nowMs = deps.clock.monotonicMs();
    for (const connection of connections) connection.check(nowMs);
    checking = connections.size > 0;
    if (checking) deps.clock.after(checkMs, check);
  };
  const own = {
    ...deps,
    answers: new Answers(deps.clock, server.keepAliveTimeout),
    keepAliveMs: server.keepAliveTimeout + keepAliveMarginMs,
    stopping: false,
    toLibrary(socket: Socket) {
      for (const listener of library) listener.call(server, socket);
    },
    left: (connection: Connection) => void connections.delete(connection),
  };
  server.removeAllListeners("connection");
  server.on("connection", (socket: Socket) => {
    connections.add(new Connection(own, socket));
    if (!checking) deps.clock.after(checkMs, check);
    checking = true;
  });
  return {
    stop() {
      own.stopping = true;
      for (const connection of connections) connection.stop();
    },
  };
}
