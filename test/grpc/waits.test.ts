/**
 * What a method of the gRPC server learns of its client, and what bounds all clients together: deadlines,
 * cancellations, the server's stop, memory for messages that arrive in pieces.
 */
import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect, type IncomingHttpHeaders } from "node:http2";
import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "../../src/clock.js";
import { refused } from "../../src/core/input.js";
import { Arriving } from "../../src/gateway/arriving.js";
import { dtmMethods } from "../../src/gateway/grpc/dtm.js";
import type { CallContext, Methods } from "../../src/gateway/grpc/method.js";
import { GrpcServer, grpcSettings } from "../../src/gateway/grpc/server.js";
import type { Operations } from "../../src/gateway/operations.js";
import { frameOf } from "../../src/wire/grpc.js";
import { inputLimits } from "../../src/wire/limits.js";
import { ProtobufWriter } from "../../src/wire/protobuf.js";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

interface Opened {
  readonly server: GrpcServer;
  readonly session: ClientHttp2Session;
  readonly finished: string[];
}

/** A server of these methods and a client's connection to it. */
async function open(methods: Methods, arrivingBytes = 1 << 20): Promise<Opened> {
  const finished: string[] = [];
  const server = new GrpcServer(
    {
      methods,
      messageBytesMax: 4 << 20,
      arriving: new Arriving(arrivingBytes),
      requestTimeoutMs: 300,
      refusalOf: () => refused("INTERNAL", "unexpected"),
      served: (name, isOk) => finished.push(`${name} ${isOk}`),
    },
    { ...grpcSettings, drainMs: 100 },
    systemClock(),
  );
  const { port } = await server.listen({ host: "127.0.0.1", port: 0 });
  closing.push(() => server.close());
  const session = connect(`http://127.0.0.1:${port}`);
  session.on("error", () => {});
  closing.push(() => session.destroy());
  return { server, session, finished };
}

function begin(session: ClientHttp2Session, path: string, timeout = "10S"): ClientHttp2Stream {
  const headers = { ":method": "POST", ":path": path, "content-type": "application/grpc", "grpc-timeout": timeout };
  const stream = session.request(headers);
  stream.on("error", () => {});
  stream.resume();
  return stream;
}

/** The status with which the server ends the call. */
async function statusOf(stream: ClientHttp2Stream): Promise<string> {
  const headers: IncomingHttpHeaders = {};
  stream.on("response", (more) => Object.assign(headers, more));
  stream.on("trailers", (more) => Object.assign(headers, more));
  await once(stream, "close");
  return String(headers["grpc-status"]);
}

/** A method that never ends by itself; gives the context of its call. */
function hanging() {
  let give: (context: CallContext) => void = () => {};
  const called = new Promise<CallContext>((resolve) => {
    give = resolve;
  });
  const methods: Methods = new Map([
    [
      "/t.T/Hang",
      {
        kind: "unary",
        name: "hang",
        handle: (_message, context) => {
          context.signal; // who looks at it is one who waits
          give(context);
          return new Promise(() => {});
        },
      },
    ],
  ]);
  return { methods, called };
}

describe("a method of the gRPC server", () => {
  it("learns that its client's deadline has passed", async () => {
    const { methods, called } = hanging();
    const { session, finished } = await open(methods);
    const stream = begin(session, "/t.T/Hang", "100m");
    stream.end(frameOf(Buffer.alloc(0)));
    const { signal } = await called;
    expect(signal.aborted).toBe(false);
    expect(await statusOf(stream)).toBe("4");
    expect(signal.aborted).toBe(true);
    expect(finished).toEqual(["hang false"]);
  });

  it("learns that its client has gone", async () => {
    const { methods, called } = hanging();
    const { session } = await open(methods);
    const stream = begin(session, "/t.T/Hang");
    stream.end(frameOf(Buffer.alloc(0)));
    const { signal } = await called;
    const aborted = once(signal, "abort");
    stream.close(8);
    await aborted;
  });

  it("learns that the server stops; when it says nothing then, its client is told to ask again (S1)", async () => {
    const { methods, called } = hanging();
    const { server, session } = await open(methods);
    const stream = begin(session, "/t.T/Hang");
    stream.end(frameOf(Buffer.alloc(0)));
    const { signal } = await called;
    const status = statusOf(stream);
    await server.close();
    expect(await status).toBe("14");
    expect(signal.aborted).toBe(true);
  });

  it("is not called for a message that does not arrive in time", async () => {
    const { methods } = hanging();
    const { session } = await open(methods);
    const stream = begin(session, "/t.T/Hang");
    stream.write(frameOf(Buffer.alloc(100)).subarray(0, 50));
    expect(await statusOf(stream)).toBe("4");
  });

  it("of DTM's service hands the wait to submit and abort only where a client waits", async () => {
    const signals: (AbortSignal | undefined)[] = [];
    const submit = async (_body: unknown, signal?: AbortSignal) => {
      signals.push(signal);
      return { kind: "accepted" } as const;
    };
    const { session } = await open(dtmMethods({ submit } as Partial<Operations> as Operations, inputLimits));
    for (const waits of [0, 1]) {
      const stream = begin(session, "/dtmgimp.Dtm/Submit");
      stream.end(
        frameOf(new ProtobufWriter().text(1, "g").bytes(3, new ProtobufWriter().uint(1, waits).finish()).finish()),
      );
      expect(await statusOf(stream)).toBe("0");
    }
    expect(signals[0]).toBeUndefined();
    expect(signals[1]).toBeInstanceOf(AbortSignal);
  });
});

describe("memory for messages that arrive", () => {
  it("is held by a whole message until it is answered", async () => {
    const answers: (() => void)[] = [];
    const echo: Methods = new Map([
      [
        "/t.T/Echo",
        {
          kind: "unary",
          name: "echo",
          handle: (message) => new Promise((done) => answers.push(() => done({ message }))),
        },
      ],
    ]);
    const { session } = await open(echo, 100_000);
    const call = () => {
      const stream = begin(session, "/t.T/Echo");
      stream.end(frameOf(Buffer.alloc(60_000)));
      return stream;
    };
    const first = call();
    await expect.poll(() => answers.length).toBe(1);
    expect(await statusOf(call())).toBe("8");
    answers[0]!();
    expect(await statusOf(first)).toBe("0");
    const third = call();
    await expect.poll(() => answers.length).toBe(2);
    answers[1]!();
    expect(await statusOf(third)).toBe("0");
  });

  it("is limited for all clients together, and free again when they have gone or are served", async () => {
    const echo: Methods = new Map([
      ["/t.T/Echo", { kind: "unary", name: "echo", handle: async (message) => ({ message }) }],
    ]);
    const { session, finished } = await open(echo, 100_000);
    const half = () => {
      const stream = begin(session, "/t.T/Echo", "10S");
      stream.write(frameOf(Buffer.alloc(60_000)).subarray(0, 50_000));
      return stream;
    };
    const first = half();
    const whole = begin(session, "/t.T/Echo");
    whole.end(frameOf(Buffer.alloc(1000)));
    expect(await statusOf(whole)).toBe("0");
    const second = half();
    const third = half();
    expect(await Promise.race([second, third].map(statusOf))).toBe("8");
    for (const stream of [first, second, third]) stream.close(8);
    await expect.poll(() => finished.length).toBe(4);
    for (let i = 0; i < 5; i++) {
      const stream = begin(session, "/t.T/Echo");
      stream.end(frameOf(Buffer.alloc(90_000)));
      expect(await statusOf(stream)).toBe("0");
    }
  });
});
