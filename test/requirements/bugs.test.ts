/**
 * Defects of DTM (section 14 of the protocol notes) that show only in a whole node, each with the behaviour that is
 * right. Those of the core have theirs in test/scenarios, those of one folder beside that folder's tests.
 */
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/config.js";
import { type RunningNode, startNode } from "../../src/node.js";
import { saga, settle, world } from "../engine/harness.js";
import { coordinator, freshGid, patient, sagaBody } from "../gateway/harness.js";

const { get, post, close, participants, until } = coordinator();
afterAll(() => close());

/** Answers every JSON-RPC call by the method's name, and keeps the parameters. */
async function startJsonRpc(answers: Readonly<Record<string, object>>) {
  const asked: { readonly method: string; readonly op: string }[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { method, params } = JSON.parse(Buffer.concat(chunks).toString());
    asked.push({ method, op: params.op });
    response.end(JSON.stringify({ jsonrpc: "2.0", id: "1", ...(answers[method] ?? { result: {} }) }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = (method: string) => `http://127.0.0.1:${(server.address() as AddressInfo).port}/rpc?method=${method}`;
  return { url, asked, close: () => server.close() };
}

describe.each(["memory", "lmdb"] as const)("defects of DTM that a whole node on %s does not share", (kind) => {
  let folder: string;
  let node: RunningNode;
  const start = async () => {
    const store = kind === "lmdb" ? `lmdb:${join(folder, "data")}` : "memory:";
    const flags = { HttpPort: "0", GrpcPort: "0", "Store.Url": store, LogLevel: "error" };
    node = await startNode(loadConfig({ flags, environment: {}, readFile: () => "" }).config);
  };
  const ask = async (path: string, body?: object) => {
    const init = body && { method: "POST", body: JSON.stringify(body) };
    const response = await fetch(`${node.addresses.http}/api/dtmsvr/${path}`, init);
    return { status: response.status, json: (await response.json()) as Record<string, unknown> };
  };
  const transaction = async (gid: string) =>
    (await ask(`query?gid=${encodeURIComponent(gid)}`)).json.transaction as Record<string, unknown>;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "tandem-bugs-"));
    await start();
  });
  afterAll(async () => {
    await node.close(2000);
    await rm(folder, { recursive: true, force: true });
  });

  it("S-BUG-3: JSON-RPC's -32901 rolls back, -32902 is asked again after the interval, without doubling", async () => {
    const error = (code: number) => ({ error: { code, message: "said the participant" } });
    const busi = await startJsonRpc({ no: error(-32901), later: error(-32902) });
    const body = (gid: string, ...methods: readonly string[]) => ({
      ...{ gid, trans_type: "saga", protocol: "json-rpc", retry_interval: 1 },
      steps: methods.map((method) => ({ action: busi.url(method), compensate: busi.url("undo") })),
      payloads: methods.map(() => "{}"),
    });
    const [refused, going] = [freshGid(), freshGid()];
    await ask("submit", body(refused, "yes", "no"));
    await expect.poll(async () => (await transaction(refused)).status, patient).toBe("failed");
    expect((await transaction(refused)).rollback_reason).toMatch(/said the participant.* FAILURE$/);
    expect(busi.asked.map(({ method, op }) => `${method} ${op}`)).toEqual([
      ...["yes action", "no action", "undo compensate", "undo compensate"],
    ]);
    await ask("submit", body(going, "later"));
    await expect.poll(() => busi.asked.filter(({ method }) => method === "later").length, patient).toBe(3);
    expect(await transaction(going)).toMatchObject({ status: "submitted", next_cron_interval: 1 });
    await ask("forceStop", { gid: going });
    busi.close();
  });

  it("S-BUG-13: resetNextCronTime makes due at once, whatever characters the gid has", async () => {
    const gid = `esc'q; drop--${kind}`;
    const steps = [{ action: "http://127.0.0.1:1/refuses", compensate: "" }];
    await ask("submit", { gid, trans_type: "saga", steps, payloads: ["{}"], retry_interval: 600 });
    const attempts = async () => {
      const response = await fetch(`${node.addresses.http}/api/v1/transactions/${encodeURIComponent(gid)}`);
      return JSON.stringify(await response.json()).match(/"attempts":(\d+)/)?.[1];
    };
    await expect.poll(attempts, patient).toBe("1");
    expect(await ask("resetNextCronTime", { gid })).toMatchObject({ status: 200, json: { dtm_result: "SUCCESS" } });
    await expect.poll(attempts, patient).toBe("2");
    await ask("forceStop", { gid });
  });

  it("S-BUG-14: no topic is lost among many other keys, neither for lists nor for messages", async () => {
    const topics = Array.from({ length: 170 }, (_, i) => `topic-${i}`);
    for (const topic of topics) await ask(`subscribe?topic=${topic}&url=http://127.0.0.1:1/${topic}`);
    for (const topic of topics) await ask("prepare", { gid: `${kind}-${topic}`, trans_type: "tcc" });
    expect((await ask("queryKV?cat=topics")).json.kv).toHaveLength(170);
    const steps = topics.map((topic) => ({ action: `topic://${topic}` }));
    const gid = freshGid();
    const body = { gid, trans_type: "msg", steps, payloads: topics.map(() => "{}"), query_prepared: "" };
    expect((await ask("prepare", body)).status).toBe(200);
    const { branches } = (await ask(`query?gid=${gid}`)).json as { branches: readonly { url: string }[] };
    expect(branches.map(({ url }) => url)).toEqual(topics.map((topic) => `http://127.0.0.1:1/${topic}`));
    await ask("forceStop", { gid });
  });

  it("S-BUG-16: a submit changes the fields that it brings, and nothing else of what was prepared", async () => {
    const gid = freshGid();
    const steps = [{ action: "http://127.0.0.1:1/m" }];
    const options = { retry_interval: 77, timeout_to_fail: 600, branch_headers: { "x-a": "b" } };
    const body = { gid, trans_type: "msg", steps, payloads: ["{}"] };
    await ask("prepare", { ...body, ...options, query_prepared: "http://127.0.0.1:1/q" });
    const before = await transaction(gid);
    expect((await ask("submit", { gid, trans_type: "msg" })).status).toBe(200);
    const after = await transaction(gid);
    for (const name of ["create_time", "query_prepared", "options", "gid", "trans_type"])
      expect([name, after[name]]).toEqual([name, before[name]]);
    expect(after.create_time).toBeTruthy();
    expect((await ask(`all?createTimeStart=1&gid=${gid}`)).status).toBe(200);
    expect((await ask("forceStop", { gid })).status).toBe(200);

    const flow = { gid: freshGid(), trans_type: "workflow", custom_data: `{"name":"n","data":"e30="}` };
    await ask("prepareWorkflow", { ...flow, query_prepared: "http://127.0.0.1:1/w" });
    const prepared = await transaction(flow.gid);
    await ask("submit", { gid: flow.gid, trans_type: "workflow", req_extra: { status: "succeed" } });
    const { create_time, custom_data, query_prepared, status } = await transaction(flow.gid);
    expect({ create_time, custom_data, query_prepared }).toEqual({
      ...{ create_time: prepared.create_time, custom_data: prepared.custom_data },
      query_prepared: prepared.query_prepared,
    });
    expect(status).toBe("succeed");
  });

  it("S-BUG-19: a step is recorded when it is acknowledged, with its data; an unknown gid's is refused", async () => {
    const gid = freshGid();
    const step = (of: string) => ({
      ...{ gid: of, trans_type: "workflow", branch_id: "01", op: "action", status: "succeed", data: "result" },
    });
    expect((await ask("registerBranch", step(gid))).status).toBe(404);
    expect((await ask(`query?gid=${gid}`)).json).toEqual({ branches: [], transaction: null });
    await ask("prepareWorkflow", { gid, trans_type: "workflow", custom_data: `{"name":"n","data":""}` });
    expect((await ask("registerBranch", step(gid))).status).toBe(200);
    if (kind === "lmdb") {
      await node.close(0);
      await start();
    }
    const { branches } = (await ask(`query?gid=${gid}`)).json as { branches: readonly Record<string, string>[] };
    expect(branches).toMatchObject([{ branch_id: "01", status: "succeed", bin_data: btoa("result") }]);
  });
});

describe("defects of DTM that the gateway and the engine do not share", () => {
  it("S-BUG-11: fifty compensations that never succeed hold up nobody, and what is due comes in order", async () => {
    const w = world();
    w.participants.script = ({ url }) =>
      url.endsWith("/undo") ? "unknown" : url.includes("bad") ? "failure" : "success";
    const gids = Array.from({ length: 50 }, (_, i) => `bad-${i}`);
    for (const gid of gids) await w.ask(gid, { kind: "submit", submission: saga([`http://bad${gid}/x`]) });
    await settle();
    await w.clock.advance(25_000);
    const fromMs = w.clock.nowMs();
    const healthy = { kind: "submit", submission: saga(["http://good/x"], { waitResult: true }) } as const;
    expect(await w.ask("healthy", healthy)).toEqual({ kind: "accepted" });
    expect(w.clock.nowMs()).toBe(fromMs);
    // Called at 0, 10 and 30 s: nobody's turn was put off by the others'.
    for (const gid of gids) expect(w.participants.of(gid).filter((call) => call === "compensate 01")).toHaveLength(2);
    await w.engine.close(0);
  });

  it("S-BUG-20: what is wrong with a request is 400 and says what, never the program's own troubles", async () => {
    const good = sagaBody(freshGid());
    const bad: readonly (readonly [object | string, RegExp])[] = [
      [{}, /gid/],
      [{ ...good, trans_type: undefined }, /trans_type/],
      [{ ...good, trans_type: "nope" }, /trans_type/],
      [{ ...good, gid: "" }, /gid/],
      [{ ...good, gid: "x".repeat(129) }, /gid/],
      [{ ...good, payloads: [] }, /payloads/],
      [{ ...good, custom_data: "{" }, /custom_data/],
      [{ ...good, retry_limit: -1 }, /retry_limit/],
      [{ ...good, timeout_to_fail: -3 }, /timeout_to_fail/],
      ["hello", /JSON/],
    ];
    for (const route of ["submit", "prepare"])
      for (const [body, words] of bad) {
        const { status, json, text } = await post(route, body);
        expect([status, json.message]).toEqual([400, expect.stringMatching(words)]);
        expect(text).not.toMatch(/nil pointer|out of range|undefined|TypeError|\.[jt]s:\d|\\n +at /);
      }
    expect((await get(`query?gid=${String(good.gid)}`)).json.transaction).toBeNull();
  });

  it("S-BUG-1: nor does a repeated submit of an xa end it without its branches", async () => {
    const gid = freshGid();
    const whole = { gid, trans_type: "xa", retry_interval: 1 };
    participants.scripts.set("http://busi.test/xa", (_, nth) => (nth === 0 ? "unknown" : "success"));
    await post("prepare", whole);
    await post("registerBranch", { gid, trans_type: "xa", branch_id: "01", url: "http://busi.test/xa" });
    await post("submit", { gid, trans_type: "xa" });
    expect((await post("submit", { gid, trans_type: "xa" })).status).toBe(200);
    const tx = await until(gid, "succeed");
    expect(tx.ops.map(({ op, status }) => `${op} ${status}`)).toEqual(["rollback prepared", "commit succeed"]);
    expect(participants.of(gid)).toEqual(["commit 01", "commit 01"]);
  });
});
