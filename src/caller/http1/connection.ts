/**
 * One TCP connection to a participant: one request at a time, no pipelining. Reads into a buffer of its own that is
 * used again for every packet, past the stream machinery (`onread`), which was a third of the cost of a call.
 */
import { connect, type LookupFunction, type Socket } from "node:net";
import type { Done } from "../exchange.js";
import type { HttpRequest } from "../request.js";
import { ResponseParser } from "./parser.js";

const readBytes = 16 * 1024;

/** Where a connection goes, and how names are resolved. */
export interface Place {
  readonly host: string;
  readonly port: number;
  readonly lookup: LookupFunction;
}

/** Tells the pool what became of a connection. */
export interface Owner {
  connected(connection: Connection): void;
  /** It is free for another request. */
  freed(connection: Connection): void;
  /** It is gone; `error` says why where it never carried a request. */
  closed(connection: Connection, error: Error | undefined): void;
}

interface Work {
  readonly parser: ResponseParser;
  readonly done: Done;
}

/** Opens itself when made; ends by `destroy`, the other side, or `connectTimeoutMs`. */
export class Connection {
  readonly #owner: Owner;
  readonly #bodyBytesMax: number;
  readonly #socket: Socket;
  readonly #connectTimer: NodeJS.Timeout;
  #work: Work | undefined;
  #error: Error | undefined;
  #state: "connecting" | "open" | "closed" = "connecting";
  /** Not used again after this (monotonic milliseconds); the pool sets it when it puts the connection aside. */
  usableUntilMs = 0;
  /** What the server said about how long it keeps an idle connection. */
  keepMs: number | undefined;

  constructor(place: Place, bodyBytesMax: number, connectTimeoutMs: number, owner: Owner) {
    this.#owner = owner;
    this.#bodyBytesMax = bodyBytesMax;
    this.#socket = connect({
      ...place,
      noDelay: true,
      keepAlive: true,
      onread: { buffer: Buffer.allocUnsafeSlow(readBytes), callback: (bytes, buffer) => this.#read(bytes, buffer) },
    });
    this.#connectTimer = setTimeout(
      () => this.#socket.destroy(new Error(`no connection within ${connectTimeoutMs} ms`)),
      connectTimeoutMs,
    );
    this.#socket.on("connect", () => {
      clearTimeout(this.#connectTimer);
      this.#state = "open";
      owner.connected(this);
    });
    this.#socket.on("end", () => this.#ended());
    this.#socket.on("error", (error) => {
      this.#error = error;
    });
    this.#socket.on("close", () => this.#closed());
  }

  /** Puts a request on the wire. Only on a connection that is open and free. */
  send(request: HttpRequest, done: Done): void {
    this.#work = { parser: new ResponseParser(this.#bodyBytesMax), done };
    const head = headOf(request);
    const { body } = request;
    if (body === undefined || body.length === 0) {
      this.#socket.write(head, "latin1");
      return;
    }
    const bytes = Buffer.allocUnsafe(head.length + body.length);
    bytes.write(head, 0, "latin1");
    bytes.set(body, head.length);
    this.#socket.write(bytes);
  }

  /** Nothing is reported any more, neither to the request nor as an attempt that failed. */
  destroy(): void {
    this.#work = undefined;
    this.#state = "closed";
    this.#socket.destroy();
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  #read(count: number, buffer: Uint8Array): boolean {
    const work = this.#work;
    if (work === undefined) {
      this.#socket.destroy(); // bytes nobody asked for: whatever follows can't be trusted
      return true;
    }
    try {
      if (work.parser.feed(Buffer.from(buffer.buffer, buffer.byteOffset, count))) this.#finish(work);
    } catch (error) {
      this.#fail(error as Error);
    }
    return true;
  }

  #finish({ parser, done }: Work): void {
    this.#work = undefined;
    const { status, body, cut, encoding } = parser;
    if (parser.reusable && this.#socket.writableLength === 0 && this.#state === "open") {
      this.keepMs = parser.keepMs;
      this.#owner.freed(this);
    } else this.#socket.destroy();
    done({ status, body, cut, encoding });
  }

  #ended(): void {
    const work = this.#work;
    if (work === undefined) {
      this.#socket.destroy();
      return;
    }
    try {
      if (work.parser.end()) this.#finish(work);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #fail(error: Error): void {
    const done = this.#work?.done;
    this.#work = undefined;
    this.#socket.destroy();
    done?.(error);
  }

  #closed(): void {
    clearTimeout(this.#connectTimer);
    const error = this.#state === "connecting" ? (this.#error ?? new Error("not connected")) : undefined;
    this.#state = "closed";
    this.#fail(this.#error ?? new Error("the connection was closed before the response"));
    this.#owner.closed(this, error);
  }
}

function headOf({ method, path, url, headers, body }: HttpRequest): string {
  let head = `${method} ${path} HTTP/1.1\r\nHost: ${url.authority}\r\n`;
  if (body !== undefined) head += `Content-Length: ${body.length}\r\n`;
  for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`;
  return `${head}\r\n`;
}
