/**
 * NATS as a bus: each node listens on a subject of its own, announcements have one for all. One connection per process,
 * which comes back for ever; while it is away nothing can be sent and the sender learns so. NATS away at the start is
 * no reason not to start.
 */
import { readFileSync } from "node:fs";
import {
  type ConnectionOptions,
  connect,
  credsAuthenticator,
  Events,
  type Msg,
  type NatsConnection,
  nkeyAuthenticator,
  type Subscription,
} from "nats";
import type { Bus } from "../../src/ports/bus.js";
import type { Clock } from "../../src/ports/clock.js";
import type { Log } from "../../src/ports/observer.js";

/** Where NATS is and who this process is there. Files are read when connecting. */
export interface NatsOptions {
  /** `nats://` or `tls://`, several separated by commas; `user:password@` or `token@` before the first host. */
  readonly url: string;
  /** Name of the connection, for people who look at the server. */
  readonly name: string;
  readonly credsFile?: string | undefined;
  /** File with the seed of an NKey user. */
  readonly nkeyFile?: string | undefined;
  /** PEM files: authority of the server, certificate and key of this client. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string } | undefined;
}

/** The one connection of a process. */
export interface NatsLine {
  /** Now usable, or `undefined`. */
  readonly connection: NatsConnection | undefined;
  /** Runs once, when the connection is there for the first time. Subscriptions outlive interruptions. */
  onceConnected(task: (connection: NatsConnection) => void): void;
  close(): Promise<void>;
}

/** What the driver needs to know; exported for its test. */
export function connectionOptions(options: NatsOptions): ConnectionOptions {
  const { credsFile, nkeyFile, tls } = options;
  const urls = options.url.split(",").map((text) => new URL(text.trim()));
  const { username, password } = urls[0]!;
  const [user, pass] = [decodeURIComponent(username), decodeURIComponent(password)];
  const secure = tls !== undefined || urls.some(({ protocol }) => protocol === "tls:");
  return {
    servers: urls.map(({ hostname, port }) => `${hostname}:${port === "" ? 4222 : port}`),
    name: options.name,
    ...(user !== "" && pass !== "" ? { user, pass } : {}),
    ...(user !== "" && pass === "" ? { token: user } : {}),
    ...(credsFile && { authenticator: credsAuthenticator(readFileSync(credsFile)) }),
    ...(nkeyFile && { authenticator: nkeyAuthenticator(Buffer.from(readFileSync(nkeyFile, "utf8").trim())) }),
    ...(secure && { tls: { ...tls } }),
    reconnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    reconnectJitter: 100,
    timeout: 5000,
    pingInterval: 2000,
    maxPingOut: 2,
    ignoreAuthErrorAbort: true,
  };
}

/** Between two tries to connect for the first time, milliseconds. */
const firstConnectAgainMs = 500;

/** Begins to connect and returns at once. */
export function openNats(options: NatsOptions, log: Log, clock: Clock): NatsLine {
  let connection: NatsConnection | undefined;
  let connected = false;
  let closed = false;
  const tasks: ((connection: NatsConnection) => void)[] = [];
  const watch = async (nc: NatsConnection) => {
    for await (const { type, data } of nc.status()) {
      if (type === Events.Disconnect) connected = false;
      if (type === Events.Reconnect) connected = true;
      if (type === Events.Disconnect || type === Events.Reconnect) log.warn(`nats_${type}`, { server: String(data) });
    }
  };
  const begin = async () => {
    let said = "";
    while (!closed) {
      try {
        return await connect(connectionOptions(options));
      } catch (cause) {
        if (said !== String(cause)) log.warn("nats_unreachable", { cause: String(cause) });
        said = String(cause);
        await new Promise<void>((resolve) => void clock.after(firstConnectAgainMs, resolve));
      }
    }
    return undefined;
  };
  void begin().then(async (nc) => {
    if (nc === undefined) return;
    if (closed) return nc.close();
    connection = nc;
    connected = true;
    log.info("nats_connected", { server: nc.getServer() });
    void watch(nc);
    for (const task of tasks.splice(0)) task(nc);
  });
  return {
    get connection() {
      return connected ? connection : undefined;
    },
    onceConnected(task) {
      if (connection !== undefined) task(connection);
      else tasks.push(task);
    },
    async close() {
      closed = true;
      if (connection === undefined) return; // one that comes about later is closed then
      if (connected) await connection.drain().catch(() => connection?.close());
      else await connection.close();
    },
  };
}

/** Subjects of one cluster: two clusters on one NATS have different prefixes or ids and never meet. */
export interface Subjects {
  readonly prefix: string;
  /** Of the database: nodes of two databases don't talk to one another though they share a prefix. */
  readonly clusterId: string;
}

/** A name as one token of a subject: as it is where that is possible, else encoded. */
export function tokenOf(name: string): string {
  return /^[A-Za-z0-9][\w-]{0,63}$/.test(name) ? name : `_${Buffer.from(name).toString("base64url")}`;
}

/** The bus of one node; closing it leaves the line open. `undelivered` is told of messages that nobody listened to. */
export function natsBus(
  line: NatsLine,
  { prefix, clusterId }: Subjects,
  self: string,
  undelivered: (to: string) => void = () => {},
): Bus {
  const base = `${prefix}.node.${tokenOf(clusterId)}`;
  const own = tokenOf(self);
  const subscriptions: Subscription[] = [];
  const missing = `${base}.missing.${own}`;
  let handler: (message: Uint8Array) => void = () => {};
  line.onceConnected((nc) => {
    const take = (_: unknown, msg: Msg) => handler(msg.data);
    subscriptions.push(nc.subscribe(`${base}.to.${own}`, { callback: take }));
    subscriptions.push(
      nc.subscribe(`${base}.all.*`, {
        callback: (_, msg) => {
          if (!msg.subject.endsWith(`.${own}`)) handler(msg.data);
        },
      }),
    );
    // the server answers a message without listener on its reply subject, which here ends in the addressee's name
    subscriptions.push(
      nc.subscribe(`${missing}.*`, {
        callback: (_, msg) => {
          if (msg.headers?.code === 503) undelivered(nameOf(msg.subject.slice(missing.length + 1)));
        },
      }),
    );
  });
  const publish = (subject: string, message: Uint8Array, reply?: string) => {
    const nc = line.connection;
    if (nc === undefined || message.length > (nc.info?.max_payload ?? 0)) return false;
    nc.publish(subject, message, reply === undefined ? {} : { reply });
    return true;
  };
  return {
    send: (to, message) => publish(`${base}.to.${tokenOf(to)}`, message, `${missing}.${tokenOf(to)}`),
    announce: (message) => void publish(`${base}.all.${own}`, message),
    receive: (take) => {
      handler = take;
    },
    async close() {
      handler = () => {};
      if (line.connection !== undefined) await Promise.all(subscriptions.map((one) => one.drain().catch(() => {})));
    },
  };
}

function nameOf(token: string): string {
  return token.startsWith("_") ? Buffer.from(token.slice(1), "base64url").toString() : token;
}
