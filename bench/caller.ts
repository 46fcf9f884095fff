/**
 * What one call to an HTTP participant costs: undici's `Pool.request`, undici's `dispatch` (our adapter over it) and
 * our
 * own HTTP/1.1 client, against a server in a process of its own that does nothing but answer.
 *
 *   npx tsx bench/caller.ts [clients [seconds]]
 *
 * Prints calls per second and the CPU time of this process per call. Rounds take turns, so that load of the machine
 * hits all alike; the best round of each counts.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { Pool } from "undici";
import { Ending } from "../src/caller/ending.js";
import type { Exchange } from "../src/caller/exchange.js";
import { callHttp } from "../src/caller/http.js";
import { createHttp1Exchange } from "../src/caller/http1/exchange.js";
import { Resolver } from "../src/caller/resolve.js";
import { tlsProfiles } from "../src/caller/tls.js";
import { createUndiciExchange } from "../src/caller/undici.js";
import { type HttpUrl, parseUrl } from "../src/caller/url.js";
import type { Call } from "../src/ports/caller.js";

const answer = Buffer.from(
  "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Sun, 22 Nov 2026 15:00:00 GMT\r\n" +
    'Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nContent-Length: 25\r\n\r\n{"dtm_result":"SUCCESS"}\n',
);
const payload = Buffer.from(`{"amount":30,"transInResult":"","transOutResult":""}`);
const rounds = 3;

/** Answers whatever comes: one answer per packet, which holds one request here. */
function serve(): void {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on("data", () => socket.write(answer)).on("error", () => socket.destroy());
  });
  server.listen(0, "127.0.0.1", () => process.send?.((server.address() as { port: number }).port));
}

type OneCall = () => Promise<boolean>;

function overExchange(exchange: Exchange, url: HttpUrl): OneCall {
  const ending = new Ending(new AbortController().signal);
  const call: Call = {
    gid: "neBC3bG5NLBqWA8b4kkm8R",
    type: "saga",
    protocol: "http",
    branchId: "01",
    op: "action",
    url: url.target,
    payload,
    headers: {},
    timeoutMs: 3000,
  };
  return async () => (await callHttp(exchange, false, url, call, ending)).outcome === "success";
}

function overPool(pool: Pool): OneCall {
  const headers = { accept: "application/json", "content-type": "application/json" };
  const query = "branch_id=01&gid=neBC3bG5NLBqWA8b4kkm8R&op=action&trans_type=saga";
  return async () => {
    const path = `/api/TransOut?${query}`;
    const { statusCode, body } = await pool.request({
      path,
      method: "POST",
      headers,
      body: payload,
      headersTimeout: 3000,
    });
    return statusCode === 200 && !(await body.text()).includes("FAILURE");
  };
}

async function measure(one: OneCall, clients: number, ms: number): Promise<{ perSecond: number; cpuUs: number }> {
  let calls = 0;
  const end = performance.now() + ms;
  const [started, cpu] = [performance.now(), process.cpuUsage()];
  await Promise.all(
    Array.from({ length: clients }, async () => {
      while (performance.now() < end) {
        if (!(await one())) throw new Error("a call did not succeed");
        calls += 1;
      }
    }),
  );
  const { user, system } = process.cpuUsage(cpu);
  return { perSecond: (calls * 1000) / (performance.now() - started), cpuUs: (user + system) / calls };
}

async function main(clients: number, seconds: number): Promise<void> {
  const server = fork(fileURLToPath(import.meta.url), ["--serve"], { execArgv: process.execArgv });
  const [port] = (await once(server, "message")) as [number];
  const url = parseUrl("http", `http://127.0.0.1:${port}/api/TransOut`) as HttpUrl;
  const { lookup } = new Resolver();
  const limits = { connectionsPerOrigin: 256, bodyBytesMax: 1 << 20, idleMs: 4000 };
  const [own, undici] = [createHttp1Exchange(limits, lookup), createUndiciExchange(limits, tlsProfiles({}), lookup)];
  const pool = new Pool(url.origin, { connections: 256, pipelining: 1 });
  const ways: readonly (readonly [string, OneCall])[] = [
    ["undici Pool.request", overPool(pool)],
    ["undici dispatch", overExchange(undici, url)],
    ["own client", overExchange(own, url)],
  ];
  const best = new Map<string, { perSecond: number; cpuUs: number }>();
  for (const [, one] of ways) await measure(one, clients, 500);
  for (let round = 0; round < rounds; round++)
    for (const [name, one] of ways) {
      const result = await measure(one, clients, seconds * 1000);
      if (result.perSecond > (best.get(name)?.perSecond ?? 0)) best.set(name, result);
    }
  for (const [name, { perSecond, cpuUs }] of best)
    console.log(
      `${name.padEnd(20)} ${clients} clients  ${perSecond.toFixed(0).padStart(7)} calls/s  ${cpuUs.toFixed(1).padStart(6)} µs CPU a call`,
    );
  await Promise.all([own.close(), undici.close(), pool.destroy()]);
  server.kill();
}

if (process.argv[2] === "--serve") serve();
else await main(Number(process.argv[2] ?? 64), Number(process.argv[3] ?? 2));
