/**
 * What only a real socket shows: limits that hold before a body is read, requests that never end, clients that go away,
 * and a stop that loses nothing.
 */
import { once } from "node:events";
import { request } from "node:http";
import { connect, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import type { Answer } from "../../src/ports/caller.js";
import { type Coordinator, coordinator, freshGid, type Over, patient, sagaBody } from "./harness.js";

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close();
});

async function listening(over: Over = {}): Promise<{ c: Coordinator; port: number }> {
  const c = coordinator(over);
  opened.push(c);
  const { port } = await c.http.listen({ host: "127.0.0.1", port: 0 });
  return { c, port };
}

/** Sends text and gathers what comes back until the server closes, or until `enough` is there. */
async function talk(port: number, text: string | Buffer, enough?: RegExp): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  socket.write(text);
  return gathered(socket, enough);
}

async function gathered(socket: Socket, enough?: RegExp): Promise<string> {
  let received = "";
  socket.on("data", (bytes) => {
    received += bytes.toString("latin1");
    if (enough?.test(received)) socket.destroy();
  });
  await once(socket, "close");
  return received;
}

function post(path: string, headers: string, body: string): string {
  return `POST ${path} HTTP/1.1\r\nHost: x\r\n${headers}\r\n\r\n${body}`;
}

const submit = "/api/dtmsvr/submit";

describe("a request", () => {
  it("whose content-length is above the limit is 413 at once, none of its body is waited for", async () => {
    const { port } = await listening();
    const reply = await talk(port, post(submit, "Content-Length: 4194305", ""), /\r\n\r\n\{.*\}/);
    expect(reply).toMatch(/^HTTP\/1\.1 413 /);
    expect(reply).toMatch(/"message":"body/);
  });

  it("that sends more than the limit in chunks is cut off with 413, not buffered to its end", async () => {
    const { port } = await listening();
    const chunk = `10000\r\n${"x".repeat(0x10000)}\r\n`;
    const flood = async () => {
      const socket = connect(port, "127.0.0.1");
      socket.on("error", () => {});
      socket.write(post(submit, "Transfer-Encoding: chunked", ""));
      let sent = 0;
      const pump = () => {
        while (!socket.destroyed && sent < 1024) {
          sent++;
          if (!socket.write(chunk)) return void socket.once("drain", pump);
        }
      };
      pump();
      // Who goes on writing may find the connection gone before it has read why: TCP gives no better promise.
      const reply = await gathered(socket, /\r\n\r\n\{.*\}/).catch((cut: Error) => cut.message);
      expect(sent).toBeLessThan(1024); // of 64 MiB
      return reply;
    };
    await expect.poll(flood, { timeout: 10_000 }).toMatch(/^HTTP\/1\.1 413 /);
  });

  it("that never ends is 408 at its deadline, chunked or with a content-length too long (bad-inputs 5, 6)", async () => {
    const { port } = await listening({ http: { requestTimeoutMs: 300 } });
    for (const head of ["Transfer-Encoding: chunked", "Content-Length: 500"]) {
      const reply = await talk(port, post(submit, head, head.startsWith("T") ? "5\r\nhello\r\n" : "{"));
      expect(reply, head).toMatch(/^HTTP\/1\.1 408 /);
      expect(reply).toMatch(/"message":"request/);
    }
    expect(await talk(port, "POST /api/dtmsvr/submit HTTP/1.1\r\nHost: x\r\nX-")).toMatch(/^HTTP\/1\.1 408 /);
  });

  it("whose content-length is too short is 400, what is left over ends the connection (bad-inputs 6)", async () => {
    const { c, port } = await listening();
    const gid = freshGid();
    const body = JSON.stringify(sagaBody(gid));
    const reply = await talk(port, post(submit, "Content-Length: 20", body));
    expect(reply.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 400", "HTTP/1.1 400"]);
    expect(reply).toMatch(/"message":"body: malformed JSON[\s\S]*"message":"request: malformed HTTP/);
    expect(await c.stored(gid)).toBeUndefined();
  });

  it("that is no HTTP, or has too many headers, is refused without harm to others", async () => {
    const { port } = await listening();
    expect(await talk(port, "hello there\r\n\r\n")).toMatch(/^HTTP\/1\.1 400 /);
    expect(await talk(port, Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]))).toMatch(/^HTTP\/1\.1 400 /);
    expect(await talk(port, post(submit, `X-Big: ${"x".repeat(20_000)}`, ""))).toMatch(/^HTTP\/1\.1 431 /);
    const smuggled = post(submit, "Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n");
    expect(await talk(port, smuggled)).toMatch(/^HTTP\/1\.1 400 /);
    const good = post("/api/ping", "Content-Length: 0\r\nConnection: close", "");
    expect(await talk(port, good)).toMatch(/^HTTP\/1\.1 200 /);
  });

  it("of prepareWorkflow that no route gets to see is refused with a text as transaction, too (D20)", async () => {
    const { port } = await listening({ http: { requestTimeoutMs: 200 } });
    const path = "/api/dtmsvr/prepareWorkflow";
    for (const [status, headers] of [
      [408, "Content-Length: 100"],
      [431, `X-Big: ${"x".repeat(20_000)}`],
      [400, "Content-Length: 5\r\nTransfer-Encoding: chunked"],
    ] as const) {
      const reply = await talk(port, post(path, headers, ""));
      expect(reply).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
      const body = JSON.parse(reply.slice(reply.indexOf("\r\n\r\n"))) as Record<string, unknown>;
      expect(body.transaction).toBe(body.message);
    }
  });

  it("with bytes that are not ASCII in its query string is 400", async () => {
    const { port, c } = await listening();
    for (const bytes of [Buffer.from([0xff]), Buffer.from("é")]) {
      const line = [Buffer.from("GET /api/dtmsvr/subscribe?url=http://a.test/&topic="), bytes];
      const rest = Buffer.from(" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
      expect(await talk(port, Buffer.concat([...line, rest]))).toMatch(/^HTTP\/1\.1 400 /);
    }
    expect((await c.get("queryKV?cat=topics")).json.kv).toEqual([]);
  });

  it("is answered itself when rubbish comes behind it, which is refused after that, not in its place", async () => {
    const { port } = await listening();
    const body = JSON.stringify(sagaBody(freshGid()));
    const reply = await talk(port, `${post(submit, `Content-Length: ${body.length}`, body)}rubbish\r\n\r\n`);
    expect(reply).toMatch(/^HTTP\/1\.1 200 [\s\S]*"SUCCESS"\}HTTP\/1\.1 400 [\s\S]*\}$/);
  });

  it("keeps its connection for the next one", async () => {
    const { port } = await listening();
    const body = JSON.stringify(sagaBody(freshGid()));
    const one = post(submit, `Content-Length: ${body.length}`, body);
    const last = post("/api/ping", "Content-Length: 0\r\nConnection: close", "");
    const reply = await talk(port, one + one + last);
    expect(reply.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 200", "HTTP/1.1 200"]);
  });
});

describe("a wait for the result", () => {
  const slow = "http://busi.test/slow";

  /** A submit whose participant answers when the test says so. */
  async function held(over: Over = {}) {
    const { c, port } = await listening(over);
    const gid = freshGid();
    let answer: () => void = () => {};
    const answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    c.participants.scripts.set(slow, async () => {
      await answered;
      return { outcome: "success", detail: "" };
    });
    const body = JSON.stringify(sagaBody(gid, { steps: [{ action: slow }], wait_result: true }));
    const client = request({ port, host: "127.0.0.1", method: "POST", path: submit, agent: false });
    client.on("error", () => {});
    client.end(body);
    await expect.poll(() => c.participants.of(gid).length, patient).toBe(1);
    return { c, gid, client, answer };
  }

  it("ends with the client's connection; the transaction goes on (D1)", async () => {
    const { c, gid, client, answer } = await held();
    const gone = new Promise((resolve) => client.once("close", resolve));
    client.destroy();
    await gone;
    expect((await c.stored(gid))?.status).toBe("submitted");
    answer();
    await c.until(gid, "succeed");
    expect(c.participants.of(gid)).toEqual(["action 01"]);
  });

  it("is answered by a server that stops, with the result when it comes in time", async () => {
    const { c, client, answer } = await held();
    const response = once(client, "response");
    const closed = c.http.close();
    answer();
    const [reply] = await response;
    expect(reply.statusCode).toBe(200);
    reply.resume();
    await closed;
  });

  it("is told ONGOING when it does not, within the time to drain, and nothing is lost", async () => {
    const { c, gid, client, answer } = await held({ http: { drainMs: 100 } });
    const response = once(client, "response");
    const closed = c.http.close();
    const [reply] = await response;
    expect([reply.statusCode, reply.headers["retry-after"]]).toEqual([425, "1"]);
    reply.resume();
    await closed;
    answer();
    await c.until(gid, "succeed");
  });
});

describe("a stop", () => {
  it("takes no new connections and ends idle ones at once", async () => {
    const { c, port } = await listening();
    const idle = connect(port, "127.0.0.1");
    idle.write("GET /api/ping HTTP/1.1\r\nHost: x\r\n\r\n");
    await once(idle, "data");
    const ended = once(idle, "close");
    const began = Date.now();
    await c.http.close();
    await ended;
    expect(Date.now() - began).toBeLessThan(2000);
    const late = connect(port, "127.0.0.1");
    const [error] = await once(late, "error");
    expect(error.code).toBe("ECONNREFUSED");
  });
});

describe("memory for bodies that arrive", () => {
  const half = (port: number) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write(`POST /api/dtmsvr/submit HTTP/1.1\r\nHost: x\r\nContent-Length: 60001\r\n\r\n${"x".repeat(60_000)}`);
    return socket;
  };

  it("is limited for all clients together, and free again when they have gone or are served", async () => {
    const { c, port } = await listening({ arrivingBytes: 100_000 });
    const first = half(port);
    await expect.poll(() => c.arriving.bytes, patient).toBe(60_000);
    const refused = await gathered(half(port));
    expect(refused).toMatch(/^HTTP\/1\.1 503 /);
    expect(refused).toMatch(/retry-after: 1/i);
    expect((await c.post("submit", sagaBody(freshGid()))).status).toBe(200);
    first.destroy();
    await expect.poll(() => c.arriving.bytes, patient).toBe(0);
    const second = half(port);
    second.write("x");
    expect(await gathered(second, /\r\n\r\n/)).toMatch(/^HTTP\/1\.1 400 /);
    await c.post("nowhere", "x".repeat(1000));
    await c.post("submit", "x".repeat(1000), { "content-length": "5" });
    expect(c.arriving.bytes).toBe(0);
  });

  it("is held by a body until its request is answered", async () => {
    const c = coordinator({ arrivingBytes: 100_000 });
    opened.push(c);
    let answer = (_: Answer) => {};
    c.participants.script = () => new Promise((resolve) => (answer = resolve));
    const large = (gid: string) => sagaBody(gid, { payloads: ["x".repeat(60_000)], wait_result: true });
    const waiting = c.post("submit", large(freshGid()));
    await expect.poll(() => c.participants.inFlight, patient).toBe(1);
    const second = await c.post("submit", large(freshGid()));
    expect([second.status, second.headers["retry-after"]]).toEqual([503, "1"]);
    answer({ outcome: "success", detail: "" });
    expect((await waiting).status).toBe(200);
    expect(c.arriving.bytes).toBe(0);
  });
});
