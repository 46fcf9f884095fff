/**
 * HTTP as a bus, for what NATS cannot carry: too large a message, or no NATS at all. Each node listens on a port of its
 * own that is no API; who posts must know the cluster's secret. Same messages, bounded in size and number.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { Agent, createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { Bus } from "../../src/ports/bus.js";
import type { Clock } from "../../src/ports/clock.js";
import type { Log } from "../../src/ports/observer.js";

/** Who listens where, and what everybody must know. */
export interface HttpBusOptions {
  readonly self: string;
  readonly secret: string;
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** URL of another node's listener, `undefined` when it is not known or has none. */
  readonly addressOf: (name: string) => string | undefined;
  /** The other nodes, for announcements. */
  readonly peers: () => readonly string[];
  /** A message came from that node. */
  readonly heard: (from: string) => void;
  readonly log: Log;
  readonly clock: Pick<Clock, "monotonicMs">;
}

/** A bus that has a listener. */
export interface HttpBus extends Bus {
  /** Where it listens, once it does. @throws when the port cannot be had */
  listen(): Promise<{ readonly port: number }>;
}

/** Largest message, messages on their way to others, and their bytes together. */
const limits = { messageBytes: 64 << 20, inFlight: 256, inFlightBytes: 256 << 20, answerMs: 5000 } as const;

const path = "/tandem/messages";

/** A bus that is not listening yet. */
export function httpBus(options: HttpBusOptions): HttpBus {
  const secret = digest(tokenOf(options.secret));
  let handler: (message: Uint8Array) => void = () => {};
  const server = createServer((incoming, response) => {
    void take(incoming, response, secret, (from, message) => {
      options.heard(from);
      handler(message);
    });
  });
  server.maxConnections = 1024;
  server.requestTimeout = 30_000;
  const sender = new Sender(options);
  return {
    listen: () => listen(server, options.host, options.port),
    send: (to, message) => sender.send(to, message),
    announce: (message) => {
      for (const to of options.peers()) sender.send(to, message);
    },
    receive: (task) => {
      handler = task;
    },
    async close() {
      handler = () => {};
      sender.close();
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

class Sender {
  readonly #options: HttpBusOptions;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 16, timeout: limits.answerMs });
  #inFlight = 0;
  #bytes = 0;
  #problems = 0;
  #saidMs = Number.NEGATIVE_INFINITY;

  constructor(options: HttpBusOptions) {
    this.#options = options;
  }

  /** `false`: no address, or so much is on its way already that this one must wait to be asked again. */
  send(to: string, message: Uint8Array): boolean {
    const address = this.#options.addressOf(to);
    if (address === undefined || !/^http:\/\//.test(address) || !URL.canParse(address)) return false;
    if (message.length > limits.messageBytes) return false;
    if (this.#inFlight >= limits.inFlight || this.#bytes + message.length > limits.inFlightBytes) return false;
    this.#inFlight++;
    this.#bytes += message.length;
    void this.#post(new URL(path, address), message).then((problem) => {
      this.#inFlight--;
      this.#bytes -= message.length;
      if (problem !== undefined) this.#say(to, problem);
    });
    return true;
  }

  /** A node that is gone is met by many messages: one line a second is enough. */
  #say(to: string, problem: string): void {
    this.#problems++;
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs - this.#saidMs < 1000) return;
    this.#saidMs = nowMs;
    this.#options.log.warn("message_not_posted", { to, problem, soFar: this.#problems });
  }

  close(): void {
    this.#agent.destroy();
  }

  /** Resolves to what went wrong. */
  #post(url: URL, message: Uint8Array): Promise<string | undefined> {
    const { self, secret } = this.#options;
    return new Promise((resolve) => {
      const headers = {
        authorization: `Bearer ${tokenOf(secret)}`,
        "x-tandem-node": encodeURIComponent(self),
        "content-type": "application/octet-stream",
        "content-length": message.length,
      };
      const outgoing = request(url, { method: "POST", agent: this.#agent, headers, timeout: limits.answerMs });
      outgoing.on("response", (response) => {
        response.resume();
        response.on("close", () => resolve(response.statusCode === 204 ? undefined : `status ${response.statusCode}`));
      });
      outgoing.on("timeout", () => outgoing.destroy(new Error(`no answer within ${limits.answerMs} ms`)));
      outgoing.on("error", (error) => resolve(error.message));
      outgoing.end(message);
    });
  }
}

async function take(
  incoming: IncomingMessage,
  response: ServerResponse,
  secret: Buffer,
  deliver: (from: string, message: Uint8Array) => void,
): Promise<void> {
  const refuse = (status: number) => {
    response.writeHead(status, { connection: "close" }).end();
    incoming.destroy();
  };
  const given = /^Bearer (.+)$/.exec(incoming.headers.authorization ?? "")?.[1] ?? "";
  if (!timingSafeEqual(digest(given), secret)) return refuse(401);
  if (incoming.method !== "POST" || incoming.url !== path) return refuse(404);
  if (Number(incoming.headers["content-length"] ?? Number.NaN) > limits.messageBytes) return refuse(413);
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > limits.messageBytes) return refuse(413);
      chunks.push(chunk);
    }
  } catch {
    return; // the sender has gone in the middle
  }
  response.writeHead(204).end();
  deliver(nameOf(incoming.headers["x-tandem-node"]), Buffer.concat(chunks));
}

function nameOf(header: string | readonly string[] | undefined): string {
  try {
    return decodeURIComponent(String(header ?? ""));
  } catch {
    return "";
  }
}

/** A secret may have any characters, a header may not. */
function tokenOf(secret: string): string {
  return Buffer.from(secret).toString("base64url");
}

/** Of equal length for any secret, which a comparison in constant time needs. */
function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function listen(server: Server, host: string, port: number): Promise<{ readonly port: number }> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      const address = server.address();
      resolve({ port: typeof address === "object" && address !== null ? address.port : port });
    });
  });
}
