/**
 * One client's connection while the front serves it: one request at a time, each whole and alone. Whatever is not that
 * (an unknown path, an odd head, a large body, pipelining) makes the connection the library's for the rest of its
 * life, with every byte of requests that are not answered yet. So refusals have one implementation, and answers stay
 * in order.
 */
import type { Socket } from "node:net";
import type { Reply } from "../../../core/input.js";
import type { ServedMeter } from "../../../ports/meters.js";
import type { HttpAnswer } from "../answer.js";
import { refuseBareSocket } from "../refusals.js";
import type { HttpRequest } from "../route.js";
import type { Serve } from "../serve.js";
import type { Waits } from "../waits.js";
import type { FrontServer } from "./front.js";
import { type Head, readHead } from "./head.js";

/** Head and body together; larger requests are the library's. Bounds what one connection holds. */
export const requestBytesMax = 64 * 1024;
/** A request in more pieces is the library's, too: each is an object, however few bytes it has. */
export const piecesMax = 32;

/** A route that the front serves. */
export interface HotRoute {
  readonly serve: Serve;
  readonly meter: ServedMeter;
}

interface Begun {
  readonly head: Head;
  readonly route: HotRoute;
}

/** Lives until its socket closes or is handed over. */
export class Connection {
  readonly #server: FrontServer;
  readonly #socket: Socket;
  #state: "idle" | "gathering" | "answering" | "left" = "idle";
  /** Monotonic milliseconds since when the client has been waited for: for a request, or for the rest of one. */
  #sinceMs: number;
  #used = false;
  #begun: Begun | undefined;
  /** What was read of requests that are not asked yet, and how much of it counts as arriving. */
  #pieces: Buffer[] = [];
  #bytes = 0;
  #counted = 0;

  constructor(server: FrontServer, socket: Socket) {
    this.#server = server;
    this.#socket = socket;
    this.#sinceMs = server.clock.monotonicMs();
    socket.on("data", this.#read);
    socket.on("end", this.#end);
    socket.on("error", nothing); // 'close' follows
    socket.on("close", this.#closed);
  }

  /** Ends a connection whose client is too slow, by the library's deadlines. */
  check(nowMs: number): void {
    const { requestTimeoutMs, keepAliveMs } = this.#server;
    const waitedMs = nowMs - this.#sinceMs;
    if (this.#state === "answering") return;
    if (this.#state === "idle" && this.#used) {
      if (waitedMs >= keepAliveMs) this.#socket.destroy();
    } else if (waitedMs >= requestTimeoutMs) this.#refuse("ERR_HTTP_REQUEST_TIMEOUT");
  }

  /** The server stops: an idle connection ends, any other after its answer. */
  stop(): void {
    if (this.#state === "idle") this.#socket.destroy();
  }

  readonly #read = (piece: Buffer): void => {
    if (this.#state === "left") return;
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    if (this.#state === "answering") this.#socket.pause();
    else if (!this.#take(piece)) this.#handOver();
  };

  /** False = not for the front, or not any more. */
  #take(piece: Buffer): boolean {
    const fresh = this.#begun === undefined;
    const begun = this.#begun ?? this.#begin(piece);
    if (begun === undefined || this.#pieces.length > piecesMax) return false;
    const { bodyAt, length } = begun.head;
    const missing = bodyAt + length - this.#bytes;
    if (missing < 0 || !this.#count(this.#bytes - bodyAt)) return false;
    if (missing === 0) {
      if (this.#server.stopping) return false;
      this.#ask(begun);
    } else if (fresh) {
      this.#begun = begun;
      this.#state = "gathering";
      this.#sinceMs = this.#server.clock.monotonicMs();
    }
    return true;
  }

  #begin(piece: Buffer): Begun | undefined {
    if (this.#socket.writableNeedDrain) return undefined;
    const head = readHead(piece);
    if (head === undefined || head.bodyAt > this.#server.headerBytes) return undefined;
    if (head.length > this.#server.bodyBytes || head.bodyAt + head.length > requestBytesMax) return undefined;
    const route = this.#server.routes.get(head.path);
    return route && { head, route };
  }

  #count(bytes: number): boolean {
    const more = bytes - this.#counted;
    this.#counted = bytes;
    return this.#server.arriving.change(more);
  }

  #ask({ head, route }: Begun): void {
    const whole = this.#pieces.length === 1 ? (this.#pieces[0] as Buffer) : Buffer.concat(this.#pieces);
    this.#begun = undefined;
    this.#pieces = [];
    this.#bytes = 0;
    this.#counted = 0; // whoever serves takes the body off
    this.#state = "answering";
    const { waits } = this.#server;
    const request = new FrontRequest(whole.subarray(head.bodyAt), this.#socket, waits);
    void route.serve(request).then(head.close ? this.#answerLast : this.#answer);
  }

  readonly #answer = (answer: HttpAnswer): void => {
    if (this.#server.stopping) return this.#answerLast(answer);
    if (this.#state !== "answering" || !this.#socket.writable) return;
    if (!this.#write(answer, false)) return;
    this.#used = true;
    this.#state = "idle";
    this.#sinceMs = this.#server.clock.monotonicMs();
    if (this.#pieces.length > 0) this.#handOver();
  };

  readonly #answerLast = (answer: HttpAnswer): void => {
    if (this.#state !== "answering" || !this.#socket.writable) return;
    if (this.#write(answer, true)) this.#socket.destroySoon();
  };

  #write(answer: HttpAnswer, close: boolean): boolean {
    try {
      const { text, encoding } = this.#server.answers.text(answer, close);
      this.#socket.write(text, encoding);
      return true;
    } catch (error) {
      this.#server.log.error("answer not written", { error: String(error) });
      this.#socket.destroy();
      return false;
    }
  }

  /** The client sends no more. As with the library that ends everything, an answer still to come included. */
  readonly #end = (): void => {
    if (this.#state === "gathering") this.#refuse("HPE_INVALID_EOF_STATE");
    else this.#socket.end();
  };

  #refuse(code: string): void {
    const socket = this.#socket;
    this.#abandon();
    this.#leave();
    refuseBareSocket(Object.assign(new Error(code), { code }), socket);
    socket.destroySoon();
  }

  #handOver(): void {
    const bytes = Buffer.concat(this.#pieces);
    const socket = this.#socket;
    this.#leave();
    if (socket.destroyed || socket.readableEnded) return;
    socket.off("data", this.#read).off("end", this.#end).off("close", this.#closed).off("error", nothing);
    socket.pause();
    socket.unshift(bytes);
    this.#server.toLibrary(socket);
    socket.resume();
  }

  readonly #closed = (): void => {
    this.#abandon();
    this.#leave();
  };

  /** A request of which the rest will not come counts as one that was refused. */
  #abandon(): void {
    if (this.#state === "gathering")
      this.#begun?.route.meter.served(false, this.#server.clock.monotonicMs() - this.#sinceMs, 400);
  }

  #leave(): void {
    this.#server.arriving.change(-this.#counted);
    this.#counted = 0;
    this.#pieces = [];
    this.#state = "left";
    this.#server.left(this);
  }
}

/** A request of a hot route: its path says everything but the body. */
class FrontRequest implements HttpRequest {
  readonly body: Uint8Array;
  readonly #socket: Socket;
  readonly #waits: Waits;

  constructor(body: Uint8Array, socket: Socket, waits: Waits) {
    this.body = body;
    this.#socket = socket;
    this.#waits = waits;
  }

  query(): string {
    return "";
  }

  param(): string {
    return "";
  }

  waiting(call: (signal: AbortSignal) => Promise<Reply>): Promise<Reply> {
    return this.#waits.until(this.#socket, call);
  }
}

function nothing(): void {}
