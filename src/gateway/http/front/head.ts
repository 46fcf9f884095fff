/**
 * Reads the head of a request that the front may serve: `POST`, HTTP/1.1, one Content-Length, nothing that changes how
 * the bytes are framed or read.
 *
 * It judges, it does not refuse: whatever two readers could understand differently (two lengths, a transfer coding,
 * folded headers, bare line ends, bytes that are not ASCII) is not taken, and the library reads it from its first byte.
 */

/** A request that the front may serve. */
export interface Head {
  readonly path: string;
  /** Where the body begins, counted from the head's first byte. */
  readonly bodyAt: number;
  /** Bytes of the body. */
  readonly length: number;
  /** The client wants no further request on this connection. */
  readonly close: boolean;
}

/** Longer heads are the library's. It ignores headers after the 1,000th; this has room for fewer (4 bytes each). */
export const headBytesMax = 4000;

const headPattern = /^POST (\/[!-~]*) HTTP\/1\.1\r\n(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~]*\r\n)+$/;

/** All headers that concern framing, the connection, or the framework's choice of a route. */
const concerning =
  /\r\n(host|content-length|connection|transfer-encoding|expect|upgrade|content-encoding|proxy-connection|trailer|te|http2-settings|accept-version):[\t ]*([^\r]*)/gi;

/** The head at the front of these bytes; undefined when it is not all there, or not one for the front. */
export function readHead(bytes: Buffer): Head | undefined {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0 || end > headBytesMax) return undefined;
  const text = bytes.toString("latin1", 0, end + 2);
  const path = headPattern.exec(text)?.[1];
  if (path === undefined) return undefined;
  let hosts = 0;
  let length: number | undefined;
  let connection: string | undefined;
  for (const [, name, value] of text.matchAll(concerning) as Iterable<readonly [string, string, string]>) {
    switch (name.toLowerCase()) {
      case "host":
        hosts += 1;
        break;
      case "content-length":
        if (length !== undefined) return undefined;
        length = decimal(value);
        if (length === undefined) return undefined;
        break;
      case "connection":
        if (connection !== undefined) return undefined;
        connection = value.toLowerCase();
        if (connection !== "keep-alive" && connection !== "close") return undefined;
        break;
      default:
        return undefined;
    }
  }
  if (hosts !== 1 || length === undefined) return undefined;
  return { path, bodyAt: end + 4, length, close: connection === "close" };
}

/** A number in its only spelling. */
function decimal(value: string): number | undefined {
  return /^(?:0|[1-9]\d{0,8})$/.test(value) ? Number(value) : undefined;
}
