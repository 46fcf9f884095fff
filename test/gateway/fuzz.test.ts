/**
 * Hostile input to every route: whatever comes, the answer is below 500, in the shape of a refusal, and the server goes
 * on serving. Seeded by fast-check: a failure prints how to repeat it.
 */
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { wellFormed } from "../../src/wire/identifier.js";
import { coordinator, freshGid, sagaBody } from "./harness.js";

const c = coordinator();
afterAll(() => c.close());

const runs = Number(process.env.FUZZ_RUNS ?? 400);
const posts = ["submit", "prepare", "abort", "forceStop", "registerBranch", "prepareWorkflow", "resetNextCronTime"].map(
  (name) => `/api/dtmsvr/${name}`,
);
const gets = ["query", "all", "queryKV", "scanKV", "resetCronTime", "subscribe", "unsubscribe", "newGid"].map(
  (name) => `/api/dtmsvr/${name}`,
);

/** Values of every kind in the places of a transaction body, right ones often enough to get through. */
const member = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom(
    "",
    "saga",
    "msg",
    "tcc",
    "xa",
    "workflow",
    "grpc",
    "json-rpc",
    "succeed",
    0,
    1,
    -1,
    1e308,
    null,
    true,
  ),
  fc.string({ unit: "binary", maxLength: 200 }),
  fc.constantFrom("http://a.test/", "topic://x", "a.test:1/p.S/M", '{"concurrent":true,"orders":{"0":[0]}}', "[]"),
);
const names = [
  ...["gid", "trans_type", "steps", "payloads", "query_prepared", "protocol", "custom_data", "rollback_reason"],
  ...["req_extra", "wait_result", "timeout_to_fail", "request_timeout", "retry_interval", "branch_headers"],
  ...["concurrent", "retry_limit", "branch_id", "op", "status", "data", "confirm", "cancel", "url", "executor_id"],
  ...["lease_seconds", "action", "compensate", "__proto__", "GID", "method", "params", "id", "jsonrpc"],
];
const body = fc.dictionary(fc.constantFrom(...names), member, { maxKeys: 12 });
const step = fc.record({ action: member, compensate: member, data: member }, { requiredKeys: [] });
const saga = fc.record({ steps: fc.array(step, { maxLength: 4 }), payloads: fc.array(member, { maxLength: 4 }) });

const seen = new Map<number, number>();

function judge(status: number, text: string): void {
  seen.set(status, (seen.get(status) ?? 0) + 1);
  expect(status, text).toBeLessThan(500);
  if (status >= 400 && status !== 404)
    expect(JSON.parse(text)).toHaveProperty(text.includes('"jsonrpc"') ? "error" : "message");
  expect(text).not.toMatch(/node_modules|\.ts:\d/);
}

async function sane(): Promise<void> {
  expect((await c.post("submit", sagaBody(freshGid(), { wait_result: true }))).status).toBe(200);
}

describe("random input", () => {
  it("as bytes to every POST never gives 5xx", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...posts, "/api/json-rpc"),
        fc.uint8Array({ maxLength: 300 }),
        async (path, bytes) => {
          const reply = await c.post(path, Buffer.from(bytes));
          judge(reply.status, reply.text);
        },
      ),
      { numRuns: runs },
    );
    await sane();
  });

  it("as JSON to every POST never gives 5xx, and often enough gets through", async () => {
    seen.clear();
    const type = fc.constantFrom("saga", "msg", "tcc", "xa", "workflow");
    const any = fc.tuple(fc.constantFrom(...posts), type, fc.oneof(body, saga), fc.boolean());
    await fc.assert(
      fc.asyncProperty(any, async ([path, trans_type, over, overrides]) => {
        const base = overrides ? { ...sagaBody(freshGid()), trans_type } : {};
        const reply = await c.post(path, { ...base, ...over });
        judge(reply.status, reply.text);
      }),
      { numRuns: 3 * runs },
    );
    for (const status of [200, 400]) expect(seen.get(status) ?? 0, `answers ${status}`).toBeGreaterThan(runs / 80);
    await sane();
  });

  it("as a cut or changed good body never gives 5xx", async () => {
    const good = JSON.stringify(sagaBody("g", { wait_result: false, branch_headers: { a: "b" }, custom_data: "{}" }));
    const change = fc.tuple(fc.nat(good.length - 1), fc.nat(4), fc.string({ unit: "binary", maxLength: 3 }));
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...posts), change, async (path, [at, length, text]) => {
        const reply = await c.post(path, good.slice(0, at) + text + good.slice(at + length));
        judge(reply.status, reply.text);
      }),
      { numRuns: runs },
    );
    await sane();
  });

  it("as JSON-RPC frames never gives 5xx", async () => {
    const method = fc.constantFrom("submit", "prepare", "abort", "registerBranch", "newGid", "x", 1, null);
    const frame = fc.record({
      jsonrpc: fc.constantFrom("2.0", "1.0", 2),
      id: member,
      method,
      params: fc.oneof(body, member),
    });
    await fc.assert(
      fc.asyncProperty(frame, async (request) => {
        const reply = await c.post("/api/json-rpc", request);
        judge(reply.status, reply.text);
        expect(Object.keys(reply.json)).toEqual(["error", "id", "jsonrpc", "result"]);
      }),
      { numRuns: runs },
    );
    await sane();
  });

  it("as paths and query strings never gives 5xx", async () => {
    const value = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom("topics", "1", "-1", "%", "x", "http://a.test/"),
    );
    const query = fc.dictionary(
      fc.constantFrom(
        "gid",
        "limit",
        "position",
        "status",
        "transType",
        "cat",
        "key",
        "topic",
        "url",
        "timeout",
        "cursor",
      ),
      value,
      { maxKeys: 4 },
    );
    const v1 = ["/api/v1/transactions", "/api/v1/topics", "/api/v1/targets", "/api/v1/status"];
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...gets, ...v1), query, fc.boolean(), async (path, members, encoded) => {
        const pairs = Object.entries(members).map(
          ([k, v]) => `${k}=${encoded ? encodeURIComponent(wellFormed(v)) : v}`,
        );
        const reply = await c.get(`${path}?${pairs.join("&").replace(/[\s#\0-\x1f]/g, "+")}`);
        judge(reply.status, reply.text);
      }),
      { numRuns: 2 * runs },
    );
    await fc.assert(
      fc.asyncProperty(value, fc.constantFrom("", "/history", "/park", "/nope"), async (gid, tail) => {
        const path = `/api/v1/transactions/${encodeURIComponent(wellFormed(gid))}${tail}`;
        const reply = tail === "/park" ? await c.post(path, "{}") : await c.get(path);
        judge(reply.status, reply.text);
      }),
      { numRuns: runs },
    );
    await sane();
  });
});
