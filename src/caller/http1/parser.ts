/**
 * Reads one HTTP/1.1 response from hostile bytes: strict framing by Content-Length, chunks or the connection's end,
 * and a limit on everything that can grow.
 *
 * Strict means: what two readers could understand differently (both kinds of length, two lengths, folded headers, bare
 * line ends in a size line) is a violation, never a guess. Nothing of a chunk that was fed is kept after `feed` but by
 * copy, so the caller may reuse its buffer.
 */

/** The bytes are no HTTP response, or one that is not allowed here. */
export class HttpViolation extends Error {
  override readonly name = "HttpViolation";
}

/** Status line and headers, all together, of one response. */
export const headBytesMax = 32 * 1024;
const informationalMax = 16;
const sizeLineMax = 1024;
const trailerBytesMax = 8 * 1024;

type State = "head" | "length" | "size" | "chunk" | "chunkEnd" | "trailer" | "untilEnd" | "done";

const none = Buffer.alloc(0);

/** One response; made anew for each request. */
export class ResponseParser {
  readonly #bodyBytesMax: number;
  #state: State = "head";
  /** Bytes of an unfinished head or line. */
  #rest: Buffer = none;
  #left = 0;
  #informational = 0;
  #trailerBytes = 0;
  #chunks: Buffer[] = [];
  #bytes = 0;
  status = 0;
  encoding: string | undefined;
  /** The body was longer than the limit; the response counts as done, the connection is spent. */
  cut = false;
  /** Another request may follow on this connection. */
  reusable = true;
  /** How long the server keeps an idle connection by its own words (`Keep-Alive: timeout=`), milliseconds. */
  keepMs: number | undefined;

  constructor(bodyBytesMax: number) {
    this.#bodyBytesMax = bodyBytesMax;
  }

  /** Takes bytes as they come; true when the response is complete. @throws HttpViolation */
  feed(chunk: Buffer): boolean {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = none;
    while (this.#state !== "done") {
      const used = this.#step(bytes);
      if (used === 0) {
        this.#rest = Buffer.from(bytes);
        return false;
      }
      bytes = bytes.subarray(used);
      if (bytes.length === 0 && (this.#state as State) !== "done") return false;
    }
    if (bytes.length > 0) this.reusable = false;
    return true;
  }

  /** The connection has ended; true when that completes the response. @throws HttpViolation */
  end(): boolean {
    this.reusable = false;
    if (this.#state === "untilEnd") this.#state = "done";
    if (this.#state !== "done") throw new HttpViolation("the connection ended before the response");
    return true;
  }

  get body(): Buffer {
    return this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
  }

  /** Takes what it can from the front; 0 = more bytes are needed for a whole line or head. */
  #step(bytes: Buffer): number {
    switch (this.#state) {
      case "head":
        return this.#head(bytes);
      case "length":
      case "chunk":
        return this.#data(bytes);
      case "untilEnd":
        this.#keep(bytes);
        return bytes.length;
      case "size":
        return this.#size(bytes);
      case "chunkEnd":
        if (bytes.length < 2) return 0;
        if (bytes[0] !== 13 || bytes[1] !== 10) throw new HttpViolation("a chunk is longer than it said");
        this.#state = "size";
        return 2;
      case "trailer":
        return this.#trailer(bytes);
      case "done":
        return 0;
    }
  }

  #head(bytes: Buffer): number {
    const end = bytes.indexOf("\r\n\r\n");
    if (end > headBytesMax || (end < 0 && bytes.length > headBytesMax))
      throw new HttpViolation(`the headers are longer than ${headBytesMax} bytes`);
    if (end < 0) {
      if (!plausible(bytes)) throw new HttpViolation("this is no HTTP/1.1");
      return 0;
    }
    const lines = bytes.toString("latin1", 0, end).split("\r\n");
    const status = /^HTTP\/1\.([01]) (\d{3})(?: [^\x00-\x08\x0a-\x1f\x7f]*)?$/.exec(lines[0] as string);
    if (status === null) throw new HttpViolation("the status line is no HTTP/1.1");
    this.status = Number(status[2]);
    const framing = readHeaders(lines);
    if (this.status < 200) {
      if (this.status === 101) throw new HttpViolation("the protocol is switched, unasked");
      if (this.status < 100 || ++this.#informational > informationalMax)
        throw new HttpViolation(`too many or impossible answers of status ${this.status}`);
    } else this.#frame(framing, status[1] === "0");
    return end + 4;
  }

  #frame(framing: Framing, old: boolean): void {
    const { length, coding, connection } = framing;
    this.encoding = framing.encoding;
    this.keepMs = framing.keepMs;
    this.reusable = old ? connection === "keep-alive" : connection !== "close";
    if (coding !== undefined) {
      if (old || length !== undefined) throw new HttpViolation("the length of the body is given twice");
      if (coding !== "chunked") throw new HttpViolation(`transfer-encoding '${coding.slice(0, 40)}' is not known`);
    }
    if (this.status === 204 || this.status === 304) this.#state = "done";
    else if (coding !== undefined) this.#state = "size";
    else if (length !== undefined) {
      this.#left = length;
      this.#state = length === 0 ? "done" : "length";
    } else this.#state = "untilEnd";
  }

  #data(bytes: Buffer): number {
    const used = Math.min(bytes.length, this.#left);
    this.#left -= used;
    this.#keep(used === bytes.length ? bytes : bytes.subarray(0, used));
    if (this.#left === 0 && !this.cut) this.#state = this.#state === "chunk" ? "chunkEnd" : "done";
    return used;
  }

  #size(bytes: Buffer): number {
    const end = bytes.indexOf("\r\n");
    if (end > sizeLineMax || (end < 0 && bytes.length > sizeLineMax))
      throw new HttpViolation("the size line of a chunk is too long");
    if (end < 0) return 0;
    const size = /^([0-9a-fA-F]{1,8})(?:[\t ]*;[\t\x20-\x7e\x80-\xff]*)?$/.exec(bytes.toString("latin1", 0, end))?.[1];
    if (size === undefined) throw new HttpViolation("the size of a chunk is no number");
    this.#left = Number.parseInt(size, 16);
    this.#state = this.#left === 0 ? "trailer" : "chunk";
    return end + 2;
  }

  #trailer(bytes: Buffer): number {
    const end = bytes.indexOf("\r\n");
    this.#trailerBytes += end < 0 ? 0 : end + 2;
    if (this.#trailerBytes > trailerBytesMax || (end < 0 && bytes.length > trailerBytesMax))
      throw new HttpViolation(`the trailers are longer than ${trailerBytesMax} bytes`);
    if (end < 0) return 0;
    if (end === 0) this.#state = "done";
    else if (!headerLine.test(bytes.toString("latin1", 0, end))) throw new HttpViolation("a trailer is no header");
    return end + 2;
  }

  /** Copies a piece of the body, or ends everything when it is one too many. */
  #keep(piece: Buffer): void {
    const room = this.#bodyBytesMax - this.#bytes;
    this.#bytes += piece.length;
    this.#chunks.push(Buffer.from(piece.length <= room ? piece : piece.subarray(0, room)));
    if (piece.length <= room) return;
    this.cut = true;
    this.reusable = false;
    this.#state = "done";
  }
}

/** Refuses early what can't become a status line, so that a foreign protocol's greeting is no wait for the deadline. */
function plausible(bytes: Buffer): boolean {
  const start = bytes.toString("latin1", 0, 7);
  return "HTTP/1.".startsWith(start);
}

interface Framing {
  readonly length: number | undefined;
  readonly coding: string | undefined;
  readonly connection: "close" | "keep-alive" | undefined;
  readonly encoding: string | undefined;
  readonly keepMs: number | undefined;
}

const headerLine = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t ]*([^\x00-\x08\x0a-\x1f\x7f]*?)[\t ]*$/;

/** Checks every header line and picks those that concern the framing. */
function readHeaders(lines: readonly string[]): Framing {
  let length: number | undefined;
  let coding: string | undefined;
  let connection: Framing["connection"];
  let encoding: string | undefined;
  let keepMs: number | undefined;
  for (let i = 1; i < lines.length; i++) {
    const match = headerLine.exec(lines[i] as string);
    if (match === null) throw new HttpViolation("a line of the headers is no header");
    const value = match[2] as string;
    switch ((match[1] as string).toLowerCase()) {
      case "content-length":
        if (length !== undefined || !/^\d{1,15}$/.test(value))
          throw new HttpViolation("the length of the body is in doubt");
        length = Number(value);
        break;
      case "transfer-encoding":
        if (coding !== undefined) throw new HttpViolation("the length of the body is given twice");
        coding = value.toLowerCase();
        break;
      case "connection":
        if (/(?:^|,)\s*close\s*(?:,|$)/i.test(value)) connection = "close";
        else if (/(?:^|,)\s*keep-alive\s*(?:,|$)/i.test(value)) connection ??= "keep-alive";
        break;
      case "content-encoding":
        if (value !== "" && value.toLowerCase() !== "identity") encoding = value;
        break;
      case "keep-alive":
        keepMs = 1000 * Number(/timeout\s*=\s*(\d{1,6})/i.exec(value)?.[1] ?? Number.NaN);
        break;
    }
  }
  return { length, coding, connection, encoding, keepMs: Number.isNaN(keepMs) ? undefined : keepMs };
}
