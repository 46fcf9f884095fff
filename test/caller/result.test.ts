/**
 * The table of section 7 against a real node:http server: every status and body that means something (S-RES-1…5,
 * S-BUG-3, bad-inputs 62 and 63).
 */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { headers as makeHeaders, type NatsConnection } from "nats";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createCallers } from "../../src/caller/callers.js";
import { judgeGrpc } from "../../src/caller/result.js";
import type { Outcome, Protocol } from "../../src/core/transaction.js";
import type { Callers } from "../../src/ports/caller.js";
import { callOf } from "./participant.js";

const long = "x".repeat((1 << 20) + 1);

/** Status, body, what it means, what it means with strict results. */
const plain: readonly (readonly [number, string, Outcome, Outcome])[] = [
  [200, "", "success", "success"],
  [200, `{"dtm_result":"SUCCESS"}`, "success", "success"],
  [200, `{"dtm_result":"FAILURE"}`, "failure", "success"],
  [200, "xxFAILURExx", "failure", "success"],
  [200, `{"dtm_result":"ONGOING"}`, "ongoing", "success"],
  [200, "FAILURE, no: ONGOING", "ongoing", "success"],
  [200, "failure ongoing", "success", "success"],
  [200, `${" ".repeat(500_000)}FAILURE`, "failure", "success"],
  [409, "", "failure", "failure"],
  [409, "no money", "failure", "failure"],
  [409, "ONGOING", "ongoing", "failure"],
  [425, "", "ongoing", "ongoing"],
  [425, "FAILURE", "ongoing", "ongoing"],
  [500, "out of order", "unknown", "unknown"],
  [500, "FAILURE", "failure", "unknown"],
  [500, "ONGOING", "ongoing", "unknown"],
  [404, "FAILURE", "failure", "unknown"],
  [400, "", "unknown", "unknown"],
  [401, "", "unknown", "unknown"],
  [404, "no such page", "unknown", "unknown"],
  [429, "", "unknown", "unknown"],
  [502, "", "unknown", "unknown"],
  [503, "", "unknown", "unknown"],
  [201, "", "unknown", "success"],
  [204, "", "unknown", "success"],
  [206, "part", "unknown", "success"],
  [299, "", "unknown", "success"],
  [301, "", "unknown", "unknown"],
  [302, "", "unknown", "unknown"],
  [307, "", "unknown", "unknown"],
  [200, long, "unknown", "unknown"],
  [200, `FAILURE${long}`, "unknown", "unknown"],
  [500, long, "unknown", "unknown"],
  [409, long, "failure", "failure"],
  [425, long, "ongoing", "ongoing"],
];

const rpc: readonly (readonly [number, string, Outcome])[] = [
  [200, `{"jsonrpc":"2.0","id":"1","result":{"ok":true}}`, "success"],
  [200, `{"jsonrpc":"2.0","id":"1","result":null,"error":null}`, "success"],
  [200, `{"jsonrpc":"2.0","id":"1","error":{"code":-32901,"message":"no"}}`, "failure"],
  [200, `{"jsonrpc":"2.0","id":"1","error":{"code":-32901.0,"message":"no"}}`, "failure"],
  [200, `{"jsonrpc":"2.0","id":"1","error":{"code":-32902,"message":"later"}}`, "ongoing"],
  [200, `{"jsonrpc":"2.0","id":"1","error":{"code":-32603,"message":"internal"}}`, "unknown"],
  [200, `{"jsonrpc":"2.0","id":"1","error":"text"}`, "unknown"],
  [200, `{"jsonrpc":"2.0","id":"1","error":{"code":-32603,"message":"x FAILURE"}}`, "failure"],
  [200, `{"jsonrpc":"2.0","id":"1","error":{"code":-32901,"message":"ONGOING"}}`, "ongoing"],
  [409, `{"jsonrpc":"2.0"}`, "failure"],
  [425, "", "ongoing"],
  [500, `{"jsonrpc":"2.0","id":"1","error":{"code":-32901,"message":"no"}}`, "unknown"],
  [200, "garbage", "unknown"],
  [200, "", "unknown"],
  [200, "[]", "unknown"],
  [200, "null", "unknown"],
];

describe("what an answer means", () => {
  let server: Server;
  let callers: Callers;
  let strict: Callers;
  let followed = 0;
  const shown: { status: number; body: string } = { status: 200, body: "" };

  beforeAll(async () => {
    server = createServer((request, reply) => {
      request.resume();
      if (request.url?.startsWith("/followed")) followed += 1;
      reply.writeHead(shown.status, shown.status >= 300 && shown.status < 400 ? { location: "/followed" } : {});
      reply.end(shown.status === 204 ? undefined : shown.body);
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    callers = createCallers();
    strict = createCallers({ strictResults: true });
  });
  afterAll(async () => {
    await Promise.all([callers.close(), strict.close()]);
    server.close();
  });

  const ask = async (by: Callers, status: number, body: string, protocol: Protocol = "http") => {
    Object.assign(shown, { status, body });
    const port = (server.address() as AddressInfo).port;
    const url = `http://127.0.0.1:${port}/pay?method=pay`;
    const answer = await by.call(callOf({ url, protocol }), new AbortController().signal);
    expect(answer.detail.length).toBeLessThanOrEqual(1024);
    return answer;
  };
  const short = (body: string) => (body.length > 60 ? `${body.trim().slice(0, 10)}… of ${body.length}` : body);

  for (const [status, body, outcome, strictly] of plain)
    it(`takes status ${status} with body '${short(body)}' as ${outcome}, strictly as ${strictly}`, async () => {
      expect((await ask(callers, status, body)).outcome).toBe(outcome);
      expect((await ask(strict, status, body)).outcome).toBe(strictly);
    });

  for (const [status, body, outcome] of rpc)
    it(`takes JSON-RPC status ${status} with body '${body}' as ${outcome}`, async () => {
      expect((await ask(callers, status, body, "json-rpc")).outcome).toBe(outcome);
    });

  it.each([
    [404, "http", true, ""],
    [401, "http", true, ""],
    [429, "http", true, ""],
    [201, "http", true, ""],
    [302, "http", true, ""],
    [200, "http", true, long],
    [500, "http", undefined, ""],
    [503, "http", undefined, ""],
    [200, "json-rpc", true, `{"error":{"code":-32601}}`],
    [200, "json-rpc", undefined, `{"error":{"code":-32603}}`],
    [200, "json-rpc", undefined, `{"error":{"code":-32050}}`],
    [404, "json-rpc", true, ""],
    [502, "json-rpc", undefined, ""],
    [409, "http", undefined, "no money"],
  ] as const)("after status %i over %s says that the target is well: %s", async (status, over, isWell, body) => {
    expect((await ask(callers, status, body, over)).isWell).toBe(isWell);
  });

  it("never follows a redirect", async () => {
    expect((await ask(callers, 308, "")).detail).toContain("redirects are not followed");
    expect(followed).toBe(0);
  });

  it("gives the body as detail, at most 1,024 characters of it and never half a character", async () => {
    expect((await ask(callers, 409, "no money")).detail).toBe("no money");
    expect((await ask(callers, 409, "€".repeat(5000))).detail).toBe("€".repeat(1024));
    expect((await ask(callers, 409, `x${"😀".repeat(5000)}`)).detail).toBe(`x${"😀".repeat(511)}`);
    expect((await ask(callers, 500, "out of order")).detail).toBe("HTTP status 500: out of order");
    expect((await ask(callers, 409, "")).detail).toBe("HTTP status 409");
  });
});

describe("what the status of a NATS reply means", () => {
  it.each([
    ["404", true],
    ["429", true],
    ["500", undefined],
    ["no number", undefined],
  ])("takes '%s' as unknown, the participant being well: %s", async (status, isWell) => {
    const headers = makeHeaders();
    headers.set("Status", status);
    const request = async () => ({ headers, data: Buffer.from("later") });
    const connection = { request } as unknown as NatsConnection;
    const callers = createCallers({ nats: { connection: () => connection, prefix: "tandem" } });
    const answer = await callers.call(callOf({ url: "nats://pay" }), new AbortController().signal);
    expect(answer).toEqual({ outcome: "unknown", detail: `status '${status}': later`, ...(isWell && { isWell }) });
    await callers.close();
  });
});

describe("what a gRPC status means", () => {
  const table: readonly (readonly [number, string, Outcome])[] = [
    [0, "", "success"],
    [9, "later", "ongoing"],
    [10, "ONGOING", "ongoing"],
    [10, "ONGOING ", "failure"],
    [10, "no money", "failure"],
    [10, "", "failure"],
    ...([1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14, 15, 16, 17, -1] as const).map(
      (code) => [code, "x FAILURE", "unknown"] as const,
    ),
  ];
  for (const [code, message, outcome] of table)
    it(`takes code ${code} with '${message}' as ${outcome}`, () => {
      expect(judgeGrpc(code, message).outcome).toBe(outcome);
    });

  it("takes a participant for sick after UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE and no code of gRPC's", () => {
    const unclear = table.filter(([, , outcome]) => outcome === "unknown").map(([code]) => code);
    expect(unclear.filter((code) => !judgeGrpc(code, "").isWell)).toEqual([2, 4, 13, 14, 17, -1]);
  });
});
