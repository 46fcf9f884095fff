/**
 * Clients that send what no client should, or too much of it: each gets its gRPC status or loses its connection,
 * nothing is stored, and others are served (bad-inputs 60 and 61).
 */
import { once } from "node:events";
import { type ClientHttp2Session, connect, type IncomingHttpHeaders, type OutgoingHttpHeaders } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { startTestNode, type TestNode } from "./node.js";

let node: TestNode;
const sessions: ClientHttp2Session[] = [];
const sockets: Socket[] = [];
beforeAll(async () => {
  node = await startTestNode();
});
afterAll(() => node.close());
afterEach(async () => {
  for (const session of sessions.splice(0)) session.destroy();
  for (const socket of sockets.splice(0)) socket.destroy();
  expect((await node.call("NewGid")).code).toBe(0);
});

function session(): ClientHttp2Session {
  const opened = connect(`http://${node.address}`);
  opened.on("error", () => {});
  sessions.push(opened);
  return opened;
}

const submit = "/dtmgimp.Dtm/Submit";
const headersOf = (changed: OutgoingHttpHeaders = {}) => ({
  ":method": "POST",
  ":path": submit,
  "content-type": "application/grpc",
  te: "trailers",
  ...changed,
});

/** Status of a call with these bytes as its whole request stream. */
async function call(bytes: Uint8Array, changed: OutgoingHttpHeaders = {}, end = true): Promise<IncomingHttpHeaders> {
  const opened = session();
  const stream = opened.request(headersOf(changed));
  let headers: IncomingHttpHeaders = {};
  stream.on("response", (more) => Object.assign(headers, more));
  stream.on("trailers", (more) => Object.assign(headers, more));
  stream.on("error", () => {});
  stream.resume();
  if (!end) stream.write(bytes);
  else if (changed[":method"] !== "GET") stream.end(bytes);
  await once(stream, "close");
  opened.destroy();
  headers = { ...headers };
  return headers;
}

const frame = (message: Uint8Array, length = message.length, flag = 0) => {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(length, 1);
  return Buffer.concat([prefix, message]);
};
const gidOnly = (gid: string) => Buffer.concat([Buffer.from([0x0a, gid.length]), Buffer.from(gid)]);

describe("a request that is none", () => {
  const large = Buffer.alloc(5 << 20, 0x0a);
  const broken: readonly (readonly [string, Uint8Array, OutgoingHttpHeaders, string])[] = [
    ["malformed protobuf", frame(Buffer.from("0a05616263", "hex")), {}, "3"],
    ["random bytes", frame(Buffer.from("deadbeefdeadbeef", "hex")), {}, "3"],
    ["text that is no UTF-8", frame(Buffer.from("0a02c328", "hex")), {}, "3"],
    ["map keys that are no UTF-8", frame(Buffer.from("42060a02c3281200", "hex")), {}, "3"],
    ["absent fields", frame(Buffer.alloc(0)), {}, "3"],
    ["a gid and nothing else", frame(gidOnly("hostile")), {}, "3"],
    ["no message", Buffer.alloc(0), {}, "3"],
    ["two messages", Buffer.concat([frame(gidOnly("a")), frame(gidOnly("b"))]), {}, "3"],
    ["half a prefix", Buffer.from([0, 0]), {}, "3"],
    ["a message cut short", frame(gidOnly("hostile"), 100), {}, "3"],
    ["a prefix that is none", frame(gidOnly("hostile"), 9, 7), {}, "3"],
    ["a compressed message without encoding", frame(gidOnly("hostile"), 9, 1), {}, "3"],
    ["gzip, which is not taken", frame(gidOnly("hostile"), 9, 1), { "grpc-encoding": "gzip" }, "12"],
    ["a message of 5 MiB", frame(large), {}, "8"],
    ["a message said to have 4 GiB", frame(gidOnly("hostile"), 0xffff_ffff), {}, "8"],
    ["an unknown method", frame(gidOnly("a")), { ":path": "/dtmgimp.Dtm/Nothing" }, "12"],
    ["an unknown service", frame(gidOnly("a")), { ":path": "/a.B/C" }, "12"],
    ["an empty path", frame(gidOnly("a")), { ":path": "/" }, "12"],
    ["a time that is none", frame(gidOnly("a")), { "grpc-timeout": "soon" }, "3"],
    ["a time that is over", frame(gidOnly("a")), { "grpc-timeout": "0n" }, "4"],
  ];
  for (const [name, bytes, headers, code] of broken)
    it(`(${name}) gets status ${code} and stores nothing`, async () => {
      const got = await call(bytes, headers);
      expect(got).toMatchObject({ ":status": 200, "grpc-status": code });
      expect(String(got["grpc-message"])).not.toMatch(/at .*:\d+|undefined|null pointer/);
      expect((await node.ask("/api/dtmsvr/query?gid=hostile")).json.transaction).toBeNull();
    });

  it("of another content type or method is no gRPC at all", async () => {
    expect(await call(frame(gidOnly("a")), { "content-type": "application/json" })).toMatchObject({ ":status": 415 });
    expect(await call(Buffer.alloc(0), { ":method": "GET" })).toMatchObject({ ":status": 405 });
  });

  it("is answered before an endless message has come, and its rest not waited for", async () => {
    const got = await call(frame(Buffer.alloc(100), 64 << 20), {}, false);
    expect(got["grpc-status"]).toBe("8");
  });

  it("with more metadata than allowed loses its connection or stream, nothing else", async () => {
    const long = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`x-${i}`, "v".repeat(1000)]));
    expect((await call(frame(gidOnly("a")), long))["grpc-status"]).not.toBe("0");
  });
});

describe("a client that behaves badly", () => {
  it("and resets thousands of calls at once does not keep others from being served", async () => {
    const opened = session();
    await once(opened, "connect");
    for (let i = 0; i < 10_000 && !opened.destroyed && !opened.closed; i++) {
      const stream = opened.request(headersOf());
      stream.on("error", () => {});
      stream.write(frame(gidOnly(`reset-${i}`)));
      stream.close(8);
      if (i % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const before = performance.now();
    expect((await node.call("NewGid")).code).toBe(0);
    expect(performance.now() - before).toBeLessThan(2000);
  });

  it("and opens thousands of idle connections does not keep others from being served", async () => {
    for (let i = 0; i < 20; i++) {
      const some = Array.from({ length: 100 }, () => connectTcp(Number(node.address.split(":")[1]), "127.0.0.1"));
      sockets.push(...some);
      await Promise.all(some.map((socket) => once(socket, "connect")));
    }
    expect(sockets).toHaveLength(2000);
    const before = performance.now();
    expect((await node.call("NewGid")).code).toBe(0);
    expect(performance.now() - before).toBeLessThan(2000);
  });

  it("and speaks no HTTP/2 loses its connection", async () => {
    for (const bytes of ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02\x00", "\0".repeat(1000)]) {
      const socket = connectTcp(Number(node.address.split(":")[1]), "127.0.0.1");
      sockets.push(socket);
      socket.on("error", () => {});
      socket.resume();
      socket.write(bytes);
      await once(socket, "close");
    }
  });

  it("and opens more calls than allowed at a time waits, the others are answered", async () => {
    const opened = session();
    await once(opened, "remoteSettings");
    const streams = Array.from({ length: 1500 }, () => {
      const stream = opened.request(headersOf());
      stream.on("error", () => {});
      return stream;
    });
    expect((await node.call("NewGid")).code).toBe(0);
    for (const stream of streams) stream.destroy();
  });
});

describe("a server that stops", () => {
  it("finishes calls under way, tells who waits that it goes on, and takes no more", async () => {
    const stopping = await startTestNode();
    const request = {
      ...{ Gid: "stops", TransType: "saga", BinPayloads: ["MQ=="], TransOptions: { WaitResult: true } },
      Steps: JSON.stringify([{ action: "127.0.0.1:1/busi.Busi/Gone" }]),
    };
    const options = { deadline: Date.now() + 20_000 };
    const waiting = stopping.call(
      "Submit",
      { ...request, TransOptions: { WaitResult: true, RequestTimeout: 5 } },
      options,
    );
    await stopping.until("stops", "submitted");
    const closing = stopping.close();
    expect((await waiting).code).toBe(9);
    await closing;
    const [error] = await once(connectTcp(Number(stopping.address.split(":")[1]), "127.0.0.1"), "error");
    expect(error).toMatchObject({ code: "ECONNREFUSED" });
  });
});
