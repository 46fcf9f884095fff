/**
 * One HTTP/2 connection to one address of a gRPC participant: carries unary calls, tells when it can take no more, and
 * finds out by a ping whether a peer that let a call run out of time is still there.
 */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type OutgoingHttpHeaders,
} from "node:http2";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { decodeMessage, frameOf } from "../../wire/grpc.js";
import type { TlsMaterial } from "../tls.js";

const connectTimeoutMs = 10_000;
/**
 * A ping at most this often: gRPC servers take more than one in five minutes for abuse by default and hang up. The
 * kernel looks after silent peers, too (TCP keep-alive).
 */
const pingEveryMs = 310_000;
const pingTimeoutMs = 5_000;
const tcpKeepAliveMs = 30_000;
/** Of one reply: gRPC's own default limit. */
const replyBytesMax = 4 * 1024 * 1024;

/** HTTP/2 numbers the calls of a connection with 30 bits and never anew: long before the end a new one is taken. */
const callsMax = 100_000_000;

/** Where a session leads. */
export interface Address {
  /** IP address or name, without brackets. */
  readonly ip: string;
  readonly port: number;
  /** Name for the certificate; `undefined` = no TLS. */
  readonly tls: (TlsMaterial & { readonly servername: string }) | undefined;
  /** Value of `:authority`. */
  readonly authority: string;
}

/** How a call over a session ended. `refused`: the peer has surely not looked at it. */
export type Ended =
  | { readonly kind: "status"; readonly code: number; readonly message: string }
  | { readonly kind: "refused" }
  | { readonly kind: "broken"; readonly why: string };

/** Tells the channel. */
export interface SessionOwner {
  connected(session: Session): void;
  /** No further call can go over it; `error` where it was never connected. */
  lost(session: Session, error: Error | undefined): void;
}

/** Opens itself when made. */
export class Session {
  readonly ip: string;
  readonly #owner: SessionOwner;
  readonly #http2: ClientHttp2Session;
  readonly #connectTimer: NodeJS.Timeout;
  #state: "connecting" | "open" | "lost" = "connecting";
  #error: Error | undefined;
  #pingedAtMs = Number.NEGATIVE_INFINITY;
  #heardAtMs = 0;
  #calls = 0;
  #made = 0;

  constructor(address: Address, owner: SessionOwner) {
    this.ip = address.ip;
    this.#owner = owner;
    this.#http2 = connect(`${address.tls === undefined ? "http" : "https"}://${address.authority}`, {
      createConnection: () => socketTo(address),
      settings: { enablePush: false },
      maxSessionMemory: 256,
    });
    this.#connectTimer = setTimeout(
      () => this.#http2.destroy(new Error(`no connection within ${connectTimeoutMs} ms`)),
      connectTimeoutMs,
    );
    this.#http2.on("connect", () => {
      clearTimeout(this.#connectTimer);
      if (this.#state !== "connecting") return;
      this.#state = "open";
      owner.connected(this);
    });
    this.#http2.on("error", (error) => {
      this.#error ??= error;
    });
    this.#http2.on("goaway", () => this.#lose());
    this.#http2.on("close", () => this.#lose());
  }

  get isOpen(): boolean {
    return this.#state === "open" && !this.#http2.closed && !this.#http2.destroyed;
  }

  get calls(): number {
    return this.#calls;
  }

  /** Makes a unary call; `done` is called once, never after the returned abort. */
  call(headers: OutgoingHttpHeaders, message: Uint8Array, done: (ended: Ended) => void): () => void {
    let stream: ClientHttp2Stream;
    try {
      stream = this.#http2.request(headers);
    } catch (error) {
      done({ kind: "broken", why: (error as Error).message });
      return () => {};
    }
    this.#calls += 1;
    this.#made += 1;
    if (this.#made === callsMax) this.retire();
    const startedMs = performance.now();
    let settled = false;
    const settle = (ended: Ended) => {
      if (settled) return;
      settled = true;
      done(ended);
    };
    stream.once("close", () => {
      this.#calls -= 1;
      settle(brokenBy(stream, this.#error));
    });
    follow(stream, (ended) => {
      this.#heardAtMs = performance.now();
      settle(ended);
    });
    stream.end(frameOf(message));
    return () => {
      if (settled) return;
      settled = true;
      stream.close(constants.NGHTTP2_CANCEL);
      if (this.#heardAtMs < startedMs) this.#probe();
    };
  }

  /** Takes no more calls; those under way may finish. */
  retire(): void {
    this.#lose();
    this.#http2.close();
  }

  destroy(): void {
    this.#http2.destroy();
    this.#lose();
  }

  /** Whether the peer is there at all: silence ends the session, so that the next call gets a new one. */
  #probe(): void {
    const nowMs = performance.now();
    if (!this.isOpen || nowMs - this.#pingedAtMs < pingEveryMs) return;
    this.#pingedAtMs = nowMs;
    const timer = setTimeout(() => this.destroy(), pingTimeoutMs).unref();
    const sent = this.#http2.ping((error) => {
      clearTimeout(timer);
      if (error !== null) this.destroy();
    });
    if (!sent) clearTimeout(timer);
  }

  #lose(): void {
    if (this.#state === "lost") return;
    clearTimeout(this.#connectTimer);
    const error = this.#state === "connecting" ? (this.#error ?? new Error("not connected")) : undefined;
    this.#state = "lost";
    this.#owner.lost(this, error);
  }
}

function socketTo(address: Address): Socket {
  const socket =
    address.tls === undefined ? connectTcp({ host: address.ip, port: address.port }) : secureSocketTo(address);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, tcpKeepAliveMs);
  return socket;
}

/** A name is checked against the certificate and sent for the choice of one; an IP address is only checked. */
function secureSocketTo({ ip, port, tls }: Address): Socket {
  const { servername = "", ...material } = tls ?? {};
  const names = isIP(servername) === 0 ? { servername } : {};
  return connectTls({ ...material, host: ip, port, ALPNProtocols: ["h2"], ...names });
}

/** Waits for the status of a response; its message is counted and dropped. */
function follow(stream: ClientHttp2Stream, settle: (ended: Ended) => void): void {
  let problem: string | undefined;
  let bytes = 0;
  stream.on("response", (headers) => {
    const status = headers[":status"];
    const type = String(headers["content-type"] ?? "");
    if (status !== 200) problem = `HTTP status ${status}`;
    else if (!/^application\/grpc(?:$|[+;])/.test(type)) problem = `content-type '${type.slice(0, 80)}' is not gRPC`;
    if (headers["grpc-status"] !== undefined && problem === undefined) settle(statusOf(headers));
  });
  stream.on("trailers", (headers) => {
    if (problem === undefined && headers["grpc-status"] !== undefined) settle(statusOf(headers));
  });
  stream.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= replyBytesMax) return;
    settle({ kind: "broken", why: `the reply is longer than ${replyBytesMax} bytes` });
    stream.close(constants.NGHTTP2_CANCEL);
  });
  stream.on("end", () => {
    // Trailers come before the end: without a status by now there is none, unless the stream was cut (`close` tells).
    if (stream.rstCode === constants.NGHTTP2_NO_ERROR && !stream.aborted)
      settle({ kind: "broken", why: problem ?? "the response has no gRPC status" });
  });
  stream.on("error", () => {}); // told by `close`, which always follows
}

function statusOf(headers: Readonly<Record<string, unknown>>): Ended {
  const text = String(headers["grpc-status"]);
  const code = /^\d{1,3}$/.test(text) ? Number(text) : 2;
  const raw = headers["grpc-message"];
  return { kind: "status", code, message: typeof raw === "string" ? decodeMessage(raw) : "" };
}

function brokenBy(stream: ClientHttp2Stream, error: Error | undefined): Ended {
  if (stream.rstCode === constants.NGHTTP2_REFUSED_STREAM) return { kind: "refused" };
  const reset = stream.rstCode === undefined || stream.rstCode === 0 ? "" : ` (HTTP/2 error ${stream.rstCode})`;
  return {
    kind: "broken",
    why: `the connection or call was ended before its answer${reset}${error ? `: ${error.message}` : ""}`,
  };
}
