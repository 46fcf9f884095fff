/**
 * JSON-RPC (section 4): the frame, its codes, and that it does what HTTP does.
 */
import { afterAll, describe, expect, it } from "vitest";
import { coordinator, freshGid, sagaBody } from "./harness.js";

const c = coordinator();
afterAll(() => c.close());

const errorOf = (json: Record<string, unknown>) => json.error as { code: number; message: string };

describe("the frame", () => {
  it("S-JRPC-3: answers with four members, sorted; null beside a result", async () => {
    const gid = freshGid();
    expect((await c.rpc("prepare", { gid, trans_type: "tcc" })).text).toBe(
      '{"error":null,"id":"1","jsonrpc":"2.0","result":null}',
    );
    const reply = await c.rpc("newGid");
    expect(reply.json).toMatchObject({ error: null, result: { gid: expect.stringMatching(/^\w{22}$/) } });
    expect(reply.headers["content-type"]).toBe("application/json; charset=utf-8");
  });

  it("S-JRPC-1, 4: text that is no request is 400 with -32700 as text/plain", async () => {
    for (const body of ["hello", "{bad", "[]", '[{"jsonrpc":"2.0"}]', "1", "", '{"jsonrpc":"2.0","id":{}}']) {
      const reply = await c.post("/api/json-rpc", body);
      expect([reply.status, errorOf(reply.json).code], body).toEqual([400, -32700]);
      expect(reply.headers["content-type"]).toBe("text/plain; charset=utf-8");
    }
  });

  it("S-JRPC-2, 5, S-ODD-14: another version or no id is -32600; an id may be a number", async () => {
    for (const body of ['{"jsonrpc":"1.0","id":"1","method":"newGid"}', '{"jsonrpc":"2.0","method":"newGid"}']) {
      const reply = await c.post("/api/json-rpc", body);
      expect([reply.status, errorOf(reply.json).code]).toEqual([200, -32600]);
    }
    expect((await c.post("/api/json-rpc", { jsonrpc: "2.0", id: 7, method: "newGid" })).json.id).toBe(7);
    expect((await c.post("/api/json-rpc", { jsonrpc: "2.0", id: "", method: "newGid" })).json.error).not.toBeNull();
  });

  it("S-JRPC-5: an unknown method is -32601", async () => {
    for (const method of ["nope", "query", "subscribe", "constructor", ""]) {
      const reply = await c.rpc(method);
      expect([reply.status, errorOf(reply.json).code]).toEqual([200, -32601]);
    }
    expect(errorOf((await c.rpc("nope")).json).message).toBe("Method not found: nope");
  });
});

describe("the operations", () => {
  it("run a saga and a tcc as HTTP does", async () => {
    const gid = freshGid();
    const saga = sagaBody(gid, { protocol: "json-rpc", wait_result: true });
    expect((await c.rpc("submit", saga)).json.error).toBeNull();
    expect(await c.stored(gid)).toMatchObject({ status: "succeed", protocol: "json-rpc" });
    const tcc = freshGid();
    await c.rpc("prepare", { gid: tcc, trans_type: "tcc" });
    const urls = { confirm: "http://a.test/cf", cancel: "http://a.test/cc" };
    const branch = { gid: tcc, trans_type: "tcc", branch_id: "01", data: "{}", ...urls };
    expect((await c.rpc("registerBranch", branch)).json.error).toBeNull();
    expect((await c.rpc("abort", { gid: tcc, trans_type: "tcc", wait_result: true })).json.error).toBeNull();
    expect(c.participants.of(tcc)).toEqual(["cancel 01"]);
  });

  it("D19: FAILURE is -32901, ONGOING -32902, everything else -32603 with HTTP's words", async () => {
    const gid = freshGid();
    await c.rpc("submit", sagaBody(gid, { wait_result: true }));
    const refused = errorOf((await c.rpc("submit", sagaBody(gid, { payloads: ["other"] }))).json);
    expect([refused.code, refused.message]).toEqual([-32901, expect.stringMatching(/FAILURE$/)]);
    c.participants.scripts.set("http://a.test/wait", () => "ongoing");
    const waiting = sagaBody(freshGid(), { steps: [{ action: "http://a.test/wait" }], wait_result: true });
    expect(errorOf((await c.rpc("submit", waiting)).json).code).toBe(-32902);
    for (const [method, params] of [
      ["registerBranch", { gid, trans_type: "nope", branch_id: "01" }],
      ["submit", { gid: "", trans_type: "saga" }],
      ["submit", undefined],
      ["submit", []],
      ["abort", { gid: freshGid(), trans_type: "tcc" }],
    ] as const) {
      const reply = await c.rpc(method, params);
      expect([reply.status, errorOf(reply.json).code], method).toEqual([200, -32603]);
    }
  });

  it("says over HTTP and over JSON-RPC the same about the same", async () => {
    const bad = [{ gid: "" }, { trans_type: "x" }, { steps: 1 }, { timeout_to_fail: -1 }, { custom_data: "{" }];
    for (const over of bad) {
      const body = sagaBody(freshGid(), over);
      expect(errorOf((await c.rpc("submit", body)).json).message).toBe((await c.post("submit", body)).json.message);
    }
  });
});
