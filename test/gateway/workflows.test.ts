/**
 * Workflows over HTTP: S-WF-2…5, C-WF-7, C-WF-8 and D20.
 */
import { afterAll, describe, expect, it } from "vitest";
import { coordinator, freshGid, sagaBody } from "./harness.js";

const c = coordinator();
afterAll(() => c.close());

const ok = { dtm_result: "SUCCESS" };

describe("workflow (S-WF-2…5, D20)", () => {
  const custom_data = '{"name":"wf","data":"eyJhIjoxfQ=="}';
  const workflow = (gid: string, over = {}) => ({ gid, trans_type: "workflow", custom_data, ...over });
  const step = (gid: string, over = {}) => {
    return { gid, trans_type: "workflow", branch_id: "01", op: "action", status: "succeed", data: "r", ...over };
  };

  it("S-WF-3: gives the transaction and all steps, before, after and again", async () => {
    const gid = freshGid();
    const first = (await c.post("prepareWorkflow", workflow(gid))).json as Record<string, unknown>;
    expect(first).toMatchObject({ progresses: [], transaction: { gid, status: "prepared" } });
    expect((await c.post("registerBranch", step(gid))).json).toEqual(ok);
    const reply = (await c.post("prepareWorkflow", workflow(gid))).json as { progresses: Record<string, unknown>[] };
    expect(reply.progresses).toMatchObject([
      { branch_id: "01", op: "action", status: "succeed", bin_data: Buffer.from("r").toString("base64") },
    ]);
  });

  it("S-BUG-7, S-WF-5: only succeed and failed end it; the same again is 200, the other 409", async () => {
    const gid = freshGid();
    await c.post("prepareWorkflow", workflow(gid));
    const end = (status: string, more = {}) =>
      c.post("submit", { gid, trans_type: "workflow", req_extra: { status, ...more } });
    for (const status of ["weird", "", "SUCCEED"]) expect((await end(status)).status).toBe(400);
    expect((await end("succeed", { result: "not base64!" })).status).toBe(400);
    expect((await c.post("submit", { gid, trans_type: "workflow" })).status).toBe(400);
    expect((await c.stored(gid))?.status).toBe("prepared");
    expect((await end("succeed", { result: "UkVT" })).json).toEqual(ok);
    expect((await end("succeed")).json).toEqual(ok);
    expect((await end("failed")).status).toBe(409);
    const again = await c.post("prepareWorkflow", workflow(gid));
    expect(again.json.transaction).toMatchObject({ status: "succeed", result: "UkVT" });
  });

  it("D20: a base64 result is padded when it is given back", async () => {
    const gid = freshGid();
    await c.post("prepareWorkflow", workflow(gid));
    await c.post("submit", { gid, trans_type: "workflow", req_extra: { status: "succeed", result: "-_8" } });
    expect((await c.stored(gid))?.result).toBe("+/8=");
  });

  it("D20, D24: a failed workflow's answer has its reason, but neither of the two words as text", async () => {
    const gid = `${freshGid()}-FAILURE-ONGOING`;
    await c.post("prepareWorkflow", workflow(gid));
    const rollback_reason = "sold out FAILURE, was ONGOING";
    await c.post("submit", { gid, trans_type: "workflow", req_extra: { status: "failed", rollback_reason } });
    const reply = await c.post("prepareWorkflow", workflow(gid));
    expect(reply.status).toBe(200);
    expect(reply.text).not.toMatch(/FAILURE|ONGOING/);
    expect(reply.json.transaction).toMatchObject({ gid, status: "failed", rollback_reason });
  });

  it("D20: every other answer of prepareWorkflow has a text in place of the transaction", async () => {
    const gid = freshGid();
    await c.post("prepareWorkflow", workflow(gid));
    const other = await c.post("prepareWorkflow", workflow(gid, { custom_data: '{"name":"other"}' }));
    expect(other.status).toBe(409);
    const saga = freshGid();
    await c.post("prepare", sagaBody(saga));
    const replies = [
      other,
      await c.post("prepareWorkflow", workflow(saga)),
      await c.post("prepareWorkflow", "{"),
      await c.post("prepareWorkflow", workflow("")),
      await c.post("prepareWorkflow", workflow(freshGid(), { custom_data: "" })),
      await c.post("prepareWorkflow", sagaBody(freshGid())),
      await c.post("prepareWorkflow", "x".repeat(5 * 1024 * 1024)),
      await c.post("prepareWorkflow", "x", { "content-encoding": "gzip" }),
    ];
    for (const { status, json } of replies) {
      expect(status).toBeGreaterThanOrEqual(400);
      expect(json.transaction).toBe(json.message);
      expect(typeof json.transaction).toBe("string");
    }
  });

  it("C-WF-7: a lease is granted to one executor; the other's step is stale", async () => {
    const gid = freshGid();
    const as = (executor_id: string) => workflow(gid, { lease_seconds: 60, executor_id });
    expect((await c.post("prepareWorkflow", as("one"))).json.lease).toBe("granted");
    expect((await c.post("prepareWorkflow", as("two"))).json.lease).toBe("held");
    expect((await c.post("prepareWorkflow", workflow(gid))).json).not.toHaveProperty("lease");
    const stale = await c.post("registerBranch", step(gid, { executor_id: "two" }));
    expect([stale.status, stale.json.message]).toEqual([409, expect.stringContaining("stale executor")]);
    expect((await c.post("registerBranch", step(gid, { executor_id: "one" }))).json).toEqual(ok);
    expect((await c.post("prepareWorkflow", workflow(gid, { lease_seconds: 5 }))).status).toBe(400);
  });

  it("C-WF-8, D3: the same step again is 200, another is 409 with what is stored; other status words are 400", async () => {
    const gid = freshGid();
    await c.post("prepareWorkflow", workflow(gid));
    for (let i = 0; i < 2; i++) expect((await c.post("registerBranch", step(gid))).json).toEqual(ok);
    const other = await c.post("registerBranch", step(gid, { data: "other" }));
    expect([other.status, other.json.progress]).toEqual([409, { branch_id: "01", op: "action", status: "succeed" }]);
    for (const over of [{ status: "prepared" }, { status: "" }, { op: "" }])
      expect((await c.post("registerBranch", step(gid, { branch_id: "02", ...over }))).status).toBe(400);
  });
});
