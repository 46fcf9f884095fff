/**
 * The connections to one origin: at most so many, the one used last is used first (so the others grow old and are
 * closed), and those who find none wait in order of arrival.
 */
import type { Abort, Done } from "../exchange.js";
import type { HttpRequest } from "../request.js";
import type { HttpLimits } from "../undici.js";
import { Connection, type Owner, type Place } from "./connection.js";

const connectTimeoutMs = 10_000;
/** A server that says it keeps a connection for some time is believed but for this much: its answer was on the way. */
const keepMarginMs = 1000;

interface Job {
  readonly request: HttpRequest;
  readonly done: Done;
  connection: Connection | undefined;
}

/** All connections to one host and port. */
export class Pool implements Owner {
  readonly #place: Place;
  readonly #limits: HttpLimits;
  readonly #connections = new Set<Connection>();
  readonly #connecting = new Set<Connection>();
  readonly #free: Connection[] = [];
  readonly #waiting = new Set<Job>();

  constructor(place: Place, limits: HttpLimits) {
    this.#place = place;
    this.#limits = limits;
  }

  get isEmpty(): boolean {
    return this.#connections.size === 0 && this.#waiting.size === 0;
  }

  send(request: HttpRequest, done: Done): Abort {
    const job: Job = { request, done, connection: undefined };
    const connection = this.#takeFree();
    if (connection === undefined) {
      this.#waiting.add(job);
      this.#grow();
    } else start(job, connection);
    return () => this.#abort(job);
  }

  /** Closes connections that were idle for too long. */
  sweep(): void {
    const nowMs = performance.now();
    while (this.#free[0] !== undefined && this.#free[0].usableUntilMs <= nowMs) this.#free.shift()?.destroy();
  }

  close(): void {
    this.#waiting.clear();
    for (const connection of this.#connections) connection.destroy();
  }

  connected(connection: Connection): void {
    this.#connecting.delete(connection);
    this.#assign(connection);
  }

  freed(connection: Connection): void {
    this.#assign(connection);
  }

  closed(connection: Connection, error: Error | undefined): void {
    this.#connections.delete(connection);
    this.#connecting.delete(connection);
    const at = this.#free.indexOf(connection);
    if (at >= 0) this.#free.splice(at, 1);
    if (error !== undefined) this.#refuse(error);
    this.#grow();
  }

  #takeFree(): Connection | undefined {
    const nowMs = performance.now();
    for (;;) {
      const connection = this.#free.pop();
      if (connection === undefined || (connection.isOpen && connection.usableUntilMs > nowMs)) return connection;
      connection.destroy();
    }
  }

  /** Gives a usable connection to whoever waits longest, or puts it aside. */
  #assign(connection: Connection): void {
    const [job] = this.#waiting;
    if (job !== undefined) {
      this.#waiting.delete(job);
      start(job, connection);
      return;
    }
    const keepMs = connection.keepMs === undefined ? Number.POSITIVE_INFINITY : connection.keepMs - keepMarginMs;
    connection.usableUntilMs = performance.now() + Math.min(this.#limits.idleMs, keepMs);
    this.#free.push(connection);
  }

  /** Whoever waits longest gets the reason; the others have attempts of their own under way or to come. */
  #refuse(error: Error): void {
    const [job] = this.#waiting;
    if (job === undefined) return;
    this.#waiting.delete(job);
    job.done(error);
  }

  #grow(): void {
    const room = this.#limits.connectionsPerOrigin - this.#connections.size;
    const wanted = Math.min(room, this.#waiting.size - this.#connecting.size);
    for (let i = 0; i < wanted; i++) {
      const connection = new Connection(this.#place, this.#limits.bodyBytesMax, connectTimeoutMs, this);
      this.#connections.add(connection);
      this.#connecting.add(connection);
    }
  }

  #abort(job: Job): void {
    if (job.connection !== undefined) {
      job.connection.destroy();
      return;
    }
    this.#waiting.delete(job);
    const [surplus] = this.#connecting;
    if (surplus === undefined || this.#connecting.size <= this.#waiting.size) return;
    this.#connecting.delete(surplus);
    surplus.destroy(); // a host that swallows packets must not fill the pool with attempts nobody waits for
  }
}

/** From here on the job's abort closes the connection; once it is done the connection is no longer its own. */
function start(job: Job, connection: Connection): void {
  job.connection = connection;
  connection.send(job.request, (result) => {
    job.connection = undefined;
    job.done(result);
  });
}
