/**
 * DTM's HTTP API about transactions: S-HTTP-10…22 and 31…67 with the decisions over them.
 */
import { afterAll, describe, expect, it } from "vitest";
import { coordinator, freshGid, patient, sagaBody } from "./harness.js";

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

const tcc = (gid: string, over = {}) => ({ gid, trans_type: "tcc", concurrent: false, protocol: "", ...over });

describe("prepare, submit, abort and forceStop by stored status (S-HTTP-31…43)", () => {
  it("S-HTTP-31, 32, 33: prepare stores, is idempotent while prepared, and is refused afterwards", async () => {
    const gid = freshGid();
    expect((await c.post("prepare", sagaBody(gid))).json).toEqual(ok);
    const before = await c.stored(gid);
    expect((await c.post("prepare", sagaBody(gid, { payloads: ["changed"] }))).json).toEqual(ok);
    expect(await c.stored(gid)).toEqual(before);
    await c.post("submit", sagaBody(gid, { wait_result: true }));
    const refused = await c.post("prepare", sagaBody(gid));
    expect([refused.status, refused.json]).toEqual([
      409,
      { dtm_result: "FAILURE", message: "current status 'succeed', cannot prepare. FAILURE" },
    ]);
  });

  it("S-HTTP-34: a tcc that nobody prepared is submitted with no branches", async () => {
    const gid = freshGid();
    expect((await c.post("submit", tcc(gid, { wait_result: true }))).json).toEqual(ok);
    expect((await c.stored(gid))?.status).toBe("succeed");
  });

  it("S-HTTP-35: steps and payloads of prepare win over those of submit", async () => {
    const gid = freshGid();
    await c.post("prepare", sagaBody(gid));
    const changed = { steps: [{ action: "http://busi.test/changed" }], payloads: ["changed"], wait_result: true };
    expect((await c.post("submit", sagaBody(gid, changed))).json).toEqual(ok);
    const calls = c.participants.calls.filter((call) => call.gid === gid).map(({ url }) => url);
    expect(calls).toEqual(["http://busi.test/TransOut"]);
  });

  it("S-BUG-1: a repeated submit of a tcc neither skips nor repeats its confirms", async () => {
    const gid = freshGid();
    c.participants.scripts.set("http://busi.test/confirm500", () => ({ outcome: "unknown", detail: "resp 500" }));
    await c.post("prepare", tcc(gid));
    const branch = { gid, trans_type: "tcc", branch_id: "01", data: "{}", cancel: "http://busi.test/cancel" };
    await c.post("registerBranch", { ...branch, confirm: "http://busi.test/confirm500" });
    for (let i = 0; i < 3; i++) expect((await c.post("submit", tcc(gid))).json).toEqual(ok);
    const held = await c.post("submit", tcc(gid, { wait_result: true }));
    expect([held.status, held.json.dtm_result]).toEqual([425, "ONGOING"]);
    expect((await c.stored(gid))?.status).toBe("submitted");
    expect(c.participants.of(gid)).toEqual(["confirm 01"]);
  });

  it("S-HTTP-37, D2: the same submit after a failure is 409 with the reason", async () => {
    const gid = freshGid();
    const url = "http://busi.test/soldout";
    c.participants.scripts.set(url, () => ({ outcome: "failure", detail: "sold out 4711" }));
    const body = sagaBody(gid, { steps: [{ action: url }], wait_result: true });
    const first = await c.post("submit", body);
    expect([first.status, first.json]).toEqual([
      409,
      { dtm_result: "FAILURE", message: `url:${url} return failed: sold out 4711 FAILURE` },
    ]);
    const again = await c.post("submit", { ...body, wait_result: false });
    expect(again.status).toBe(409);
    expect(again.json.message).toMatch(/^current status 'failed', cannot sumbmit\..*sold out 4711.*FAILURE$/);
  });

  it("S-HTTP-40, D21: abort drops a prepared msg, if the request calls it one", async () => {
    const gid = freshGid();
    const msg = { gid, trans_type: "msg", steps: [{ action: "http://a.test/m" }], payloads: [""] };
    await c.post("prepare", { ...msg, query_prepared: "http://a.test/back" });
    expect((await c.post("abort", { gid, trans_type: "saga" })).status).toBe(409);
    expect((await c.post("abort", { gid, trans_type: "msg" })).json).toEqual(ok);
    expect(await c.stored(gid)).toMatchObject({ status: "failed", ops: [{ status: "prepared" }] });
  });

  it("S-HTTP-41, D27: abort rolls a tcc back with its reason; again it is 200", async () => {
    const gid = freshGid();
    await c.post("prepare", tcc(gid));
    const urls = { confirm: "http://busi.test/confirm", cancel: "http://busi.test/cancel" };
    await c.post("registerBranch", { gid, trans_type: "tcc", branch_id: "01", data: "1", ...urls });
    const abort = tcc(gid, { rollback_reason: `no money ${"x".repeat(5000)}`, wait_result: true });
    expect((await c.post("abort", abort)).json).toEqual(ok);
    const tx = await c.stored(gid);
    expect(tx).toMatchObject({ status: "failed", rollbackReason: expect.stringMatching(/^no money x/) });
    expect(tx?.rollbackReason.length).toBe(1024); // S-BUG-5
    expect((await c.post("abort", abort)).json).toEqual(ok);
    expect(c.participants.of(gid)).toEqual(["cancel 01"]);
  });

  it("S-HTTP-42, S-BUG-6, D22: abort looks at the stored type", async () => {
    const gid = freshGid();
    await c.post("prepare", sagaBody(gid));
    expect((await c.post("abort", tcc(gid))).status).toBe(409);
    const saga = await c.post("abort", sagaBody(gid));
    expect(saga.json.message).toBe("trans type: 'saga' current status 'prepared', cannot abort. FAILURE");
    expect((await c.stored(gid))?.status).toBe("prepared");
  });

  it("S-HTTP-43: forceStop ends without a call, and refuses what has ended", async () => {
    const gid = freshGid();
    await c.post("prepare", sagaBody(gid));
    expect((await c.post("forceStop", { gid })).json).toEqual(ok);
    const shown = (await c.get(`query?gid=${gid}`)).json as { transaction: Record<string, unknown> };
    expect(shown.transaction).toMatchObject({ status: "failed", rollback_time: expect.any(String) });
    expect(shown.transaction).not.toHaveProperty("finish_time");
    const again = await c.post("forceStop", { gid });
    expect([again.status, again.json.message]).toEqual([
      409,
      "global transaction force stop error. status: failed. error: FAILURE",
    ]);
    expect(c.participants.of(gid)).toEqual([]);
  });

  it("D1: a held submit that waits for a retry is 425, naming branch and error", async () => {
    const gid = freshGid();
    c.participants.scripts.set("http://busi.test/broken", () => ({ outcome: "unknown", detail: "out of order" }));
    const body = sagaBody(gid, { steps: [{ action: "http://busi.test/broken" }], wait_result: true });
    const reply = await c.post("submit", body);
    expect([reply.status, reply.json.dtm_result]).toEqual([425, "ONGOING"]);
    expect(reply.json.message).toMatch(/branch 01 action http:\/\/busi\.test\/broken: .*out of order/);
    expect((await c.stored(gid))?.status).toBe("submitted");
    expect((await c.post("resetNextCronTime", { gid })).json).toEqual(ok);
    await expect.poll(() => c.participants.of(gid).length, patient).toBe(2);
  });

  it("S-ODD-18, S-RES-15: who waits is told of an unclear answer in DTM's words, of a clear one not", async () => {
    const url = "http://busi.test/unclear";
    let said: { outcome: "unknown" | "ongoing" | "failure"; detail: string } = {
      outcome: "unknown",
      detail: "resp 500",
    };
    c.participants.scripts.set(url, () => said);
    const submit = async (type: string) =>
      (
        await c.post("submit", {
          ...sagaBody(freshGid()),
          trans_type: type,
          steps: [{ action: url }],
          wait_result: true,
        })
      ).json.message;
    expect(await submit("saga")).toMatch(/branch 01 action \S+: unkown result will be retried: resp 500, status is/);
    said = { outcome: "failure", detail: "resp 409 FAILURE" };
    expect(await submit("msg")).toMatch(/unkown result will be retried: resp 409 FAILURE, status is/);
    said = { outcome: "ongoing", detail: "resp 425" };
    expect(await submit("saga")).toMatch(/branch 01 action \S+: is asked again: resp 425, status is/);
    c.participants.scripts.delete(url);
  });

  it("D9: FAILURE from a compensation is retried and shown as a contract violation", async () => {
    const gid = freshGid();
    c.participants.scripts.set("http://busi.test/no", () => ({ outcome: "failure", detail: "no" }));
    const steps = [{ action: "http://busi.test/no", compensate: "http://busi.test/no" }];
    expect((await c.post("submit", sagaBody(gid, { steps, wait_result: true }))).status).toBe(425);
    const { branches } = (await c.get(`query?gid=${gid}`)).json as { branches: Record<string, unknown>[] };
    expect(branches[0]).toMatchObject({ op: "compensate", contract_violations: 1, last_error: "no", attempts: 1 });
    expect((await c.get("/api/metrics")).text).toMatch(/tandem_contract_violations_total\{target="[^"]*no"\} 1/);
  });
});

describe("registerBranch (S-HTTP-60…67)", () => {
  it("S-HTTP-61, 62, 53: makes two ops a branch, in the order that clients index", async () => {
    const gid = freshGid();
    await c.post("prepare", tcc(gid));
    const urls = { confirm: "http://busi.test/cf", cancel: "http://busi.test/cc" };
    for (const route of ["registerBranch", "registerTccBranch"])
      await c.post(route, {
        gid,
        trans_type: "tcc",
        branch_id: route.length === 14 ? "01" : "02",
        data: "{}",
        ...urls,
      });
    const xa = freshGid();
    await c.post("prepare", { gid: xa, trans_type: "xa" });
    await c.post("registerXaBranch", { gid: xa, trans_type: "xa", branch_id: "01", url: "http://busi.test/xa" });
    const ops = async (of: string) =>
      (await c.stored(of))?.ops.map(({ branchId, op, url }) => `${branchId} ${op} ${url}`);
    expect(await ops(gid)).toEqual([
      "01 cancel http://busi.test/cc",
      "01 confirm http://busi.test/cf",
      "02 cancel http://busi.test/cc",
      "02 confirm http://busi.test/cf",
    ]);
    expect(await ops(xa)).toEqual(["01 rollback http://busi.test/xa", "01 commit http://busi.test/xa"]);
  });

  it("D3: the same again is 200, other content is 409 with what is stored", async () => {
    const gid = freshGid();
    await c.post("prepare", tcc(gid));
    const branch = { gid, trans_type: "tcc", branch_id: "01", data: "1", confirm: "http://a.test/", cancel: "" };
    for (let i = 0; i < 2; i++) expect((await c.post("registerBranch", branch)).json).toEqual(ok);
    const other = await c.post("registerBranch", { ...branch, data: "2" });
    expect([other.status, other.json.dtm_result]).toEqual([409, "FAILURE"]);
    expect(other.json.progress).toEqual({ branch_id: "01", op: "cancel", status: "prepared" });
  });

  it("S-HTTP-67: a branch of another type is 409", async () => {
    const gid = freshGid();
    await c.post("prepare", sagaBody(gid));
    const branch = { gid, trans_type: "tcc", branch_id: "01", data: "1", confirm: "http://a.test/", cancel: "" };
    expect((await c.post("registerBranch", branch)).status).toBe(409);
  });
});
