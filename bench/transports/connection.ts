// One keep-alive HTTP/1.1 connection, one request at a time, that reads only what is needed: status and the end of the
// answer.
// A library's client would cost as much as the server that is measured.
import { connect, type Socket } from "node:net";

const headEnd = Buffer.from("\r\n\r\n");
const lastChunk = Buffer.from("\r\n0\r\n\r\n");

/** An answer: its status and, for messages to people, its text. */
export interface Answer {
  readonly status: number;
  readonly body: string;
}

interface Waiting {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (cause: Error) => void;
}

/** Reconnects at the next request after the connection broke. */
export class Connection {
  readonly #host: string;
  readonly #port: number;
  #socket: Socket | undefined;
  #waiting: Waiting | undefined;
  #bytes: Buffer = Buffer.alloc(0);

  constructor(host: string, port: number) {
    this.#host = host;
    this.#port = port;
  }

  /** POSTs a JSON body. Rejects when the connection can't be had or breaks before the whole answer. */
  post(target: string, body: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket ??= this.#open();
      this.#socket.write(
        `POST ${target} HTTP/1.1\r\nHost: ${this.#host}:${this.#port}\r\nContent-Type: application/json\r\n` +
          `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      );
    });
  }

  /** Connects ahead of the first request; resolves when that is done, or has failed: then the request tries again. */
  connect(): Promise<void> {
    this.#socket ??= this.#open();
    const socket = this.#socket;
    return new Promise((resolve) => void socket.once("connect", resolve).once("close", () => resolve()));
  }

  close(): void {
    this.#socket?.destroy();
  }

  #open(): Socket {
    const socket = connect({ host: this.#host, port: this.#port, noDelay: true });
    const lose = (cause: Error) => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      this.#bytes = Buffer.alloc(0);
      this.#waiting?.reject(cause);
      this.#waiting = undefined;
    };
    socket.on("error", lose);
    socket.on("close", () => lose(new Error("the server closed the connection")));
    socket.on("data", (bytes) => this.#read(bytes));
    return socket;
  }

  #read(bytes: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
    const end = this.#bytes.indexOf(headEnd);
    if (end < 0) return;
    const head = this.#bytes.toString("latin1", 0, end);
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    const from = end + headEnd.length;
    const whole = length === undefined ? endsChunked(this.#bytes, end) : this.#bytes.length >= from + Number(length);
    if (!whole) return;
    const answer = { status: Number(head.slice(9, 12)), body: this.#bytes.toString("utf8", from) };
    this.#bytes = Buffer.alloc(0);
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (/\r\nconnection: *close/i.test(head)) this.#drop();
    waiting?.resolve(answer);
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.destroy();
  }
}

/** The blank line before the body also begins the search, so that an empty chunked body is seen to end. */
function endsChunked(bytes: Buffer, headAt: number): boolean {
  return bytes.indexOf(lastChunk, headAt + 2) >= 0;
}
