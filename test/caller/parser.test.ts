/**
 * Our own response parser, fuzzed as a reader of hostile input: legal responses are read the same however they are cut
 * into packets, broken ones are violations, and nothing grows beyond its limit.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HttpViolation, headBytesMax, ResponseParser } from "../../src/caller/http1/parser.js";

interface Reading {
  readonly status: number;
  readonly body: string;
  readonly reusable: boolean;
  readonly cut: boolean;
}

/**
 * Feeds the pieces, each in a buffer that is overwritten afterwards as a socket's would be; then ends the connection.
 */
function read(pieces: readonly Buffer[], bodyBytesMax = 10_000): Reading | "violation" {
  const parser = new ResponseParser(bodyBytesMax);
  const buffer = Buffer.alloc(Math.max(1, ...pieces.map((piece) => piece.length)));
  try {
    let complete = false;
    for (const piece of pieces) {
      if (complete) break;
      piece.copy(buffer);
      complete = parser.feed(buffer.subarray(0, piece.length));
      buffer.fill(0x7a);
    }
    if (!complete) parser.end();
  } catch (error) {
    if (error instanceof HttpViolation) return "violation";
    throw error;
  }
  return { status: parser.status, body: parser.body.toString("latin1"), reusable: parser.reusable, cut: parser.cut };
}

/** Cuts the bytes at the given fractions. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [0, ...places.map((place) => Math.floor(place * bytes.length)).sort((a, b) => a - b), bytes.length];
  return at.slice(1).flatMap((end, i) => (end > (at[i] as number) ? [bytes.subarray(at[i], end)] : []));
}

const places = fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { maxLength: 12 });
const body = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString("latin1"));
const header = fc
  .tuple(fc.stringMatching(/^[A-Za-z][A-Za-z0-9_-]{0,12}$/), fc.stringMatching(/^[\x21-\x7e]{0,20}$/))
  .map(([name, value]) => `X-${name}: ${value}`);
const headers = fc.array(header, { maxLength: 6 });
const status = fc.constantFrom(200, 201, 400, 409, 425, 500, 599);

const lengthFramed = fc.tuple(status, headers, body).map(([code, lines, text]) => ({
  bytes: [`HTTP/1.1 ${code} Fine`, ...lines, `Content-Length: ${text.length}`, "", text].join("\r\n"),
  expected: { status: code, body: text, reusable: true, cut: false },
}));
const chunkFramed = fc
  .tuple(status, headers, fc.array(body, { maxLength: 6 }), headers)
  .map(([code, lines, parts, trailers]) => {
    const chunks = parts.filter((part) => part !== "").map((part) => `${part.length.toString(16)};e=1\r\n${part}\r\n`);
    const head = [`HTTP/1.1 ${code} Fine`, ...lines, "Transfer-Encoding: Chunked", "", ""].join("\r\n");
    const end = ["0", ...trailers, "", ""].join("\r\n");
    return {
      bytes: head + chunks.join("") + end,
      expected: { status: code, body: parts.join(""), reusable: true, cut: false },
    };
  });
const endFramed = fc.tuple(status, headers, body).map(([code, lines, text]) => ({
  bytes: [`HTTP/1.0 ${code} Fine`, ...lines, "", text].join("\r\n"),
  expected: { status: code, body: text, reusable: false, cut: false },
}));
const legal = fc.oneof(lengthFramed, chunkFramed, endFramed);

describe("the response parser", () => {
  it("reads a legal response the same, however it is cut into packets", () => {
    fc.assert(
      fc.property(legal, places, ({ bytes, expected }, where) => {
        expect(read(cut(Buffer.from(bytes, "latin1"), where))).toEqual(expected);
      }),
      { numRuns: 2000 },
    );
  });

  it("never takes a response that was cut short for a whole one, unless only the connection's end ends it", () => {
    fc.assert(
      fc.property(
        fc.oneof(lengthFramed, chunkFramed),
        fc.double({ min: 0, max: 0.9999, noNaN: true }),
        ({ bytes }, where) => {
          const whole = Buffer.from(bytes, "latin1");
          expect(read([whole.subarray(0, Math.floor(where * whole.length))])).toBe("violation");
        },
      ),
      { numRuns: 2000 },
    );
  });

  it("gives a reading or a violation for any change of a legal response, the same in one packet and in many", () => {
    const change = fc.record({
      at: fc.double({ min: 0, max: 0.999, noNaN: true }),
      remove: fc.nat(4),
      insert: fc.oneof(
        fc.uint8Array({ maxLength: 4 }),
        fc.constantFrom("\r\n", "\n", "\r", "\0", ":", " ", "0").map(Buffer.from),
      ),
    });
    let violations = 0;
    fc.assert(
      fc.property(legal, fc.array(change, { minLength: 1, maxLength: 3 }), places, ({ bytes }, changes, where) => {
        let text: Buffer = Buffer.from(bytes, "latin1");
        for (const { at, remove, insert } of changes) {
          const place = Math.floor(at * text.length);
          text = Buffer.concat([text.subarray(0, place), insert, text.subarray(place + remove)]);
        }
        const [one, many] = [read([text]), read(cut(text, where))];
        if (one === "violation") violations += 1;
        if (one === "violation" || many === "violation") expect(many).toEqual(one);
        else expect({ ...many, reusable: true }).toEqual({ ...one, reusable: true });
      }),
      { numRuns: 3000 },
    );
    expect(violations).toBeGreaterThan(100);
  });

  it("gives a reading or a violation for any bytes at all", () => {
    const part = fc.oneof(
      fc.constantFrom(
        "HTTP/1.1 200 OK\r\n",
        "\r\n",
        "\r\n\r\n",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
      ),
      fc.constantFrom(
        "5\r\nhello\r\n",
        "0\r\n\r\n",
        "ffffffff\r\n",
        "HTTP/1.1 100 Go on\r\n\r\n",
        "Connection: close\r\n",
      ),
      fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes).toString("latin1")),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
        const result = read(parts.map((text) => Buffer.from(text, "latin1")));
        if (result !== "violation") expect(result.status).toBeGreaterThanOrEqual(200);
      }),
      { numRuns: 5000 },
    );
  });

  const violations: readonly (readonly [string, string])[] = [
    ["a folded header", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n"],
    ["a blank before the colon", "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n"],
    ["a bare line feed in the headers", "HTTP/1.1 200 OK\r\nA: b\nContent-Length: 0\r\n\r\n"],
    ["NUL in a header", "HTTP/1.1 200 OK\r\nA: b\0\r\nContent-Length: 0\r\n\r\n"],
    ["a header without a name", "HTTP/1.1 200 OK\r\n: b\r\nContent-Length: 0\r\n\r\n"],
    ["two equal lengths", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n"],
    ["a list of lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx"],
    ["a signed length", "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx"],
    ["a length beyond all numbers", `HTTP/1.1 200 OK\r\nContent-Length: ${"9".repeat(16)}\r\n\r\nx`],
    ["a length and chunks", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ["chunks twice", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ["a coding before chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"],
    ["chunks of HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ["a chunk size with a sign", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\nx\r\n0\r\n\r\n"],
    ["a chunk size with 0x", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n"],
    ["a chunk size of nine digits", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n000000001\r\nx\r\n0\r\n\r\n"],
    ["a chunk longer than it says", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n"],
    ["an endless chunk size line", `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;${"x".repeat(2000)}`],
    ["endless trailers", `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n${"A: b\r\n".repeat(2000)}`],
    ["endless headers", `HTTP/1.1 200 OK\r\n${"A: b\r\n".repeat(headBytesMax / 6)}\r\n`],
    ["headers without end", `HTTP/1.1 200 OK\r\n${"A: b\r\n".repeat(headBytesMax / 6)}A: b\r\n`],
    ["endless early answers", "HTTP/1.1 100 Continue\r\n\r\n".repeat(20)],
    ["a switch of protocol", "HTTP/1.1 101 Switching\r\n\r\n"],
    ["an impossible status", "HTTP/1.1 099 Low\r\n\r\n"],
    ["HTTP/2", "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"],
    ["HTTP/1.2", "HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n"],
  ];
  for (const [name, text] of violations)
    it(`refuses ${name}`, () => {
      expect(read([Buffer.from(text, "latin1")])).toBe("violation");
    });

  it("says at once that a foreign protocol is none, without waiting for more", () => {
    expect(() => new ResponseParser(1).feed(Buffer.from("220 smtp ready\r\n"))).toThrow(HttpViolation);
    expect(() => new ResponseParser(1).feed(Buffer.from("\x15\x03\x01"))).toThrow(HttpViolation);
  });

  it("keeps no more of a body than the limit, whatever the framing says", () => {
    const chunk = Buffer.from(`1000\r\n${"x".repeat(4096)}\r\n`);
    const endless = [Buffer.from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), ...Array(10).fill(chunk)];
    expect(read(endless, 10_000)).toEqual({ status: 200, body: "x".repeat(10_000), reusable: false, cut: true });
    const long = Buffer.from(`HTTP/1.1 409 No\r\nContent-Length: 99999999\r\n\r\n${"y".repeat(20)}`);
    expect(read([long], 10)).toEqual({ status: 409, body: "y".repeat(10), reusable: false, cut: true });
  });

  it("reads a body that is exactly as long as the limit", () => {
    const text = (framing: string, bytes: string) => [Buffer.from(`HTTP/1.1 200 OK\r\n${framing}\r\n\r\n${bytes}`)];
    expect(read(text("Content-Length: 4", "four"), 4)).toMatchObject({ body: "four", cut: false });
    expect(read(text("Transfer-Encoding: chunked", "4\r\nfour\r\n0\r\n\r\n"), 4)).toMatchObject({ cut: false });
    expect(read(text("A: b", "four"), 4)).toMatchObject({ body: "four", cut: false });
  });

  it("calls a connection with more than the response on it unusable", () => {
    const one = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    expect(read([Buffer.from(one)])).toMatchObject({ reusable: true });
    expect(read([Buffer.from(one + one)])).toMatchObject({ body: "x", reusable: false });
  });
});
