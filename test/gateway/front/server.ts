/**
 * Servers with a few small routes, with our front or by the library alone, and conversations with them that do not
 * depend on timing: the next piece is sent when the last one was read and what it caused has arrived.
 */
import { connect, type Socket } from "node:net";
import { systemClock } from "../../../src/clock.js";
import { type Refusal, type Reply, refused } from "../../../src/core/input.js";
import { Arriving } from "../../../src/gateway/arriving.js";
import { refusalAnswer, valueAnswer } from "../../../src/gateway/http/answer.js";
import type { HttpRequest, Route } from "../../../src/gateway/http/route.js";
import { createHttpServer, type HttpSettings, httpSettings } from "../../../src/gateway/http/server.js";
import { invalid } from "../../../src/wire/invalid.js";
import { inputLimits } from "../../../src/wire/limits.js";

/** Largest body that these servers take. */
export const bodyBytes = 100_000;

const overloaded: Refusal = { kind: "refused", code: "OVERLOADED", message: "ünbearable: äöü €", retryAfterS: 7 };

const hot = (path: string, handle: Route["handle"], more: Partial<Route> = {}): Route => {
  return { methods: ["POST"], path, name: path.slice(1), hot: true, handle, ...more };
};

/** What an answer shows of its request: all bytes of the body. */
const seen = ({ body, query }: HttpRequest) =>
  valueAnswer({ bytes: body.length, text: Buffer.from(body).toString("latin1"), query: query("q") });

function routesOf(hold: (signal: AbortSignal) => Promise<Reply>): readonly Route[] {
  return [
    hot("/hot/echo", async (request) => seen(request)),
    hot("/hot/now", (request) => seen(request)),
    hot("/hot/bad", () => {
      throw invalid("body", "anything", "nothing");
    }),
    hot("/hot/workflow", async () => refusalAnswer(refused("NOT_FOUND", "no"), () => ({ transaction: "no" }))),
    hot("/hot/late", async () => refusalAnswer(overloaded)),
    hot("/hot/broken", async () => ({ status: 200, headers: { "x-a": "b\r\nx-c: d" }, body: "" })),
    hot("/hot/held", async (request) => {
      const reply = await request.waiting(hold);
      return reply.kind === "refused" ? refusalAnswer(reply) : seen(request);
    }),
    { methods: ["GET", "POST"], path: "/cold/echo", name: "cold", handle: async (request) => seen(request) },
  ];
}

/** A server, and who answered how much. */
export interface Served {
  readonly port: number;
  readonly arriving: Arriving;
  /** What was counted: route, accepted or not, status. */
  readonly counted: string[];
  /** What the routes were asked, bodies included. */
  readonly asked: string[];
  /** Requests that the library got to see. */
  readonly library: () => number;
  readonly logged: string[];
  /** The server's side of the connection that was opened last. */
  readonly lastSocket: () => Socket | undefined;
  /** Calls of `/hot/held` that are not answered. */
  readonly held: { readonly signal: AbortSignal; answer(reply: Reply): void }[];
  close(): Promise<void>;
}

/** A listening server. */
export async function served(
  front: boolean,
  settings: Partial<HttpSettings> = {},
  arrivingBytes = 1 << 28,
  bodyBytesMax = bodyBytes,
): Promise<Served> {
  const counted: string[] = [];
  const asked: string[] = [];
  const logged: string[] = [];
  const arriving = new Arriving(arrivingBytes);
  const held: { signal: AbortSignal; answer(reply: Reply): void }[] = [];
  const log = (event: string) => void logged.push(event);
  const routes = routesOf((signal) => new Promise<Reply>((answer) => void held.push({ signal, answer })));
  const noting = routes.map((route) => ({
    ...route,
    handle(request: HttpRequest) {
      asked.push(`${route.path} ${Buffer.from(request.body).toString("latin1")}`);
      return route.handle(request);
    },
  }));
  const server = createHttpServer(noting, {
    limits: { ...inputLimits, bodyBytes: bodyBytesMax },
    arriving,
    log: { info: log, warn: log, error: log },
    clock: systemClock(),
    meter: (api) => ({ served: (ok, _ms, status) => void counted.push(`${api} ${ok} ${status}`) }),
    settings: { ...httpSettings, ...settings, front },
  });
  let seenByLibrary = 0;
  let last: Socket | undefined;
  server.app.server.on("request", () => seenByLibrary++);
  server.app.server.on("connection", (socket: Socket) => {
    last = socket;
  });
  const { port } = await server.listen({ host: "127.0.0.1", port: 0 });
  return {
    ...{ port, arriving, counted, asked, logged, held },
    library: () => seenByLibrary,
    lastSocket: () => last,
    close: () => server.close(),
  };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Waits for a condition, turn by turn. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  for (const deadline = Date.now() + 10_000; !holds(); await turn())
    if (Date.now() > deadline) throw new Error(`not within 10 s: ${what}`);
}

/**
 * Everything that a server says to these pieces, the dates of its answers aside; ended by the server, or by the client
 * after its last piece. When it is told, the server is through with the connection, too.
 */
export async function conversation(server: Served, pieces: readonly Buffer[]): Promise<string> {
  const before = server.lastSocket();
  const socket = connect({ port: server.port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
  let [received, over] = ["", false];
  socket.on("data", (bytes) => {
    received += bytes.toString("latin1");
  });
  socket.on("error", () => {});
  socket.on("end", () => {
    over = true;
  });
  socket.on("close", () => {
    over = true;
  });
  await until(() => server.lastSocket() !== before, "accepted");
  const other = server.lastSocket() as Socket;
  const settled = () => over || other.destroyed || other.bytesWritten === received.length;
  let sent = 0;
  for (const piece of pieces) {
    socket.write(piece);
    sent += piece.length;
    await until(() => over || other.destroyed || other.bytesRead >= sent, "read");
    for (let i = 0; i < 6; i++) await turn();
    await until(settled, "answers arrived");
    if (other.destroyed) await until(() => over, "end arrived");
    if (over) break;
  }
  socket.end();
  await until(() => over, "ended by the server");
  socket.destroy();
  await until(() => other.closed, "closed by the server");
  await turn();
  return received.replace(/\r\nDate: [^\r]*/g, "");
}
