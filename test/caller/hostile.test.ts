/**
 * Participants that are late, endless, rude or gone: each is an answer within the deadline, nothing is sent twice and
 * nothing is left behind (bad-inputs 62 and 63).
 */
import type { Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import type { Exchange } from "../../src/caller/exchange.js";
import { callOf, callOver, clients, onRequest, Participant, response, until } from "./participant.js";

describe.each(clients)("a sick participant, called by %s", (_, open) => {
  const opened: (Exchange | Participant)[] = [];
  afterEach(async () => {
    for (const each of opened.splice(0)) await ("close" in each ? each.close() : each.stop());
  });
  const client = (...changed: Parameters<typeof open>) => {
    const exchange = open(...changed);
    opened.push(exchange);
    return exchange;
  };
  const participant = async (script: (socket: Socket, nth: number) => void) => {
    const started = await Participant.start(script);
    opened.push(started);
    return started;
  };
  /** A participant that answers each request with these bytes and then, if told, ends the connection. */
  const saying = (bytes: string, end = false) =>
    participant((socket) =>
      onRequest(socket, () => (end ? socket.end(bytes, "latin1") : socket.write(bytes, "latin1"))),
    );

  /** What is sent, whether the connection is closed after it, part of the reason if any. */
  const unknowns: readonly (readonly [string, string, boolean])[] = [
    ["nothing at all", "", true],
    ["no HTTP", "SSH-2.0-OpenSSH_9.2\r\n", false],
    ["garbage", "\0\x01\x02\xff\xfe".repeat(100), false],
    ["half a status line", "HTTP/1.1 2", true],
    ["half a header", "HTTP/1.1 200 OK\r\nContent-Le", true],
    ["half a body", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345", true],
    ["half a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n12345", true],
    ["no last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n", true],
    ["a broken chunk size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n12345\r\n0\r\n\r\n", false],
    ["half the body of a 409", "HTTP/1.1 409 Conflict\r\nContent-Length: 10\r\n\r\n12345", true],
    ["a length that is no number", "HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n1234567890", false],
    ["a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", false],
    ["two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", false],
    ["length and chunks", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false],
    ["a switch of protocol", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\n", false],
    ["an encoded body", response(200, "FAILURE", ["Content-Encoding: gzip"]), false],
    ["endless headers", `HTTP/1.1 200 OK\r\n${"X-A: b\r\n".repeat(100_000)}\r\n`, false],
    ["one endless header", `HTTP/1.1 200 OK\r\nX-A: ${"b".repeat(1_000_000)}\r\n\r\n`, false],
  ];
  for (const [name, bytes, end] of unknowns)
    it(`that sends ${name} gives unknown`, async () => {
      const { url } = await saying(bytes, end);
      const answer = await callOver(client(), callOf({ url, timeoutMs: 1500 }));
      expect(answer.outcome).toBe("unknown");
      expect(answer.detail.length).toBeGreaterThan(5);
    });

  /** Odd but legal. */
  const successes: readonly (readonly [string, string, boolean])[] = [
    ["a body until the end of the connection", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall well", true],
    ["HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nall well", true],
    ["chunks with extensions and trailers", chunked, false],
    ["no reason phrase", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", false],
    ["the same length twice in one line", "HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n", false],
    ["hints before the answer", `HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n${response(200, "well")}`, false],
  ];
  for (const [name, bytes, end] of successes)
    it(`that sends ${name} gives success`, async () => {
      const { url } = await saying(bytes, end);
      expect(await callOver(client(), callOf({ url }))).toMatchObject({ outcome: "success" });
    });

  it("that sends one byte at a time is understood", async () => {
    const { url } = await participant((socket) =>
      onRequest(socket, () => {
        const next = (at: number) => {
          if (at < chunked.length) socket.write(chunked.charAt(at), () => setImmediate(next, at + 1));
        };
        next(0);
      }),
    );
    expect(await callOver(client(), callOf({ url }))).toEqual({ outcome: "success", detail: "well done" });
  });

  it("that never answers gives unknown at the deadline", async () => {
    const { url } = await saying("");
    const answer = await endsWithin(callOver(client(), callOf({ url, timeoutMs: 200 })), 190, 1000);
    expect(answer).toEqual({ outcome: "unknown", detail: "no answer within 200 ms", timedOut: true });
  });

  it("that sends headers drop by drop gives unknown at the deadline", async () => {
    const { url } = await participant((socket) => drip(socket, "HTTP/1.1 200 OK\r\n", "X-A: b\r\n"));
    await endsWithin(callOver(client(), callOf({ url, timeoutMs: 200 })), 190, 1000);
  });

  it("that sends its body drop by drop gives unknown at the deadline", async () => {
    const { url } = await participant((socket) =>
      drip(socket, "HTTP/1.1 409 No\r\nContent-Length: 1000000\r\n\r\n", "x"),
    );
    await endsWithin(callOver(client(), callOf({ url, timeoutMs: 200 })), 190, 1000);
  });

  it("that never ends its body is cut at the limit, long before the deadline, and its connection closed", async () => {
    const piece = "x".repeat(65_536);
    const flood = (socket: Socket) => {
      while (socket.writable && socket.write(`10000\r\n${piece}\r\n`));
      socket.once("drain", () => flood(socket));
    };
    const server = await participant((socket) =>
      onRequest(socket, () => {
        socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        flood(socket);
      }),
    );
    const answer = await callOver(client(), callOf({ url: server.url, timeoutMs: 10_000 }));
    expect(answer.outcome).toBe("unknown");
    expect(answer.detail).toContain("the body is too long");
    await until("the connection is closed", () => server.sockets.size === 0);
  });

  it("that refuses the connection gives unknown with the reason", async () => {
    const server = await Participant.start(() => {});
    const { url } = server;
    await server.stop();
    const answer = await callOver(client(), callOf({ url }));
    expect(answer.outcome).toBe("unknown");
    expect(answer.detail).toContain("ECONNREFUSED");
  });

  it("that resets the connection gives unknown", async () => {
    const { url } = await participant((socket) => onRequest(socket, () => socket.resetAndDestroy()));
    expect((await callOver(client(), callOf({ url }))).outcome).toBe("unknown");
  });

  it("whose name nobody knows gives unknown", async () => {
    const answer = await callOver(client(), callOf({ url: "http://nobody.invalid/", timeoutMs: 5000 }));
    expect(answer.outcome).toBe("unknown");
  });

  it("is left alone within 50 ms of the signal, and its connection closed", async () => {
    const server = await saying("");
    const controller = new AbortController();
    const pending = callOver(client(), callOf({ url: server.url, timeoutMs: 30_000 }), { signal: controller.signal });
    await until("the call is on the wire", () => server.text().includes("\r\n\r\n"));
    const before = performance.now();
    controller.abort();
    expect((await pending).outcome).toBe("unknown");
    expect(performance.now() - before).toBeLessThan(50);
    await until("the connection is closed", () => server.sockets.size === 0);
  });

  it("is not called at all when the signal is given already", async () => {
    const server = await saying(response(200));
    const answer = await callOver(client(), callOf({ url: server.url }), { signal: AbortSignal.abort() });
    expect(answer.outcome).toBe("unknown");
    expect(server.text()).toBe("");
  });

  it("that hangs holds no more than the allowed connections, and those who wait keep their deadline", async () => {
    const server = await saying("");
    const exchange = client({ connectionsPerOrigin: 2 });
    const call = (timeoutMs: number) => callOver(exchange, callOf({ url: server.url, timeoutMs }));
    const hanging = [call(3000), call(3000)];
    await until("two calls are on the wire", () => server.received.filter((chunks) => chunks.length > 0).length === 2);
    const waiting = await Promise.all([1, 2, 3, 4].map(() => endsWithin(call(200), 190, 1500)));
    expect(waiting.map(({ outcome }) => outcome)).toEqual(Array(4).fill("unknown"));
    expect(server.received).toHaveLength(2);
    expect((await Promise.all(hanging)).map(({ outcome }) => outcome)).toEqual(["unknown", "unknown"]);
  });

  it("does not stand in the way of calls to another one", async () => {
    const [sick, healthy] = [await saying(""), await saying(response(200))];
    const exchange = client({ connectionsPerOrigin: 1 });
    const hanging = callOver(exchange, callOf({ url: sick.url, timeoutMs: 1000 }));
    for (let i = 0; i < 20; i++)
      expect((await callOver(exchange, callOf({ url: healthy.url }))).outcome).toBe("success");
    expect((await hanging).outcome).toBe("unknown");
  });

  it("that gives its connections back is called over them again", async () => {
    const server = await saying(response(200, "well"));
    const exchange = client();
    for (let i = 0; i < 50; i++)
      expect((await callOver(exchange, callOf({ url: server.url }))).outcome).toBe("success");
    expect(server.received.length).toBeLessThanOrEqual(2);
    expect(
      server.received
        .map((_chunks, nth) => server.text(nth))
        .join("")
        .match(/POST /g),
    ).toHaveLength(50);
  });

  it("that asks for the connection's end is called over a new one", async () => {
    const server = await saying(response(200, "well", ["Connection: close"]));
    const exchange = client();
    for (let i = 0; i < 5; i++) expect((await callOver(exchange, callOf({ url: server.url }))).outcome).toBe("success");
    expect(server.received).toHaveLength(5);
  });

  it("that sends more than its answer poisons no later call", async () => {
    let nth = 0;
    const server = await participant((socket) =>
      onRequest(socket, () => socket.write(nth++ === 0 ? response(200) + response(409, "not yours") : response(200))),
    );
    const exchange = client();
    const first = await callOver(exchange, callOf({ url: server.url }));
    await new Promise((resolve) => setTimeout(resolve, 20));
    const second = await callOver(exchange, callOf({ url: server.url }));
    expect([first.outcome, second.outcome]).toEqual(["success", "success"]);
  });

  it.each(["{}", ""])(
    "that closes an idle connection as the next call (body '%s') comes: never sent twice",
    async (text) => {
      const payload = Buffer.from(text);
      const server = await participant((socket, nth) => {
        let requests = 0;
        onRequest(socket, () => {
          requests += 1;
          if (nth === 0 && requests === 2) socket.destroy();
          else socket.write(response(200));
        });
      });
      const exchange = client({ connectionsPerOrigin: 1 });
      expect((await callOver(exchange, callOf({ url: server.url }))).outcome).toBe("success");
      expect((await callOver(exchange, callOf({ url: server.url, gid: "second", payload }))).outcome).toBe("unknown");
      expect((await callOver(exchange, callOf({ url: server.url, gid: "third" }))).outcome).toBe("success");
      const all = server.received.map((_chunks, nth) => server.text(nth)).join("");
      expect(all.match(/gid=second/g)).toHaveLength(1);
    },
  );

  it("that closed an idle connection in time is simply called over a new one", async () => {
    const server = await participant((socket) =>
      onRequest(socket, () => {
        socket.write(response(200));
        setImmediate(() => socket.end());
      }),
    );
    const exchange = client();
    for (let i = 0; i < 5; i++) {
      expect((await callOver(exchange, callOf({ url: server.url }))).outcome).toBe("success");
      await until("the client has seen the end", () => server.sockets.size === 0);
    }
  });

  it("is not kept connected longer than the idle time", async () => {
    const server = await saying(response(200));
    expect((await callOver(client({ idleMs: 1100 }), callOf({ url: server.url }))).outcome).toBe("success");
    await until("the idle connection is closed", () => server.sockets.size === 0);
  });
});

const chunked =
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nwell\r\n5\r\n done\r\n0\r\nX-Trailer: 1\r\n\r\n";

/** Writes `start` and then `drop` every 20 ms for as long as the other side listens. */
function drip(socket: Socket, start: string, drop: string): void {
  onRequest(socket, () => {
    socket.write(start);
    const timer = setInterval(() => socket.write(drop), 20);
    socket.once("close", () => clearInterval(timer));
  });
}

/** The answer, which must be unknown and come between the two times. */
async function endsWithin<T extends { readonly outcome: string }>(pending: Promise<T>, fromMs: number, toMs: number) {
  const before = performance.now();
  const answer = await pending;
  const took = performance.now() - before;
  expect(answer.outcome).toBe("unknown");
  expect(took).toBeGreaterThan(fromMs);
  expect(took).toBeLessThan(toMs);
  return answer;
}
