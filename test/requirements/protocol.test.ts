/**
 * Rules of DTM's protocol that no other test looks at as such: bodies, options, stored fields, texts. One node on
 * memory, participants over HTTP and gRPC.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Participants, startParticipants, startTestNode, type TestNode } from "../grpc/node.js";

let node: TestNode;
let busi: Participants;
let gids = 0;
beforeAll(async () => {
  [node, busi] = await Promise.all([startTestNode(), startParticipants()]);
});
afterAll(async () => {
  await node.close();
  await busi.close();
});

type Body = Readonly<Record<string, unknown>>;

const fresh = () => `protocol-${++gids}`;
const post = (operation: string, body: Body) => node.ask(`/api/dtmsvr/${operation}`, body);
const step = (way: string) => ({ action: `${busi.http}/${way}`, compensate: `${busi.http}/undo` });
const saga = (gid: string, ways: readonly string[], over: Body = {}): Body => ({
  ...{ gid, trans_type: "saga", steps: ways.map(step), payloads: ways.map(() => "{}") },
  ...over,
});
const callsOf = (gid: string) => busi.received.filter((call) => call.gid === gid);

interface Shown {
  readonly transaction: Readonly<Record<string, string>>;
  readonly branches: readonly Readonly<Record<string, string>>[];
}
const shown = async (gid: string, ...statuses: readonly string[]) =>
  (await node.until(gid, ...statuses)) as unknown as Shown;

describe("bodies", () => {
  it("S-BODY-4: payloads go as they are, to action and compensation alike, over HTTP and gRPC", async () => {
    const payloads = ['{"b":1, "a" : 2}', "no JSON at all ü"];
    const gid = fresh();
    await post("submit", saga(gid, ["yes", "fail"], { payloads }));
    await shown(gid, "failed");
    expect(callsOf(gid).map(({ op, body }) => [op, body])).toEqual([
      ["action", payloads[0]],
      ["action", payloads[1]],
      ["compensate", payloads[1]],
      ["compensate", payloads[0]],
    ]);
    const other = fresh();
    const steps = JSON.stringify(["yes", "fail"].map((way) => ({ action: `${busi.grpc}/${way}`, compensate: "" })));
    const bytes = payloads.map((text) => Buffer.from(text));
    await node.call("Submit", { Gid: other, TransType: "saga", Steps: steps, BinPayloads: bytes });
    await shown(other, "failed");
    expect(callsOf(other).map(({ body }) => body)).toEqual(payloads);
  });

  it("S-BODY-5, S-ODD-13: payloads within the steps are taken, behind those of the list", async () => {
    const gid = fresh();
    const steps = [step("yes"), { ...step("yes"), data: "second" }];
    await post("submit", { gid, trans_type: "saga", steps, payloads: ["first"] });
    await shown(gid, "succeed");
    expect(callsOf(gid).map(({ body }) => body)).toEqual(["first", "second"]);
  });

  it("S-BODY-6, S-BODY-13, S-OPT-9: bin_payloads, passthrough_headers and what nobody knows are ignored", async () => {
    const gid = fresh();
    const unknown = { bin_payloads: ["x"], passthrough_headers: ["x-secret"], protocol_version: "9", ext_data: "e" };
    expect((await post("submit", saga(gid, ["yes"], unknown))).status).toBe(200);
    await shown(gid, "succeed");
    expect(callsOf(gid)[0]?.metadata).not.toHaveProperty("x-secret");
  });

  it("S-BODY-1, S-BODY-2: gid and trans_type are required", async () => {
    for (const missing of ["gid", "trans_type"]) {
      const { status, json } = await post("submit", { ...saga(fresh(), ["yes"]), [missing]: undefined });
      expect([status, String(json.message)]).toEqual([400, expect.stringContaining(missing)]);
    }
  });

  it("S-BODY-10, S-BODY-11: the reason of an abort, and status, reason and result of a workflow, are kept", async () => {
    const [tcc, flow] = [fresh(), fresh()];
    await post("prepare", { gid: tcc, trans_type: "tcc" });
    await post("abort", { gid: tcc, trans_type: "tcc", rollback_reason: "because" });
    expect((await shown(tcc, "failed")).transaction.rollback_reason).toBe("because");
    await post("prepareWorkflow", { gid: flow, trans_type: "workflow", custom_data: `{"name":"n","data":""}` });
    const req_extra = { status: "failed", rollback_reason: "no stock", result: "UkVT" };
    expect((await post("submit", { gid: flow, trans_type: "workflow", req_extra })).status).toBe(200);
    expect((await shown(flow, "failed")).transaction).toMatchObject({ rollback_reason: "no stock", result: "UkVT" });
  });

  it("S-HTTP-8, D11: a gid is stored as it is, semicolon and quotes included", async () => {
    const gid = `es;c'q"-${fresh()}`;
    await post("submit", saga(gid, ["yes"]));
    expect((await shown(gid, "succeed")).transaction.gid).toBe(gid);
    expect(callsOf(gid)).toHaveLength(1);
  });

  it("S-HTTP-9: no header of the initiator's request reaches a participant", async () => {
    const gid = fresh();
    const headers = { "x-token": "t", authorization: "Bearer t", "content-type": "text/csv" };
    const body = JSON.stringify(saga(gid, ["yes"]));
    await fetch(`${node.http}/api/dtmsvr/submit`, { method: "POST", body, headers });
    await shown(gid, "succeed");
    const metadata = callsOf(gid)[0]?.metadata;
    expect(metadata).not.toHaveProperty("x-token");
    expect(metadata).not.toHaveProperty("authorization");
    expect(metadata?.["content-type"]).toBe("application/json");
  });
});

describe("answers", () => {
  it("S-HTTP-2, S-ODD-1, C-RES-6: FAILURE is 409, ONGOING 425, both with dtm_result; the rest has none", async () => {
    const failed = await post("submit", saga(fresh(), ["fail"], { wait_result: true }));
    expect(failed).toMatchObject({ status: 409, json: { dtm_result: "FAILURE" } });
    expect(failed.json.message).toMatch(/FAILURE$/);
    const going = await post("submit", saga(fresh(), ["ongoing"], { wait_result: true }));
    expect(going).toMatchObject({ status: 425, json: { dtm_result: "ONGOING" } });
    const bad = await post("submit", saga("", ["yes"]));
    expect([bad.status, Object.keys(bad.json)]).toEqual([400, ["message"]]);
  });

  it("S-HTTP-7, D24: no accepted request is answered with the word FAILURE or ONGOING", async () => {
    const gid = `FAILURE-ONGOING-${fresh()}`;
    for (const operation of ["prepare", "submit"])
      expect(JSON.stringify((await post(operation, saga(gid, ["yes"]))).json)).toBe('{"dtm_result":"SUCCESS"}');
    await shown(gid, "succeed");
  });

  it("S-RES-14: the reason names the URL and what the participant said, FAILURE once at its end", async () => {
    const gid = fresh();
    await post("submit", saga(gid, ["fail"]));
    const { transaction } = await shown(gid, "failed");
    expect(transaction.rollback_reason).toBe(`url:${busi.http}/fail return failed: fail: said the participant FAILURE`);
  });

  it("S-HTTP-46, D1, D9: a held submit of a msg or tcc whose branch refuses is told ONGOING, naming it", async () => {
    const msg = { ...saga(fresh(), ["fail"], { wait_result: true }), trans_type: "msg" };
    const { status, json } = await post("submit", msg);
    expect([status, String(json.message)]).toEqual([425, expect.stringContaining("01")]);
  });
});

describe("options", () => {
  it("S-OPT-3: request_timeout is the deadline of each call", async () => {
    const gid = fresh();
    const fromMs = Date.now();
    const { status } = await post("submit", saga(gid, ["hang"], { wait_result: true, request_timeout: 1 }));
    expect(status).toBe(425);
    expect(Date.now() - fromMs).toBeGreaterThanOrEqual(900);
    expect(Date.now() - fromMs).toBeLessThan(2800);
    await post("forceStop", { gid });
  });

  it("S-OPT-5: branch_headers go with every call, as metadata over gRPC", async () => {
    const [gid, other] = [fresh(), fresh()];
    await post("submit", saga(gid, ["yes", "fail"], { branch_headers: { "X-Tenant": "t1" } }));
    await shown(gid, "failed");
    expect(callsOf(gid).map(({ metadata }) => metadata["x-tenant"])).toEqual(["t1", "t1", "t1", "t1"]);
    const Steps = JSON.stringify([{ action: `${busi.grpc}/yes`, compensate: "" }]);
    const TransOptions = { BranchHeaders: { "X-Tenant": "t2" } };
    await node.call("Submit", { Gid: other, TransType: "saga", Steps, TransOptions, BinPayloads: [Buffer.from("p")] });
    await shown(other, "succeed");
    expect(callsOf(other).map(({ metadata }) => metadata["x-tenant"])).toEqual(["t2"]);
  });

  it("S-OPT-6: concurrent is a msg's own switch; a saga's is in custom_data", async () => {
    const msg: Body = { ...saga(fresh(), ["fail", "yes"], { concurrent: true }), trans_type: "msg" };
    await post("submit", msg);
    await expect.poll(() => callsOf(String(msg.gid)).length, { timeout: 10_000 }).toBe(2);
    await post("forceStop", { gid: msg.gid });
    const gid = fresh();
    await post("submit", saga(gid, ["ongoing", "yes"], { concurrent: true, wait_result: true }));
    expect(callsOf(gid).map(({ branchId }) => branchId)).toEqual(["01"]);
    await post("forceStop", { gid });
  });

  it("S-OPT-10: negative numbers are refused, over gRPC as well", async () => {
    for (const name of ["timeout_to_fail", "request_timeout", "retry_interval", "retry_limit"])
      expect((await post("submit", saga(fresh(), ["yes"], { [name]: -3 }))).status).toBe(400);
    for (const name of ["TimeoutToFail", "RequestTimeout", "RetryInterval", "RetryLimit"]) {
      const request = { Gid: fresh(), TransType: "saga", TransOptions: { [name]: -3 } };
      expect((await node.call("Submit", request)).code).toBe(3);
    }
  });

  it("S-OPT-1, S-HTTP-44, 45: wait_result holds the answer until the end, without it comes at once", async () => {
    const [held, free] = [fresh(), fresh()];
    expect((await post("submit", saga(held, ["yes"], { wait_result: true }))).status).toBe(200);
    const { json } = await node.ask(`/api/dtmsvr/query?gid=${held}`);
    expect(json.transaction).toMatchObject({ status: "succeed" });
    const fromMs = Date.now();
    expect((await post("submit", saga(free, ["hang"]))).status).toBe(200);
    expect(Date.now() - fromMs).toBeLessThan(2000);
    await post("forceStop", { gid: free });
  });

  it("S-OPT-4, S-RTY-1, S-HTTP-54: interval and next time are shown; options is a JSON text with concurrent", async () => {
    const gid = fresh();
    await post("submit", saga(gid, ["ongoing"], { retry_interval: 15, retry_limit: 2 }));
    await expect.poll(() => callsOf(gid).length, { timeout: 10_000 }).toBe(1);
    const { transaction } = await shown(gid, "submitted");
    expect(transaction.next_cron_interval).toBe(15);
    expect(Date.parse(transaction.next_cron_time ?? "") - Date.parse(transaction.create_time ?? "")).toBeGreaterThan(
      10_000,
    );
    expect(JSON.parse(transaction.options ?? "")).toEqual({ concurrent: false, retry_interval: 15, retry_limit: 2 });
    await post("forceStop", { gid });
  });
});

describe("what is stored", () => {
  it("S-ST-1: succeed has a finish_time, failed a rollback_time, neither has both", async () => {
    const [good, bad, stopped] = [fresh(), fresh(), fresh()];
    await post("submit", saga(good, ["yes"]));
    await post("submit", saga(bad, ["fail"]));
    await post("prepare", saga(stopped, ["yes"]));
    await post("forceStop", { gid: stopped });
    const times = ({ transaction: { finish_time, rollback_time } }: Shown) => [!!finish_time, !!rollback_time];
    expect(times(await shown(good, "succeed"))).toEqual([true, false]);
    expect(times(await shown(bad, "failed"))).toEqual([false, true]);
    expect(times(await shown(stopped, "failed"))).toEqual([false, true]);
  });

  it("S-ST-2: a branch that is settled has a finish_time, another has none", async () => {
    const gid = fresh();
    await post("submit", saga(gid, ["yes"]));
    const { branches } = await shown(gid, "succeed");
    expect(branches.map(({ status, finish_time }) => [status, !!finish_time])).toEqual([
      ["prepared", false],
      ["succeed", true],
    ]);
  });

  it("S-GEN-11: times are RFC 3339", async () => {
    const gid = fresh();
    await post("submit", saga(gid, ["yes"]));
    const { transaction } = await shown(gid, "succeed");
    for (const name of ["create_time", "update_time", "finish_time"])
      expect(transaction[name]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/);
  });

  it("S-SAGA-1: a step is two rows of one branch id with the same payload", async () => {
    const gid = fresh();
    await post("prepare", saga(gid, ["yes", "yes"], { payloads: ["a", "b"] }));
    const { branches } = await shown(gid, "prepared");
    expect(branches.map(({ op, branch_id, bin_data }) => `${branch_id} ${op} ${atob(bin_data ?? "")}`)).toEqual([
      ...["01 compensate a", "01 action a", "02 compensate b", "02 action b"],
    ]);
    await post("forceStop", { gid });
  });

  it("S-CRON-10: resetNextCronTime of a finished transaction is 200 and changes nothing", async () => {
    const gid = fresh();
    await post("submit", saga(gid, ["yes"]));
    const before = await shown(gid, "succeed");
    expect((await post("resetNextCronTime", { gid })).status).toBe(200);
    expect(await shown(gid, "succeed")).toEqual(before);
    expect(callsOf(gid)).toHaveLength(1);
  });

  it("S-STO-3: payloads of 1 MiB, custom data and results of 64 KiB are kept", async () => {
    const gid = fresh();
    await post("submit", saga(gid, ["yes"], { payloads: ["x".repeat(1 << 20)] }));
    await shown(gid, "succeed");
    expect(callsOf(gid)[0]?.body).toHaveLength(1 << 20);
    const flow = fresh();
    const data = "A".repeat(60_000);
    await post("prepareWorkflow", {
      gid: flow,
      trans_type: "workflow",
      custom_data: JSON.stringify({ name: "n", data }),
    });
    const result = "QUJD".repeat(16_000);
    await post("submit", { gid: flow, trans_type: "workflow", req_extra: { status: "succeed", result } });
    const { transaction } = await shown(flow, "succeed");
    expect(transaction.result).toBe(result);
    expect(JSON.parse(transaction.custom_data ?? "").data).toBe(data);
  });
});

describe("patterns", () => {
  it("S-TCC-5: branches of branches are registered under the same gid, and cancelled last first", async () => {
    const gid = fresh();
    const whole = { gid, trans_type: "tcc" };
    await post("prepare", whole);
    for (const branch_id of ["01", "02", "0201"])
      await post("registerBranch", { ...whole, branch_id, data: "{}", confirm: "", cancel: `${busi.http}/undo` });
    await post("abort", whole);
    await shown(gid, "failed");
    expect(callsOf(gid).map(({ branchId }) => branchId)).toEqual(["0201", "02", "01"]);
  });

  it("S-ODD-12, C-SRV-2, C-SRV-3: the old names of registerBranch work; members of no meaning are ignored", async () => {
    for (const [alias, trans_type] of [
      ["registerTccBranch", "tcc"],
      ["registerXaBranch", "xa"],
    ] as const) {
      const gid = fresh();
      await post("prepare", { gid, trans_type });
      const branch = { gid, trans_type, branch_id: "01", status: "prepared", try: "x", data: "" };
      const urls = { confirm: `${busi.http}/yes`, cancel: `${busi.http}/yes`, url: `${busi.http}/yes` };
      expect((await post(alias, { ...branch, ...urls })).status).toBe(200);
      await post("submit", { gid, trans_type });
      await shown(gid, "succeed");
      expect(callsOf(gid)).toHaveLength(1);
    }
  });

  it("S-TCC-4, S-HTTP-65, C-TCC-4: a tcc is rolled back at its timeout; branch and submit afterwards are 409", async () => {
    const gid = fresh();
    await post("prepare", { gid, trans_type: "tcc", timeout_to_fail: 1 });
    const { transaction } = await shown(gid, "failed");
    expect(transaction.rollback_reason).toBe("Timeout after 1 seconds");
    const branch = { gid, trans_type: "tcc", branch_id: "01", data: "", confirm: "", cancel: "" };
    const late = await post("registerBranch", branch);
    const words = `no trans with gid: ${gid} status: prepared found FAILURE`;
    expect([late.status, late.json.message]).toEqual([409, words]);
    expect((await post("submit", { gid, trans_type: "tcc" })).status).toBe(409);
  });

  it("S-XA-3: an xa without branches ends at once, either way", async () => {
    for (const [end, status] of [
      ["submit", "succeed"],
      ["abort", "failed"],
    ] as const) {
      const gid = fresh();
      await post("prepare", { gid, trans_type: "xa" });
      await post(end, { gid, trans_type: "xa" });
      await shown(gid, status);
      expect(callsOf(gid)).toEqual([]);
    }
  });

  it("S-WF-6, S-WF-7: a callback has the decoded data as body, name as op, branch 00; GET when there is none", async () => {
    const [full, empty] = [fresh(), fresh()];
    for (const [gid, data] of [
      [full, btoa('{"a":1}')],
      [empty, ""],
    ] as const)
      await post("prepareWorkflow", {
        ...{ gid, trans_type: "workflow", custom_data: JSON.stringify({ name: "wfname", data }), retry_interval: 1 },
        query_prepared: `${busi.http}/resume`,
      });
    await expect.poll(() => callsOf(full).length && callsOf(empty).length, { timeout: 10_000 }).toBeGreaterThan(0);
    expect(callsOf(full)[0]).toMatchObject({ op: "wfname", branchId: "00", body: '{"a":1}' });
    expect(callsOf(empty)[0]).toMatchObject({ op: "wfname", branchId: "00", body: "" });
    expect((await node.ask(`/api/dtmsvr/query?gid=${full}`)).json.transaction).toMatchObject({ status: "prepared" });
  });

  it("S-WF-8: a workflow cannot be aborted, whatever type the request claims", async () => {
    const gid = fresh();
    await post("prepareWorkflow", { gid, trans_type: "workflow", custom_data: `{"name":"n","data":""}` });
    for (const trans_type of ["workflow", "tcc", "xa", "msg", "saga"])
      expect((await post("abort", { gid, trans_type })).status).toBe(409);
    await shown(gid, "prepared");
  });

  it("S-WF-9: a step's result may be 64 KiB", async () => {
    const gid = fresh();
    await post("prepareWorkflow", { gid, trans_type: "workflow", custom_data: `{"name":"n","data":""}` });
    const data = "r".repeat(65_536);
    const step = { gid, trans_type: "workflow", branch_id: "01", op: "action", status: "succeed", data };
    expect((await post("registerBranch", step)).status).toBe(200);
    const { branches } = await shown(gid, "prepared");
    expect(atob(branches[0]?.bin_data ?? "")).toBe(data);
  });
});
