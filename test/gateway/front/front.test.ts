/**
 * What the front does by itself: requests in pieces, held answers, clients that are slow or go away, a stop. The
 * library alone does the same, where that can be told.
 */
import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { connect, type Socket } from "node:net";
import { request as undiciRequest } from "undici";
import { afterEach, describe, expect, it } from "vitest";
import { piecesMax, requestBytesMax } from "../../../src/gateway/http/front/connection.js";
import { patient } from "../harness.js";
import { type Served, served } from "./server.js";

const opened: Served[] = [];
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const one of opened.splice(0)) await one.close();
});

async function open(...given: Parameters<typeof served>): Promise<Served> {
  const server = await served(...given);
  opened.push(server);
  return server;
}

/** A client's connection and what came back on it. */
function client({ port }: Served, allowHalfOpen = false) {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen });
  let received = "";
  sockets.push(socket);
  socket.on("error", () => {});
  socket.on("data", (bytes) => {
    received += bytes.toString("latin1");
  });
  return {
    socket,
    received: () => received,
    statuses: () => (received.match(/HTTP\/1\.1 \d{3}/g) ?? []).map((line) => line.slice(9)),
  };
}

const request = (path: string, body = "", headers = "") =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`;

const accepted = { kind: "accepted" } as const;

describe.each([["the front", true] as const, ["the library alone", false] as const])("by %s", (_name, front) => {
  it("a client that goes away ends the wait for its answer, and is counted", async () => {
    const server = await open(front);
    const { socket } = client(server);
    socket.write(request("/hot/held"));
    await expect.poll(() => server.held.length, patient).toBe(1);
    socket.destroy();
    await expect.poll(() => server.held[0]?.signal.aborted, patient).toBe(true);
    await expect.poll(() => server.counted, patient).toEqual(["hot/held false 503"]);
  });

  it("a client that ends its side before the answer is there gets none, and its wait ends", async () => {
    const server = await open(front);
    const { socket, received } = client(server, true);
    socket.end(request("/hot/held"));
    await once(socket, "end");
    socket.destroy();
    await expect.poll(() => server.held[0]?.signal.aborted, patient).toBe(true);
    expect(received()).toBe("");
  });

  it("rubbish behind a held request is refused once, after its answer, in however many pieces it comes", async () => {
    const server = await open(front);
    const warnings: Error[] = [];
    const warned = (warning: Error) => void warnings.push(warning);
    process.on("warning", warned);
    const { socket, statuses } = client(server);
    const accepting = await acceptedBy(server, socket);
    const sent = request("/hot/held", "", "Expect: 100-continue\r\n"); // the library's from the start
    socket.write(sent);
    await expect.poll(() => server.held.length, patient).toBe(1);
    for (let pieces = 1; pieces <= 20; pieces++) {
      socket.write("rubbish");
      await expect.poll(() => accepting.bytesRead, { ...patient, interval: 1 }).toBe(sent.length + 7 * pieces);
    }
    server.held[0]?.answer(accepted);
    await once(socket, "close");
    process.off("warning", warned);
    expect([statuses(), warnings]).toEqual([["100", "200", "400"], []]);
  });

  it("the refusal of a body that is too large is not replaced by that of rubbish behind it", async () => {
    const server = await open(front, {}, 1 << 20, 1000);
    const { socket, statuses } = client(server);
    const chunk = `3e9\r\n${"x".repeat(1001)}\r\n`;
    socket.write(`POST /hot/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}rubbish\r\n`);
    await once(socket, "close");
    expect(statuses()).toEqual(["413"]);
  });

  it("a client that sends rubbish and ends its side at once is told so", async () => {
    const server = await open(front);
    const body = "POST /hot/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    const filling = (text: string) => text.padEnd(65_536, "x"); // of a buffer: its end is read without a wait
    for (const text of ["rubbish\r\n\r\n", filling("rubbish"), filling(`${body}1\r\nx\r\nrubbish`)]) {
      const { socket, statuses } = client(server, true);
      socket.end(text);
      await once(socket, "end");
      socket.destroy();
      expect(statuses(), text.slice(0, 100)).toEqual(["400"]);
    }
  });

  it("a CONNECT behind a held request is refused after its answer; who asks for one and goes away harms none", async () => {
    const server = await open(front, { requestTimeoutMs: 200 });
    const [staying, going, silent] = [client(server), client(server), client(server, true)];
    const tunnel = "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n";
    staying.socket.write(request("/hot/held") + tunnel);
    going.socket.write(request("/hot/held") + tunnel);
    silent.socket.write(tunnel);
    await once(silent.socket, "end"); // and says nothing more, nor closes
    await expect.poll(() => server.held.length, patient).toBe(2);
    going.socket.resetAndDestroy();
    for (const { answer } of server.held) answer(accepted);
    await once(staying.socket, "close");
    expect([staying.statuses(), silent.statuses()]).toEqual([["200", "400"], ["400"]]);
    opened.pop();
    await server.close(); // waits for connections of which it is not through
  });

  it("a request whose rest does not come is 408 or 400, counted as refused, and its bytes given back", async () => {
    const server = await open(front, { requestTimeoutMs: 200 });
    const half = request("/hot/echo", "x".repeat(100)).slice(0, -50);
    const [slow, gone] = [client(server), client(server)];
    for (const { socket } of [slow, gone]) socket.write(half);
    await expect.poll(() => server.arriving.bytes, patient).toBe(100);
    gone.socket.destroy();
    await once(slow.socket, "close");
    const ending = client(server, true);
    ending.socket.end(half);
    await once(ending.socket, "end");
    ending.socket.destroy();
    expect([slow.statuses(), ending.statuses()]).toEqual([["408"], ["400"]]);
    await expect.poll(() => server.counted, patient).toEqual(Array(3).fill("hot/echo false 400"));
    expect(server.arriving.bytes).toBe(0);
  });

  it("a connection on which nothing comes is 408, one that was used is left alone", async () => {
    const server = await open(front, { requestTimeoutMs: 200 });
    const [silent, used] = [client(server), client(server)];
    used.socket.write(request("/hot/echo"));
    await once(silent.socket, "close");
    expect(silent.statuses()).toEqual(["408"]);
    used.socket.write(request("/hot/echo"));
    await expect.poll(used.statuses, patient).toEqual(["200", "200"]);
  });

  it("what is held when the server stops is answered by its time to drain, and its connection closed", async () => {
    const server = await open(front, { drainMs: 100 });
    const [holding, used, silent] = [client(server), client(server), client(server)];
    used.socket.write(request("/hot/echo"));
    await expect.poll(used.statuses, patient).toEqual(["200"]);
    holding.socket.write(request("/hot/held", "", "Connection: close\r\n"));
    await expect.poll(() => server.held.length, patient).toBe(1);
    silent.socket.destroy(); // the library waits for one that has said nothing
    opened.pop();
    await server.close();
    await expect.poll(holding.statuses, patient).toEqual(["503"]);
    expect(holding.received()).toMatch(/Connection: close\r\n/);
  });
});

describe("the front", () => {
  it("serves what common clients send", async () => {
    const server = await open(true);
    const url = `http://127.0.0.1:${server.port}/hot/echo`;
    const [method, headers, body] = ["POST", { "content-type": "application/json" }, '{"gid":"ü"}'] as const;
    const seen = `"bytes":${Buffer.byteLength(body)},`;
    expect(await (await fetch(url, { method, headers, body })).text()).toContain(seen);
    expect(await (await undiciRequest(url, { method, headers, body })).body.text()).toContain(seen);
    for (const agent of [undefined, false] as const) {
      const asked = httpRequest(url, { method, headers, ...(agent === false && { agent }) });
      asked.end(body);
      const [answer] = (await once(asked, "response")) as [AsyncIterable<Buffer>];
      let text = "";
      for await (const bytes of answer) text += bytes.toString();
      expect(text).toContain(seen);
    }
    const go = "User-Agent: Go-http-client/1.1\r\nAccept-Encoding: gzip\r\n";
    const python = "User-Agent: python-requests/2.32.3\r\nAccept: */*\r\nConnection: keep-alive\r\n";
    const curl = "User-Agent: curl/8.5.0\r\nAccept: */*\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    for (const lines of [go, python, curl]) {
      const { socket, statuses } = client(server);
      socket.write(request("/hot/echo", "{}", lines));
      await expect.poll(statuses, patient).toEqual(["200"]);
    }
    expect([server.asked.length, server.library()]).toEqual([7, 0]);
  });

  it("serves a request in many pieces, up to a number of them and of bytes; the library the others", async () => {
    const server = await open(true);
    for (const [pieces, bytes, byLibrary] of [
      [1, 10_000, 0],
      [2, 10_000, 0],
      [piecesMax, 10_000, 0],
      [piecesMax + 1, 10_000, 1],
      [3, requestBytesMax - 100, 0],
      [3, requestBytesMax, 1],
    ] as const) {
      const before = server.library();
      const { socket, received } = client(server);
      const text = request("/hot/echo", "x".repeat(bytes));
      const [accepting, reading] = [await acceptedBy(server, socket), { bytes: 0 }];
      const size = Math.ceil((text.length - 200) / pieces);
      for (let at = 0, i = 0; i < pieces; i++) {
        const end = i === pieces - 1 ? text.length : at + 200 + size - (i === 0 ? 0 : 200);
        socket.write(text.slice(at, end));
        reading.bytes += end - at;
        await expect.poll(() => accepting.bytesRead >= reading.bytes, { ...patient, interval: 1 }).toBe(true);
        at = end;
      }
      await expect.poll(received, patient).toContain(`"bytes":${bytes},`);
      expect(server.library() - before, `${pieces} pieces, ${bytes} bytes`).toBe(byLibrary);
    }
  });

  it("answers in order what comes while it waits, and lets the library have it afterwards", async () => {
    const server = await open(true);
    const { socket, statuses, received } = client(server);
    socket.write(request("/hot/held", "first"));
    await expect.poll(() => server.held.length, patient).toBe(1);
    socket.write(request("/hot/echo", "second"));
    socket.write(request("/hot/late", "third"));
    socket.write("rubbish\r\n\r\n");
    await new Promise((resolve) => setImmediate(resolve));
    expect(server.asked).toEqual(["/hot/held first"]);
    server.held[0]?.answer(accepted);
    await once(socket, "close");
    expect(statuses().slice(0, 2)).toEqual(["200", "200"]);
    expect(received().indexOf('"first"')).toBeLessThan(received().indexOf('"second"'));
    expect(server.library()).toBe(2);
  });

  it("reads no more of a client that sends without end while it waits", async () => {
    const server = await open(true);
    const { socket } = client(server);
    const other = await acceptedBy(server, socket);
    socket.write(request("/hot/held"));
    await expect.poll(() => server.held.length, patient).toBe(1);
    const flood = Buffer.alloc(1 << 20, "x");
    for (let i = 0; i < 16; i++) socket.write(flood);
    await expect.poll(() => socket.writableLength, patient).toBeGreaterThan(0);
    for (let i = 0; i < 200; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(other.bytesRead).toBeLessThan(1 << 20);
    server.held[0]?.answer(accepted);
  });

  it("lets the library refuse a body that is larger than all bodies may be", async () => {
    const server = await open(true, {}, 1 << 20, 1000);
    for (const [bytes, status] of [
      [1000, "200"],
      [1001, "413"],
    ] as const) {
      const { socket, statuses } = client(server);
      socket.write(request("/hot/echo", "x".repeat(bytes)));
      await expect.poll(statuses, patient).toEqual([status]);
    }
    expect([server.counted, server.library()]).toEqual([["hot/echo true 200", "hot/echo false 413"], 1]);
  });

  it("lets the library refuse what is too much for all clients together", async () => {
    const server = await open(true, {}, 1000);
    const first = client(server);
    first.socket.write(request("/hot/held", "x".repeat(900)));
    await expect.poll(() => server.held.length, patient).toBe(1);
    const second = client(server);
    second.socket.write(request("/hot/echo", "x".repeat(200)));
    await expect.poll(second.statuses, patient).toEqual(["503"]);
    expect(second.received()).toMatch(/retry-after: 1\r\n/);
    expect([server.library(), server.arriving.bytes]).toEqual([1, 900]);
    server.held[0]?.answer(accepted);
    await expect.poll(first.statuses, patient).toEqual(["200"]);
    expect(server.arriving.bytes).toBe(0);
  });

  it("closes a connection with its answer when the server stops, and idle and silent ones at once", async () => {
    const server = await open(true, { drainMs: 60_000 });
    const [holding, half, used, silent] = [client(server), client(server), client(server), client(server)];
    used.socket.write(request("/hot/echo"));
    await expect.poll(used.statuses, patient).toEqual(["200"]);
    await acceptedBy(server, silent.socket);
    holding.socket.write(request("/hot/held"));
    half.socket.write(request("/hot/echo", "xxxx").slice(0, -1));
    await expect.poll(() => [server.held.length, server.arriving.bytes], patient).toEqual([1, 3]);
    opened.pop();
    const closed = server.close();
    await Promise.all([once(used.socket, "close"), once(silent.socket, "close")]);
    server.held[0]?.answer(accepted);
    half.socket.write("x");
    await closed;
    await expect.poll(() => [holding.statuses(), half.statuses()], patient).toEqual([["200"], ["503"]]);
    expect(holding.received()).toMatch(/Connection: close\r\n/);
  });

  it("closes a connection rather than send a header that would be two", async () => {
    const server = await open(true);
    const { socket, received } = client(server);
    socket.write(request("/hot/broken"));
    await once(socket, "close");
    expect([received(), server.logged]).toEqual(["", ["answer not written"]]);
  });
});

/** The server's side of a client's connection. */
async function acceptedBy(server: Served, socket: Socket): Promise<Socket> {
  if (socket.connecting) await once(socket, "connect");
  await expect.poll(() => server.lastSocket()?.remotePort, patient).toBe(socket.localPort);
  return server.lastSocket() as Socket;
}
