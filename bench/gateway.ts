/**
 * What it costs the coordinator's process to receive one `POST /api/dtmsvr/submit` and answer it: the library alone,
 * and our front before it, each in a process of its own. The route does nothing: only the receiving is measured.
 *
 *   npx tsx bench/gateway.ts [clients [seconds]]
 *
 * Prints requests per second and the server's CPU time per request. Rounds take turns, so that load of the machine hits
 * both alike; the best round of each counts. The requests come from this process, whose cost does not count.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { systemClock } from "../src/clock.js";
import { Arriving } from "../src/gateway/arriving.js";
import { success } from "../src/gateway/http/answer.js";
import { createHttpServer, httpSettings } from "../src/gateway/http/server.js";
import { inputLimits } from "../src/wire/limits.js";

const rounds = 5;
const path = "/api/dtmsvr/submit";
const body = JSON.stringify({
  gid: "neBC3bG5NLBqWA8b4kkm8R",
  trans_type: "saga",
  steps: ["TransOut", "TransIn"].map((name) => ({
    action: `http://127.0.0.1:8081/api/busi/${name}`,
    compensate: `http://127.0.0.1:8081/api/busi/${name}Revert`,
  })),
  payloads: ['{"amount":30}', '{"amount":30}'],
});
const request = Buffer.from(
  `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:36789\r\nUser-Agent: Go-http-client/1.1\r\n` +
    `Content-Length: ${body.length}\r\nContent-Type: application/json\r\nAccept-Encoding: gzip\r\n\r\n${body}`,
);

/** A server that answers whatever is submitted; tells its CPU time whenever it is asked. */
async function serve(front: boolean): Promise<void> {
  const log = { info: () => {}, warn: () => {}, error: () => {} };
  const server = createHttpServer(
    [{ methods: ["POST"], path, name: "submit", hot: true, handle: async () => success }],
    {
      limits: inputLimits,
      arriving: new Arriving(1 << 28),
      log,
      clock: systemClock(),
      meter: () => ({ served: () => {} }),
      settings: { ...httpSettings, front },
    },
  );
  const { port } = await server.listen({ host: "127.0.0.1", port: 0 });
  process.on("message", () => process.send?.(process.cpuUsage()));
  process.send?.(port);
}

interface Server {
  readonly child: ChildProcess;
  readonly sockets: readonly Socket[];
}

async function start(kind: string, clients: number): Promise<Server> {
  const child = fork(fileURLToPath(import.meta.url), [kind], { execArgv: process.execArgv });
  const [port] = (await once(child, "message")) as [number];
  const sockets = Array.from({ length: clients }, () => connect({ port, host: "127.0.0.1", noDelay: true }));
  return { child, sockets };
}

async function cpuUs({ child }: Server): Promise<number> {
  child.send("cpu");
  const [{ user, system }] = (await once(child, "message")) as [NodeJS.CpuUsage];
  return user + system;
}

/** Each client sends the next request when it has the answer to the last; an answer is one packet here. */
async function measure(server: Server, ms: number): Promise<{ perSecond: number; cpuUs: number }> {
  const [started, cpu] = [performance.now(), await cpuUs(server)];
  const counts = await Promise.all(server.sockets.map((socket) => closedLoop(socket, started + ms)));
  const requests = counts.reduce((sum, count) => sum + count, 0);
  const seconds = (performance.now() - started) / 1000;
  return { perSecond: requests / seconds, cpuUs: ((await cpuUs(server)) - cpu) / requests };
}

function closedLoop(socket: Socket, endMs: number): Promise<number> {
  return new Promise((resolve, reject) => {
    let count = 0;
    const next = (answer: Buffer) => {
      if (answer.subarray(9, 12).toString() !== "200") return reject(new Error(`answered ${answer.toString()}`));
      count += 1;
      if (performance.now() < endMs) return socket.write(request);
      socket.off("data", next);
      return resolve(count);
    };
    socket.on("data", next);
    socket.write(request);
  });
}

async function main(clients: number, seconds: number): Promise<void> {
  const best = new Map<string, { perSecond: number; cpuUs: number }>();
  const servers = new Map<string, Server>();
  for (const kind of ["library", "front"]) servers.set(kind, await start(kind, clients));
  for (const server of servers.values()) await measure(server, 2000);
  for (let round = 0; round < rounds; round++)
    for (const [kind, server] of servers) {
      const result = await measure(server, seconds * 1000);
      if (result.cpuUs < (best.get(kind)?.cpuUs ?? Number.POSITIVE_INFINITY)) best.set(kind, result);
    }
  const library = best.get("library")?.cpuUs ?? Number.NaN;
  for (const [kind, { perSecond, cpuUs: cost }] of best)
    console.log(
      `${kind.padEnd(8)} ${clients} clients ${perSecond.toFixed(0).padStart(7)} requests/s ` +
        `${cost.toFixed(1).padStart(6)} µs CPU a request  × ${(cost / library).toFixed(2)}`,
    );
  for (const { child } of servers.values()) child.kill();
  for (const { sockets } of servers.values()) for (const socket of sockets) socket.on("error", () => {}).destroy();
}

const [kind] = process.argv.slice(2);
if (kind === "library" || kind === "front") await serve(kind === "front");
else await main(Number(kind ?? 64), Number(process.argv[3] ?? 2));
