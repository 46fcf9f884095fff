/**
 * DTM's gRPC service as an ordinary client sees it: replies, codes and texts (S-GRPC-1…15 with decisions D1–D4,
 * D19–D22), health and reflection.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import * as grpc from "@grpc/grpc-js";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Participants, startParticipants, startTestNode, type TestNode } from "./node.js";

let node: TestNode;
let busi: Participants;
let gid = "";
let made = 0;
beforeAll(async () => {
  [node, busi] = await Promise.all([startTestNode(), startParticipants()]);
});
afterAll(async () => {
  await node.close();
  await busi.close();
});
beforeEach(() => {
  gid = `grpc-${++made}`;
  busi.received.length = 0;
});

const saga = (...actions: readonly string[]) => ({
  Gid: gid,
  TransType: "saga",
  Steps: JSON.stringify(
    actions.map((action) => ({ action: `${busi.grpc}/${action}`, compensate: `${busi.grpc}/undo` })),
  ),
  BinPayloads: actions.map((action) => Buffer.from([0, 255, ...Buffer.from(action)])),
});
const waiting = { TransOptions: { WaitResult: true, RetryInterval: 1 } };

describe("a transaction over gRPC", () => {
  it("gets a new gid, another one each time", async () => {
    const [a, b] = [await node.call("NewGid"), await node.call("NewGid")];
    expect(a.reply.Gid).toMatch(/^\S{10,}$/);
    expect(a.reply.Gid).not.toBe(b.reply.Gid);
  });

  it("calls its branches with the bytes of their payloads", async () => {
    expect(await node.call("Submit", { ...saga("yes", "yes"), ...waiting })).toEqual({
      code: 0,
      details: "",
      reply: {},
    });
    expect(busi.received.map(({ op, branchId, gid: told }) => [told, branchId, op])).toEqual([
      [gid, "01", "action"],
      [gid, "02", "action"],
    ]);
    expect(busi.received[0]?.body).toBe(Buffer.from([0, 255, ...Buffer.from("yes")]).toString());
    const { json } = await node.ask(`/api/dtmsvr/query?gid=${gid}`);
    expect(json.transaction).toMatchObject({ status: "succeed", protocol: "grpc" });
  });

  it("that fails is rolled back, and the waiting client told ABORTED with the reason", async () => {
    const got = await node.call("Submit", { ...saga("yes", "fail"), ...waiting });
    expect(got.code).toBe(10);
    expect(got.details).toBe(`url:${busi.grpc}/fail return failed: fail: said the participant FAILURE`);
    expect(busi.received.map(({ op, branchId }) => branchId + op)).toEqual([
      ...["01action", "02action", "02compensate", "01compensate"],
    ]);
  });

  it("that is still going on is told FAILED_PRECONDITION with ONGOING (D1)", async () => {
    const got = await node.call("Submit", { ...saga("ongoing"), ...waiting });
    expect(got.code).toBe(9);
    expect(got.details).toMatch(/branch 01 action .*ONGOING$/);
    await node.ask("/api/dtmsvr/forceStop", { gid });
  });

  it("may mix gRPC and HTTP branches", async () => {
    const request = {
      ...{ Gid: gid, TransType: "saga", BinPayloads: [Buffer.from("1"), Buffer.from("2")], ...waiting },
      Steps: JSON.stringify([{ action: `${busi.grpc}/yes` }, { action: `${busi.http}/yes` }]),
    };
    expect((await node.call("Submit", request)).code).toBe(0);
    expect(busi.received.map(({ protocol, body }) => protocol + body)).toEqual(["grpc1", "http2"]);
  });

  it("sends the branch's headers as metadata, and nothing of the client's own", async () => {
    const metadata = new grpc.Metadata();
    metadata.set("x-client", "c");
    const TransOptions = { WaitResult: true, BranchHeaders: { "x-branch": "b" } };
    expect((await node.call("Submit", { ...saga("yes"), TransOptions }, {}, metadata)).code).toBe(0);
    expect(busi.received[0]?.metadata).toMatchObject({ "x-branch": "b", "dtm-dtm": "" });
    expect(busi.received[0]?.metadata).not.toHaveProperty("x-client");
  });

  it("goes on after the client's deadline, which ends only its wait", async () => {
    const options = { deadline: Date.now() + 300 };
    const TransOptions = { WaitResult: true, RequestTimeout: 1, RetryInterval: 1 };
    const got = await node.call("Submit", { ...saga("hang"), TransOptions }, options);
    expect(got.code).toBe(4);
    const { json } = await node.ask(`/api/dtmsvr/query?gid=${gid}`);
    expect(json.transaction).toMatchObject({ status: "submitted" });
    await node.ask("/api/dtmsvr/forceStop", { gid });
  });

  it("submitted again is answered as the first time, with other content ABORTED", async () => {
    const request = { ...saga("yes"), ...waiting };
    expect((await node.call("Submit", request)).code).toBe(0);
    expect((await node.call("Submit", request)).code).toBe(0);
    expect((await node.call("Submit", { ...saga("fail"), ...waiting })).code).toBe(10);
    expect(busi.received).toHaveLength(1);
  });

  it("takes confirm and cancel of tcc from Data, the payload from BusiPayload", async () => {
    expect((await node.call("Prepare", { Gid: gid, TransType: "tcc" })).code).toBe(0);
    expect((await node.call("Prepare", { Gid: gid, TransType: "tcc" })).code).toBe(0);
    const Data = { confirm: `${busi.grpc}/yes`, cancel: `${busi.grpc}/undo` };
    const branch = { Gid: gid, TransType: "tcc", BranchID: "01", Op: "ignored", Data, BusiPayload: Buffer.from("pay") };
    expect((await node.call("RegisterBranch", branch)).code).toBe(0);
    expect((await node.call("RegisterBranch", branch)).code).toBe(0);
    expect((await node.call("RegisterBranch", { ...branch, BusiPayload: Buffer.from("other") })).code).toBe(10);
    expect((await node.call("Submit", { Gid: gid, TransType: "tcc", ...waiting })).code).toBe(0);
    expect(busi.received.map(({ op, body }) => op + body)).toEqual(["confirmpay"]);
    expect((await node.call("Abort", { Gid: gid, TransType: "tcc" })).code).toBe(10);
  });

  it("is told by Query with its branches, which DTM cannot; an unknown gid has no transaction", async () => {
    await node.call("Submit", { ...saga("fail"), ...waiting });
    const { code, reply } = await node.call("Query", { Gid: gid });
    expect([code, reply.Transaction]).toEqual([0, expect.objectContaining({ Gid: gid, Status: "failed" })]);
    expect(reply.Progresses).toContainEqual(
      expect.objectContaining({ BranchID: "01", Op: "action", Status: "failed" }),
    );
    expect(await node.call("Query", { Gid: "nobody" })).toMatchObject({ code: 0, reply: {} });
    expect((await node.call("Query", {})).code).toBe(3);
  });

  it("whose Steps are `null`, as DTM's Go client sends none, is a success at once (D23, S-SAGA-11)", async () => {
    expect((await node.call("Submit", { Gid: gid, TransType: "saga", Steps: "null", ...waiting })).code).toBe(0);
    expect((await node.until(gid, "succeed")).branches).toEqual([]);
  });

  it("is counted under the names that HTTP has (S-MET-7)", async () => {
    await node.call("NewGid");
    await node.call("RegisterBranch", { Gid: "nobody", TransType: "tcc" });
    const text = await (await fetch(`${node.http}/api/metrics`)).text();
    for (const [api, status] of [
      ["newgid", "ok"],
      ["registerbranch", "fail"],
    ])
      expect(text).toMatch(`dtm_server_process_total{type="grpc",api="${api}",status="${status}"}`);
    expect(text).not.toMatch(/type="grpc",api="[^"]*[A-Z]/);
  });

  it("is rolled back by Abort, with its reason", async () => {
    await node.call("Prepare", { Gid: gid, TransType: "xa" });
    await node.call("RegisterBranch", {
      Gid: gid,
      TransType: "xa",
      BranchID: "01",
      Data: { url: `${busi.grpc}/undo` },
    });
    expect((await node.call("Abort", { Gid: gid, TransType: "xa", RollbackReason: "why" })).code).toBe(0);
    expect((await node.until(gid, "failed")).transaction).toMatchObject({ rollback_reason: "why" });
    expect(busi.received.map(({ op }) => op)).toEqual(["rollback"]);
  });

  const refused: readonly (readonly [string, string, object, number, RegExp])[] = [
    ["an empty request", "Submit", {}, 3, /gid/],
    ["an unknown type", "Submit", { Gid: "x", TransType: "quantum" }, 3, /trans_type/],
    ["steps that are no JSON", "Submit", { Gid: "x", TransType: "saga", Steps: "notjson" }, 3, /Steps/],
    ["a saga without Steps", "Submit", { Gid: "x", TransType: "saga" }, 3, /^steps: nothing met/],
    ["a gid of 129 characters", "Prepare", { Gid: "g".repeat(129), TransType: "tcc" }, 3, /gid/],
    ["an unknown gid", "Abort", { Gid: "nobody", TransType: "tcc" }, 5, /no TransGlobal with gid/],
    [
      "a branch of an unknown gid",
      "RegisterBranch",
      { Gid: "nobody", TransType: "xa", BranchID: "01", Data: { url: "h:1/a/b" } },
      5,
      /gid/,
    ],
    ["a branch of an unknown type", "RegisterBranch", { Gid: "x", TransType: "nope" }, 3, /unknow trans type/],
    [
      "a negative option",
      "Prepare",
      { Gid: "x", TransType: "tcc", TransOptions: { RetryInterval: -1 } },
      3,
      /retry_interval/,
    ],
    [
      "an option beyond 2^53",
      "Prepare",
      { Gid: "x", TransType: "tcc", TransOptions: { TimeoutToFail: "9007199254740993" } },
      3,
      /too large/,
    ],
    [
      "a payload of 1 MiB and a byte",
      "Submit",
      { Gid: "x", TransType: "saga", Steps: `[{"action":""}]`, BinPayloads: [Buffer.alloc((1 << 20) + 1)] },
      8,
      /BinPayloads\[0\]/,
    ],
    ["an empty topic", "Subscribe", { URL: "h:1/a/b" }, 3, /topic/],
    ["an empty topic to delete", "DeleteTopic", {}, 3, /topic/],
    [
      "a URL without method",
      "Submit",
      { Gid: "x", TransType: "saga", Steps: `[{"action":"busi:1"}]`, BinPayloads: ["MQ=="] },
      3,
      /method is missing/,
    ],
  ];
  for (const [name, rpc, request, code, details] of refused)
    it(`refuses ${name} with code ${code}`, async () => {
      const got = await node.call(rpc, request);
      expect(got.code).toBe(code);
      expect(got.details).toMatch(details);
      expect((await node.ask("/api/dtmsvr/query?gid=x")).json.transaction).toBeNull();
    });

  it("is never sent to the server's own addresses", async () => {
    const named = (address: string) => address.replace("127.0.0.1", "localhost.");
    const own = [`${node.address}/dtmgimp.Dtm/Submit`, `${node.http}/api/dtmsvr/submit`];
    for (const action of [...own, ...own.map(named)]) {
      const request = { Gid: gid, TransType: "saga", Steps: JSON.stringify([{ action }]), BinPayloads: ["MQ=="] };
      expect(await node.call("Submit", request)).toMatchObject({ code: 3, details: expect.stringContaining("itself") });
    }
  });
});

describe("a workflow over gRPC", () => {
  const input = { TransType: "workflow", CustomedData: `{"name":"wf","data":"e30="}` };
  const step = (data: string) => ({
    ...{ Gid: gid, TransType: "workflow", BranchID: "01", Data: { op: "action", status: "succeed" } },
    BusiPayload: Buffer.from(data),
  });

  it("gives its progress, and its result when it has ended (S-BUG-12)", async () => {
    const prepare = () => node.call("PrepareWorkflow", { ...input, Gid: gid });
    expect((await prepare()).reply).toEqual({ Transaction: { Gid: gid, Status: "prepared" } });
    expect((await node.call("RegisterBranch", step("a"))).code).toBe(0);
    expect((await prepare()).reply.Progresses).toEqual([
      { Status: "succeed", BinData: Buffer.from("a"), BranchID: "01", Op: "action" },
    ]);
    const end = { Gid: gid, TransType: "workflow", ReqExtra: { status: "succeed", result: "UkVT" } };
    expect((await node.call("Submit", end)).code).toBe(0);
    expect((await node.call("Submit", end)).code).toBe(0);
    expect((await node.call("Submit", { ...end, ReqExtra: { status: "failed" } })).code).toBe(10);
    expect((await prepare()).reply.Transaction).toEqual({ Gid: gid, Status: "succeed", Result: "UkVT" });
  });

  it("answers another content of a step, and a step after the end, with ALREADY_EXISTS (D3)", async () => {
    await node.call("PrepareWorkflow", { ...input, Gid: gid });
    expect((await node.call("RegisterBranch", step("a"))).code).toBe(0);
    expect((await node.call("RegisterBranch", step("a"))).code).toBe(0);
    expect((await node.call("RegisterBranch", step("b"))).code).toBe(6);
    await node.call("Submit", { Gid: gid, TransType: "workflow", ReqExtra: { status: "succeed" } });
    expect((await node.call("RegisterBranch", { ...step("c"), BranchID: "02" })).code).toBe(6);
  });

  it("of another name or input is ABORTED (C-WF-10), one under a saga's gid likewise (D21)", async () => {
    await node.call("PrepareWorkflow", { ...input, Gid: gid });
    const other = { ...input, Gid: gid, CustomedData: `{"name":"other"}` };
    expect((await node.call("PrepareWorkflow", other)).code).toBe(10);
    await node.call("Submit", { ...saga("yes"), Gid: `${gid}s`, ...waiting });
    expect((await node.call("PrepareWorkflow", { ...input, Gid: `${gid}s` })).code).toBe(10);
  });

  it("is resumed over gRPC at its callback address (S-BR-35)", async () => {
    const callback = busi.grpc.replace("busi.Busi", "workflow.Workflow/Execute");
    const TransOptions = { RetryInterval: 1 };
    await node.call("PrepareWorkflow", { ...input, Gid: gid, QueryPrepared: callback, TransOptions });
    await node.ask("/api/dtmsvr/resetNextCronTime", { gid });
    const end = Date.now() + 5000;
    while (busi.received.length === 0 && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(busi.received[0]).toMatchObject({ gid, op: "wf", branchId: "00", body: "\n\u0002{}" });
    await node.ask("/api/dtmsvr/forceStop", { gid });
  });
});

describe("topics over gRPC", () => {
  it("count for the next submit at once, also after deletion and re-creation (S-BUG-14, S-BUG-17)", async () => {
    const Topic = `topic-${gid}`;
    const send = (id: string) =>
      node.call("Submit", {
        ...{ Gid: id, TransType: "msg", Steps: JSON.stringify([{ action: `topic://${Topic}` }]) },
        ...{ BinPayloads: [Buffer.from("m")], ...waiting },
      });
    expect((await send(`${gid}-0`)).code).toBe(3);
    const first = { Topic, URL: `${busi.grpc}/yes`, Remark: "r" };
    expect((await node.call("Subscribe", first)).code).toBe(0);
    expect(await node.call("Subscribe", first)).toMatchObject({ code: 10, details: "this url exists" });
    expect((await node.call("Subscribe", { Topic, URL: `${busi.http}/yes` })).code).toBe(0);
    expect((await send(`${gid}-1`)).code).toBe(0);
    expect(busi.received.map(({ branchId }) => branchId)).toEqual(["01-01", "01-02"]);
    expect((await node.call("Unsubscribe", first)).code).toBe(0);
    expect((await node.call("Unsubscribe", first)).code).toBe(5);
    expect((await node.call("DeleteTopic", { Topic })).code).toBe(0);
    expect((await node.call("DeleteTopic", { Topic })).code).toBe(5);
    expect((await send(`${gid}-2`)).code).toBe(3);
    expect((await node.call("Subscribe", { Topic, URL: `${busi.grpc}/undo` })).code).toBe(0);
    busi.received.length = 0;
    expect((await send(`${gid}-3`)).code).toBe(0);
    expect(busi.received.map(({ path, branchId }) => path + branchId)).toEqual(["/busi.Busi/undo01"]);
  });
});

describe("what tools ask", () => {
  const curl = async (...args: readonly string[]) => {
    const options = ["curl", "--protocol", "grpc", "--http2-prior-knowledge", ...args];
    const { stdout } = await promisify(execFile)("node_modules/.bin/buf", options);
    return stdout;
  };
  const protocols = ["grpc-v1", "grpc-v1alpha"];

  for (const protocol of protocols)
    it(`is answered by reflection ${protocol}: services, methods, and a call by description`, async () => {
      const base = `http://${node.address}`;
      const listed = await curl("--reflect-protocol", protocol, "--list-methods", base);
      expect(listed).toContain("dtmgimp.Dtm/PrepareWorkflow");
      expect(listed).toContain("grpc.health.v1.Health/Check");
      const request = JSON.stringify({ Gid: gid, TransType: "workflow", CustomedData: `{"name":"n"}` });
      const reply = await curl("--reflect-protocol", protocol, "-d", request, `${base}/dtmgimp.Dtm/PrepareWorkflow`);
      expect(JSON.parse(reply)).toEqual({ transaction: { gid, status: "prepared" } });
    });

  it("is answered by health: serving as a whole and by service, unknown otherwise", async () => {
    const check = (service: string) =>
      curl("-d", JSON.stringify({ service }), `http://${node.address}/grpc.health.v1.Health/Check`);
    expect(JSON.parse(await check(""))).toEqual({ status: "SERVING" });
    expect(JSON.parse(await check("dtmgimp.Dtm"))).toEqual({ status: "SERVING" });
    await expect(check("other")).rejects.toThrow(/not_found/);
  });
});
