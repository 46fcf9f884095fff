/**
 * Requests good and odd, as text of latin1: what the front takes, and each way we know in which a request is none for
 * it or none at all.
 */
import fc from "fast-check";
import { bodyBytes } from "./server.js";

/** A request in its parts. */
export interface Shape {
  readonly line: string;
  readonly headers: readonly string[];
  /** `%` stands for the body's length. */
  readonly length: string;
  /** Of lines. */
  readonly end: string;
  readonly body: string;
  readonly host: string;
}

/** A request as it is sent. */
export function written({ line, headers, length, end, body, host }: Shape): string {
  const lines = [line, ...headers, `Content-Length: ${length.replace("%", String(body.length))}`, host];
  return `${lines.join(end)}${end}${end}${body}`;
}

/** A plain one, for the front. */
export const plain: Shape = {
  line: "POST /hot/echo HTTP/1.1",
  headers: [],
  length: "%",
  end: "\r\n",
  body: '{"gid":"g"}',
  host: "Host: x",
};

/** Headers that make a request the library's, or spoil it, or only look so. */
const headers = [
  ...["Transfer-Encoding: chunked", "transfer-encoding:\tidentity", "Transfer-Encoding: gzip, chunked"],
  ...["Transfer-Encoding : chunked", "Transfer-Encoding:", "Content-Length: 3", "Content-Length: 11"],
  ...["Content-Length: 0", "Content-Length: 1, 1", "Content-Length:", "Host: y", "Expect: 100-continue"],
  ...["Expect: magic", "Upgrade: h2c", "Connection: upgrade", "Connection: close, x", "Connection:"],
  ...["Connection: keep-alive, close", "Connection: close\r\nConnection: keep-alive", "Connection: close \t"],
  ...["Connection:\t close", "CONNECTION: KEEP-ALIVE", "Proxy-Connection: close", "Keep-Alive: timeout=1"],
  ...["Content-Encoding: gzip", "Content-Encoding: identity", "Content-Encoding:", "Trailer: x", "TE: trailers"],
  ...["Accept-Version: 9.x", "HTTP2-Settings: x", " folded", "\tfolded", "no colon", ": nameless", "Ü: x"],
  ...["Bad\x01: x", "Bad: \x01", "Bad: \x7f", "Obs: \xff", "A: b\rB: c", "A: b\nB: c", "A : b", "A: b\r"],
  ...["A: b\nContent-Length: 0", "A: b\rContent-Length: 0", "A: b\nTransfer-Encoding: chunked", "A: b\0", "X-A:"],
  `X-Big: ${"x".repeat(5_000)}`,
  `X-Huge: ${"x".repeat(17_000)}`,
  Array(1200).fill("a:").join("\r\n"),
  Array(900).fill("a:").join("\r\n"),
];
const lengths = ["+%", "0%", "%.0", "-%", " % ", "%\t", "%x", "", "0x%", "9".repeat(20), `%${bodyBytes}`, "1%", "4"];
const hosts = ["Hosts: x", "Host:", "Host: x\r\nhost: x", "X: x", "Host: \xff", "Host : x"];
const ends = ["\n", "\r", "\r\r\n", "\n\r"];
const lines = [
  ...["GET /cold/echo?q=1 HTTP/1.1", "POST /cold/echo HTTP/1.1", "POST /hot/echo?q=2 HTTP/1.1"],
  ...["POST /hot/ech%6f HTTP/1.1", "POST http://x/hot/echo HTTP/1.1", "POST /hot/echo/ HTTP/1.1"],
  ...["POST /nowhere HTTP/1.1", "POST /hot/echo HTTP/1.0", "POST /hot/echo HTTP/2.0", "POST  /hot/echo HTTP/1.1"],
  ...["post /hot/echo HTTP/1.1", "POST /hot/echo", "POST /hot/echo HTTP/1.1 ", "\r\nPOST /hot/echo HTTP/1.1"],
  ...["\nPOST /hot/echo HTTP/1.1", "PUT /hot/echo HTTP/1.1", "GET /hot/echo HTTP/1.1", "HEAD /hot/echo HTTP/1.1"],
  ...["POST /hot/echo#x HTTP/1.1", "POST //hot/echo HTTP/1.1", "POST /HOT/echo HTTP/1.1", "PRI * HTTP/2.0"],
  ...["CONNECT x:1 HTTP/1.1", "OPTIONS * HTTP/1.1", "POST /hot/echo HTTP/1.1\r\n", "POST\t/hot/echo HTTP/1.1"],
];

/** Each way to change one thing of a request. */
export const variants: readonly ((shape: Shape) => Shape)[] = [
  ...headers.map((header) => (shape: Shape) => ({ ...shape, headers: [header, ...shape.headers] })),
  ...headers.map((header) => (shape: Shape) => ({ ...shape, headers: [...shape.headers, header] })),
  ...lengths.map((length) => (shape: Shape) => ({ ...shape, length })),
  ...hosts.map((host) => (shape: Shape) => ({ ...shape, host })),
  ...ends.map((end) => (shape: Shape) => ({ ...shape, end })),
  ...lines.map((line) => (shape: Shape) => ({ ...shape, line })),
];

const text = fc.oneof(
  fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes).toString("latin1")),
  fc.constantFrom("", "{}", "0\r\n\r\n", "\r\n\r\n", written(plain), written({ ...plain, body: "" })),
  fc.nat(700).map((length) => "x".repeat(100 * length)),
);
const extra = fc.oneof(
  fc.constantFrom("Content-Type: application/json", "content-type: text/plain; q=\xe9", "Accept: */*", "x:\tb "),
  fc.constantFrom("Connection: keep-alive", "connection:close", "Connection: Close", "Keep-Alive: timeout=1"),
  fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,8}:[\t -~]{0,12}$/).map((line) => `X-${line}`),
);
const methods = ["POST", "POST", "GET", "PUT"];
const paths = ["/hot/echo", "/hot/now", "/hot/bad", "/hot/workflow", "/hot/late"];

/** A request that the library takes, and the front mostly. */
export const good: fc.Arbitrary<Shape> = fc.record({
  line: fc.constantFrom(...paths).map((path) => `POST ${path} HTTP/1.1`),
  headers: fc.array(extra, { maxLength: 4 }),
  length: fc.constant("%"),
  end: fc.constant("\r\n"),
  body: text,
  host: fc.constant("Host: x"),
});

/** A good request with one or two things changed. */
const changed: fc.Arbitrary<Shape> = fc
  .tuple(good, fc.array(fc.constantFrom(...variants), { minLength: 1, maxLength: 2 }))
  .map(([shape, changes]) => changes.reduce((changing, vary) => vary(changing), shape));

const chunk = text.map((part) => (part === "" ? "" : `${part.length.toString(16)}\r\n${part}\r\n`));
const endings = fc.constantFrom("", "0\r\n\r\n", "0\r\n\r\n", "0\r\nT: x\r\n\r\n", "ZZ\r\n", "4\r\nfive5");
const chunks = fc.tuple(chunk, chunk, endings).map((parts) => parts.join(""));
const chunked = fc
  .tuple(fc.constantFrom(...methods), fc.constantFrom(...paths, "/cold/echo", "/nowhere"), chunks)
  .map(([method, path, body]) => `${method} ${path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${body}`);

/** Not a good request. */
export const odd: fc.Arbitrary<string> = fc.oneof(
  { weight: 6, arbitrary: changed.map(written) },
  { weight: 1, arbitrary: chunked },
);

/** Any request. */
export const request: fc.Arbitrary<string> = fc.oneof(
  { weight: 2, arbitrary: good.map(written) },
  { weight: 1, arbitrary: odd },
);

const twice = written(plain) + written(plain);
const compressed: Shape = { ...plain, headers: ["Content-Encoding: gzip"] };
const last: Shape = { ...compressed, headers: [...compressed.headers, "Connection: close"] };
const unread: Shape = { ...plain, line: "GET /cold/echo HTTP/1.1" };
const continued: Shape = { ...plain, line: "GET /nowhere HTTP/1.1", headers: ["Expect: 100-continue"] };
const large = written({ ...plain, body: "x".repeat(50_000) });
const tunnel = "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n";
const badChunk = "/cold/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\nZZ\r\n";

/**
 * Requests and what is none behind them, all in one piece, and the statuses of the answers. Node's parser lets an
 * answer be finished between a body and what is behind it when it reads the socket itself; not after a hand-over.
 */
export const behind: readonly (readonly [text: string, ...statuses: readonly number[]])[] = [
  [`${twice}rubbish`, 200, 200, 400],
  [`${written({ ...unread, length: "0", body: "" })}rubbish`, 200, 400],
  [written({ ...compressed, length: "4" }), 415, 400],
  [`${written(compressed)}${twice}rubbish`, 415, 200, 200, 400],
  [written({ ...last, length: "4" }), 415],
  [written({ ...unread, length: "4" }), 200, 400],
  [written({ ...continued, length: "4" }), 100, 404, 400],
  [`GET ${badChunk}`, 200, 400],
  [`POST ${badChunk}`, 400], // its route reads the body, so its answer would not come
  [`${twice}${tunnel}`, 200, 200, 400],
  [`${large}${tunnel}${large}`, 200, 400],
];
