/**
 * DTM's HTTP API about transactions: S-HTTP-10…22 and 31…67 with the decisions over them.
 */
import { afterAll, describe, expect, it } from "vitest";
import { coordinator, freshGid, sagaBody } from "./harness.js";

const c = coordinator();
afterAll(() => c.close());

const ok = { dtm_result: "SUCCESS" };

describe("every endpoint", () => {
  it("S-HTTP-1, S-HTTP-3: answers 200 with dtm_result and DTM's content type, no newline behind", async () => {
    const reply = await c.post("submit", sagaBody(freshGid()));
    expect(reply.status).toBe(200);
    expect(reply.text).toBe('{"dtm_result":"SUCCESS"}');
    expect(reply.headers["content-type"]).toBe("application/json; charset=utf-8");
  });

  it("S-HTTP-4: reads the body as JSON whatever the content type, names in any case, unknown members ignored", async () => {
    for (const type of ["text/plain", "nonsense", "application/x-www-form-urlencoded; charset=x", ""]) {
      const gid = freshGid();
      const body = JSON.stringify({ GID: gid, Trans_Type: "tcc", nobody: { knows: [1] }, passthrough_headers: ["a"] });
      expect((await c.post("prepare", body, { "content-type": type })).status, type).toBe(200);
      expect((await c.stored(gid))?.type).toBe("tcc");
    }
  });

  it("S-HTTP-5: answers unknown paths and wrong methods with 404 as text, and redirects a trailing slash", async () => {
    for (const reply of [await c.get("nope"), await c.get("submit"), await c.post("query"), await c.get("/")]) {
      expect(reply.status).toBe(404);
      expect(reply.text).toBe("404 page not found");
      expect(reply.headers["content-type"]).toMatch(/^text\/plain/);
    }
    const get = await c.get("query/?gid=1");
    expect([get.status, get.headers.location]).toEqual([301, "/api/dtmsvr/query?gid=1"]);
    const post = await c.post("submit/", {});
    expect([post.status, post.headers.location]).toEqual([307, "/api/dtmsvr/submit"]);
  });

  it("S-HTTP-10, 11, 12: ping, version and newGid", async () => {
    expect((await c.get("/api/ping")).json).toEqual({ msg: "pong" });
    expect((await c.post("/api/ping")).json).toEqual({ msg: "pong" });
    expect((await c.get("version")).json).toEqual({ version: "0.0.0-test" });
    const gids = new Set<string>();
    for (let i = 0; i < 1000; i++) gids.add(String((await c.get("newGid")).json.gid));
    expect(gids.size).toBe(1000);
    for (const gid of gids) expect(gid).toMatch(/^[2-9A-HJ-NP-Za-km-z]{22}$/);
  });
});

describe("submit of a saga", () => {
  it("runs it and shows it in DTM's form (S-HTTP-14, 19, 51, 52, 53, 54)", async () => {
    const gid = freshGid();
    const body = sagaBody(gid, { wait_result: true, retry_interval: 7, branch_headers: { "X-Tenant": "t1" } });
    expect((await c.post("submit", body)).json).toEqual(ok);
    const { branches, transaction } = (await c.get(`query?gid=${gid}`)).json as {
      branches: Record<string, unknown>[];
      transaction: Record<string, unknown>;
    };
    expect(branches.map(({ branch_id, op, status }) => `${branch_id} ${op} ${status}`)).toEqual([
      "01 compensate prepared",
      "01 action succeed",
    ]);
    expect(branches[1]).toMatchObject({
      gid,
      url: "http://busi.test/TransOut",
      bin_data: Buffer.from('{"amount":30}').toString("base64"),
      finish_time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    });
    expect(branches[1]).not.toHaveProperty("rollback_time");
    expect(transaction).toMatchObject({ gid, trans_type: "saga", status: "succeed", protocol: "http" });
    expect(transaction.options).toBe(
      '{"wait_result":true,"retry_interval":7,"branch_headers":{"X-Tenant":"t1"},"concurrent":false}',
    );
    expect(Object.keys(transaction).slice(0, 8)).toEqual([
      "id",
      "create_time",
      "update_time",
      "gid",
      "trans_type",
      "status",
      "protocol",
      "finish_time",
    ]);
    expect(transaction).not.toHaveProperty("rollback_time");
    expect(transaction).not.toHaveProperty("rollback_reason");
  });
});
