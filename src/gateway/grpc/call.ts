/**
 * One call on the server's side: from the request's headers to its status. Everything that can be wrong with a request
 * has its gRPC status here; nothing of a client's doing is an internal error.
 */
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { Refusal } from "../../core/input.js";
import { Deframer, decodeTimeout, encodeMessage, frameOf } from "../../wire/grpc.js";
import { type Arriving, tooManyArriving } from "../arriving.js";
import type { CallContext, Methods, Replies, Result, StreamMethod, UnaryMethod } from "./method.js";
import { codes, ok, type Status, statusOf } from "./status.js";

/** What calls need of their server. */
export interface CallDeps {
  readonly methods: Methods;
  readonly messageBytesMax: number;
  /** Of messages that have begun to arrive, and of unary ones until they are answered. */
  readonly arriving: Arriving;
  /** Within this a unary request must have arrived whole. */
  readonly requestTimeoutMs: number;
  readonly refusalOf: (error: unknown) => Refusal;
  /** Counts a finished call of a known method. */
  readonly served: (name: string, isOk: boolean, durationMs: number, code: number) => void;
}

const contentType = "application/grpc";
const trailersFollow = { waitForTrailers: true };

const late: Status = { code: codes.deadlineExceeded, message: "the deadline has passed; what was accepted goes on" };

/** No native timer is set for longer (D25); a later deadline is none. */
const timerMaxMs = 3_600_000;

/** Serves one stream until its status is sent. `calls` holds the call while it lasts. */
export function serveCall(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  deps: CallDeps,
  calls: Set<Call>,
): void {
  stream.on("error", () => {}); // a client's reset; `close` follows
  const type = headers["content-type"] ?? "";
  if (headers[":method"] !== "POST") return refuseHttp(stream, 405);
  if (!/^application\/grpc(?:$|[+;])/.test(type)) return refuseHttp(stream, 415);
  const method = deps.methods.get(headers[":path"] ?? "");
  const encoding = headers["grpc-encoding"] ?? "identity";
  if (method === undefined) return refuse(stream, { code: codes.unimplemented, message: "there is no such method" });
  if (encoding !== "identity")
    return refuse(stream, { code: codes.unimplemented, message: "compressed messages are not taken" });
  const call = new Call(stream, method, deps, headers["grpc-timeout"]?.toString());
  calls.add(call);
  stream.once("close", () => {
    calls.delete(call);
    call.abandon();
  });
}

/** Not gRPC at all. */
function refuseHttp(stream: ServerHttp2Stream, status: number): void {
  stream.respond({ ":status": status, "content-type": "text/plain" }, { endStream: true });
  stream.close(constants.NGHTTP2_NO_ERROR);
}

function refuse(stream: ServerHttp2Stream, status: Status): void {
  if (stream.destroyed || stream.headersSent) return;
  stream.respond({ ":status": 200, "content-type": contentType, ...trailersOf(status) }, { endStream: true });
  if (!stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
}

function trailersOf({ code, message }: Status) {
  return {
    "grpc-status": String(code),
    ...(message !== "" && { "grpc-message": encodeMessage(message) }),
    ...(code === codes.unimplemented && { "grpc-accept-encoding": "identity" }),
  };
}

/** A call of a known method. */
export class Call implements Replies, CallContext {
  readonly #stream: ServerHttp2Stream;
  readonly #deps: CallDeps;
  readonly #deframer: Deframer;
  readonly #name: string;
  readonly #startMs = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #deadlineMs: number;
  #controller: AbortController | undefined;
  #over = false;
  #held = 0;
  /** Of the message of a unary call: in memory until its answer. */
  #unaryBytes = 0;

  constructor(
    stream: ServerHttp2Stream,
    method: UnaryMethod | StreamMethod,
    deps: CallDeps,
    timeout: string | undefined,
  ) {
    this.#stream = stream;
    this.#deps = deps;
    this.#name = method.name;
    this.#deframer = new Deframer(deps.messageBytesMax);
    const timeoutMs = timeout === undefined ? Number.POSITIVE_INFINITY : decodeTimeout(timeout);
    this.#deadlineMs = timeoutMs ?? 0;
    if (timeoutMs === undefined) {
      this.end({ code: codes.invalidArgument, message: "grpc-timeout is no time" });
      return;
    }
    if (timeoutMs <= 0) {
      this.end(late);
      return;
    }
    const patienceMs = method.kind === "unary" ? deps.requestTimeoutMs : Number.POSITIVE_INFINITY;
    this.#arm(Math.min(timeoutMs, patienceMs));
    if (method.kind === "unary") this.#unary(method);
    else this.#streaming(method);
  }

  /** Made when somebody asks for it: most calls never wait. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#over) this.#controller.abort();
    }
    return this.#controller.signal;
  }

  send(message: Uint8Array): void {
    if (this.#over || this.#stream.destroyed) return;
    if (!this.#stream.headersSent) this.#open();
    this.#stream.write(frameOf(message));
  }

  end(status: Status): void {
    if (this.#over) return;
    this.#finish(status);
    if (this.#stream.destroyed) return;
    if (!this.#stream.headersSent && status.code !== codes.ok) return refuse(this.#stream, status);
    if (!this.#stream.headersSent) this.#open();
    this.#status = status;
    this.#stream.end();
  }

  /** The client is gone, or the server is: nobody waits any more. */
  abandon(): void {
    if (!this.#over) this.#finish({ code: codes.cancelled, message: "" });
  }

  /**
   * The server stops. Who waits for the end of a transaction is told by it, at once, that it goes on (D1); the others
   * to ask again, since nobody knows whether their request was recorded (S1).
   */
  stop(): void {
    const message = "the server is stopping; whether this was accepted is not known, ask again with the same gid";
    this.#controller?.abort();
    setImmediate(() => {
      if (!this.#over) this.end({ code: codes.unavailable, message });
    });
  }

  #status: Status = ok;

  #open(): void {
    this.#stream.respond({ ":status": 200, "content-type": contentType }, trailersFollow);
    this.#stream.once("wantTrailers", () => this.#stream.sendTrailers(trailersOf(this.#status)));
  }

  #finish(status: Status): void {
    this.#over = true;
    this.#hold(0);
    clearTimeout(this.#timer);
    this.#controller?.abort();
    this.#deps.served(this.#name, status.code === codes.ok, performance.now() - this.#startMs, status.code);
  }

  /** Accounts for the bytes of a message that is not complete yet, beside those of one that is. */
  #hold(pendingBytes: number): boolean {
    const before = this.#held;
    this.#held = this.#over ? 0 : pendingBytes + this.#unaryBytes;
    return this.#deps.arriving.change(this.#held - before);
  }

  #arm(ms: number): void {
    clearTimeout(this.#timer);
    if (ms > timerMaxMs) return;
    this.#timer = setTimeout(() => {
      this.end(late);
    }, ms);
  }

  #unary(method: UnaryMethod): void {
    let message: Buffer | undefined;
    this.#read(
      (bytes) => {
        if (message !== undefined) this.end({ code: codes.invalidArgument, message: "more than one message" });
        message = bytes;
        this.#unaryBytes = bytes.length;
        if (!this.#hold(this.#deframer.pendingBytes))
          this.end({ code: codes.resourceExhausted, message: tooManyArriving });
      },
      () => {
        if (message === undefined) return this.end({ code: codes.invalidArgument, message: "no message" });
        this.#arm(this.#deadlineMs - (performance.now() - this.#startMs));
        method.handle(message, this).then(
          (result) => this.#give(result),
          (error) => this.end(statusOf(this.#deps.refusalOf(error))),
        );
      },
    );
  }

  #give(result: Result): void {
    if ("status" in result) return this.end(result.status);
    this.send(result.message);
    this.end(ok);
  }

  #streaming(method: StreamMethod): void {
    const { message, ended } = method.open(this, this);
    this.#read((bytes) => {
      try {
        message(bytes);
      } catch (error) {
        this.end(statusOf(this.#deps.refusalOf(error)));
      }
    }, ended);
  }

  /** Takes the messages as they come, and their end; whatever is no gRPC message ends the call. */
  #read(message: (bytes: Buffer) => void, ended: () => void): void {
    this.#stream.on("data", (chunk: Buffer) => {
      if (this.#over) return;
      const messages = this.#deframer.feed(chunk);
      if (messages === "tooLarge")
        return this.end({
          code: codes.resourceExhausted,
          message: `message: a longer one met, at most ${this.#deps.messageBytesMax} bytes needed`,
        });
      if (!this.#hold(this.#deframer.pendingBytes))
        return this.end({
          code: codes.resourceExhausted,
          message: tooManyArriving,
        });
      if (messages === "malformed") return this.end({ code: codes.invalidArgument, message: "no gRPC message" });
      for (const { compressed, bytes } of messages) {
        if (this.#over) return;
        if (compressed)
          return this.end({ code: codes.invalidArgument, message: "a compressed message without encoding" });
        message(bytes);
      }
    });
    this.#stream.on("end", () => {
      if (this.#over || this.#stream.aborted) return;
      if (this.#deframer.pendingBytes > 0) this.end({ code: codes.invalidArgument, message: "a message cut short" });
      else ended();
    });
  }
}
