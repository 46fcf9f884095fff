/**
 * Participants for the callers' tests: a raw TCP server that records every byte and answers by script, and the frame
 * to make one call over a given HTTP client.
 */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { Ending } from "../../src/caller/ending.js";
import type { Exchange } from "../../src/caller/exchange.js";
import { callHttp } from "../../src/caller/http.js";
import { createHttp1Exchange } from "../../src/caller/http1/exchange.js";
import { Resolver } from "../../src/caller/resolve.js";
import { tlsProfiles } from "../../src/caller/tls.js";
import { createUndiciExchange, type HttpLimits } from "../../src/caller/undici.js";
import { parseUrl } from "../../src/caller/url.js";
import type { Answer, Call } from "../../src/ports/caller.js";

const { lookup } = new Resolver();
const limits: HttpLimits = { connectionsPerOrigin: 4, bodyBytesMax: 1 << 20, idleMs: 4000 };

/** Every HTTP client that may stand behind the port; all must behave the same. */
export const clients: readonly (readonly [string, (changed?: Partial<HttpLimits>) => Exchange])[] = [
  ["our own client", (changed) => createHttp1Exchange({ ...limits, ...changed }, lookup)],
  ["undici", (changed) => createUndiciExchange({ ...limits, ...changed }, tlsProfiles({}), lookup)],
];

/** A call of a saga's action with the fields given. */
export function callOf(changed: Partial<Call> & { readonly url: string }): Call {
  return {
    gid: "g1",
    type: "saga",
    protocol: "http",
    branchId: "01",
    op: "action",
    payload: Buffer.from(`{"a":1}`),
    headers: {},
    timeoutMs: 2000,
    ...changed,
  };
}

/** One call over one client; the URL must be an HTTP one. */
export function callOver(
  exchange: Exchange,
  call: Call,
  options: { readonly strict?: boolean; readonly signal?: AbortSignal } = {},
): Promise<Answer> {
  const url = parseUrl(call.protocol, call.url);
  if (url.kind !== "http" && url.kind !== "json-rpc") throw new Error(`no HTTP URL: ${call.url}`);
  return callHttp(
    exchange,
    options.strict ?? false,
    url,
    call,
    new Ending(options.signal ?? new AbortController().signal),
  );
}

/** A TCP server that hands each connection to `script` and remembers what came in on each. */
export class Participant {
  readonly received: Buffer[][] = [];
  readonly sockets = new Set<Socket>();
  readonly #server: Server;
  #script: (socket: Socket, nth: number) => void = () => {};

  private constructor() {
    this.#server = createServer({ noDelay: true }, (socket) => {
      const chunks: Buffer[] = [];
      const nth = this.received.push(chunks) - 1;
      this.sockets.add(socket);
      socket.on("data", (chunk) => chunks.push(chunk));
      socket.on("error", () => {});
      socket.on("close", () => this.sockets.delete(socket));
      this.#script(socket, nth);
    });
  }

  static async start(script: (socket: Socket, nth: number) => void): Promise<Participant> {
    const participant = new Participant();
    participant.#script = script;
    participant.#server.listen(0, "127.0.0.1");
    await once(participant.#server, "listening");
    return participant;
  }

  /** Answers every request (told by its blank line and body length) with these bytes. */
  static answering(...answers: readonly string[]): Promise<Participant> {
    let given = 0;
    return Participant.start((socket) => {
      onRequest(socket, () => socket.write(answers[Math.min(given++, answers.length - 1)] ?? "", "latin1"));
    });
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** All bytes of the nth connection, as text. */
  text(nth = 0): string {
    return Buffer.concat(this.received[nth] ?? []).toString("latin1");
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }
}

/** Calls `answer` once per complete request on the socket. */
export function onRequest(socket: Socket, answer: () => void): void {
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk.toString("latin1");
    for (;;) {
      const end = text.indexOf("\r\n\r\n");
      if (end < 0) return;
      const length = Number(/content-length: (\d+)/i.exec(text.slice(0, end))?.[1] ?? 0);
      if (text.length < end + 4 + length) return;
      text = text.slice(end + 4 + length);
      answer();
    }
  });
}

/** An HTTP/1.1 response with Content-Length. */
export function response(status: number, body = "", headers: readonly string[] = []): string {
  const lines = [`HTTP/1.1 ${status} Some Reason`, ...headers, `Content-Length: ${Buffer.byteLength(body)}`];
  return `${lines.join("\r\n")}\r\n\r\n${body}`;
}

/** Resolves when `ready` holds; fails with `what` after five seconds. */
export async function until(what: string, ready: () => boolean): Promise<void> {
  const end = Date.now() + 5000;
  while (!ready()) {
    if (Date.now() > end) throw new Error(`still not after 5 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
