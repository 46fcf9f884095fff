/**
 * The request_timeout of single steps and branches, which DTM's protocol does not have: as a member that it passes
 * over. One node on memory, participants that do not answer; what the node says of a call that it gave up.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { grpcEndpoint } from "../../src/client/grpc/index.js";
import { createClient } from "../../src/client/index.js";
import { type Participants, startParticipants, startTestNode, type TestNode } from "../grpc/node.js";

let node: TestNode;
let gids = 0;
const opened: Participants[] = [];
beforeAll(async () => {
  node = await startTestNode();
});
afterAll(async () => {
  await node.close();
  await Promise.all(opened.map((busi) => busi.close()));
});
/** For one test: those of all together would be silent so often that they were not called any more. */
const startOwn = async () => {
  const busi = await startParticipants();
  opened.push(busi);
  return busi;
};

const fresh = () => `timeouts-${++gids}`;
const post = (operation: string, body: object) => node.ask(`/api/dtmsvr/${operation}`, body);
const query = async (gid: string) => (await node.ask(`/api/dtmsvr/query?gid=${gid}`)).json;
const bytes = Buffer.from("p");
/** Calls of a transaction that were given up, and after how long. */
const givenUp = async (gid: string) => {
  const branches = (await query(gid)).branches as readonly Readonly<Record<string, string | undefined>>[];
  return branches.flatMap(({ op, branch_id, last_error }) => {
    const [, ms] = /no answer within (\d+) ms/.exec(last_error ?? "") ?? [];
    return ms === undefined ? [] : [`${op} ${branch_id} ${ms}`];
  });
};
const untilGivenUp = (gid: string) => expect.poll(() => givenUp(gid), { timeout: 10_000, interval: 100 });

describe("the timeout of one step", () => {
  it("C-PIT-10: counts for its calls, over the transaction's", async () => {
    const base = (await startOwn()).http;
    const steps = [
      { action: `${base}/hang`, compensate: "", request_timeout: 1 },
      { action: `${base}/hang`, compensate: "", request_timeout: "2" },
      { action: `${base}/hang`, compensate: "" },
    ];
    const whole = { request_timeout: 3, concurrent: true, payloads: ["a", "b", "c"] };
    const [gid, message] = [fresh(), fresh()];
    await post("submit", { ...whole, gid, trans_type: "saga", steps, custom_data: '{"concurrent":true}' });
    await post("submit", { ...whole, gid: message, trans_type: "msg", steps });
    const wanted = ["action 01 1000", "action 02 2000", "action 03 3000"];
    await Promise.all([untilGivenUp(gid).toEqual(wanted), untilGivenUp(message).toEqual(wanted)]);
  });

  it("C-PIT-10: counts for its compensation, and in DTM's gRPC messages", async () => {
    const [gid, busi] = [fresh(), await startOwn()];
    const steps = [{ action: `${busi.http}/yes`, compensate: `${busi.http}/hang`, request_timeout: "1" }];
    const Steps = JSON.stringify([...steps, { action: `${busi.http}/fail`, compensate: "" }]);
    await node.call("Submit", { Gid: gid, TransType: "saga", Steps, BinPayloads: [bytes, bytes] });
    await untilGivenUp(gid).toEqual(["compensate 01 1000"]);
  });

  it("C-PIT-10: counts for a call over JSON-RPC", async () => {
    const [gid, busi] = [fresh(), await startOwn()];
    const steps = [
      { action: `${busi.http}/hang?method=pay`, compensate: "", request_timeout: 1 },
      { action: `${busi.http}/hang?method=pay`, compensate: "" },
    ];
    const whole = { protocol: "json-rpc", request_timeout: 2, concurrent: true, custom_data: '{"concurrent":true}' };
    await post("submit", { ...whole, gid, trans_type: "saga", steps, payloads: ["{}", "{}"] });
    await untilGivenUp(gid).toEqual(["action 01 1000", "action 02 2000"]);
    expect(busi.received.map(({ protocol }) => protocol)).toEqual(["json-rpc", "json-rpc"]);
  });

  it.for([
    ["tcc", "submit", "confirm"],
    ["tcc", "abort", "cancel"],
    ["xa", "submit", "commit"],
    ["xa", "abort", "rollback"],
  ] as const)("C-PIT-10: counts for a registered branch's phase two: %s, %s", async ([trans_type, end, op]) => {
    const busi = await startOwn();
    const json = async (request_timeout: unknown, more = {}) => {
      const gid = fresh();
      await post("prepare", { gid, trans_type, request_timeout: 50 });
      const urls = { confirm: `${busi.http}/hang`, cancel: `${busi.http}/hang`, url: `${busi.http}/hang` };
      const branch = { gid, trans_type, branch_id: "01", data: "{}", ...urls };
      expect(await post("registerBranch", { ...branch, request_timeout })).toMatchObject({ status: 200 });
      // A repeat with another timeout is the same branch (D3): the first one's stays.
      expect(await post("registerBranch", { ...branch, ...more })).toMatchObject({ status: 200 });
      await post(end, { gid, trans_type });
      await untilGivenUp(gid).toEqual([`${op} 01 1000`]);
    };
    const overGrpc = async () => {
      const gid = fresh();
      await post("prepare", { gid, trans_type, request_timeout: 50 });
      const url = `${busi.http}/hang`;
      const Data = { confirm: url, cancel: url, url, request_timeout: "1" };
      const branch = { Gid: gid, TransType: trans_type, BranchID: "01", Data, BusiPayload: bytes };
      expect(await node.call("RegisterBranch", branch)).toMatchObject({ code: 0 });
      await post(end, { gid, trans_type });
      await untilGivenUp(gid).toEqual([`${op} 01 1000`]);
    };
    await Promise.all([json(1), json("1", { request_timeout: 40 }), overGrpc()]);
  });

  it("is sent by a client over gRPC as well", async () => {
    await using client = createClient({ endpoints: [grpcEndpoint(node.address)] });
    const [gid, other] = [fresh(), fresh()];
    const busi = await startOwn();
    await client.tcc({ gid }, async (tcc) => {
      const [yes, hang] = [`${busi.http}/yes`, `${busi.http}/hang`];
      await tcc.call({ try: yes, confirm: hang, cancel: hang, timeout: "1s" }, {});
    });
    const step = { action: `${busi.http}/hang`, compensate: "", timeout: 500 };
    await client.saga({ gid: other }).step(step, {}).submit();
    await Promise.all([
      untilGivenUp(gid).toEqual(["confirm 01 1000"]),
      untilGivenUp(other).toEqual(["action 01 1000"]),
    ]);
  });

  it("D2: is no part of a submit's content, as a node of an earlier build would not know it", async () => {
    const [gid, busi] = [fresh(), await startOwn()];
    const saga = (request_timeout: unknown) => ({
      ...{ gid, trans_type: "saga", payloads: [""], wait_result: true },
      steps: [{ action: `${busi.http}/yes`, compensate: "", request_timeout }],
    });
    expect((await post("submit", saga(5))).status).toBe(200);
    expect((await post("submit", saga(undefined))).status).toBe(200);
  });

  it("is held to the range of request_timeout (D25, bad-inputs 42): nothing is stored of what breaks it", async () => {
    const [gid, busi] = [fresh(), await startOwn()];
    await post("prepare", { gid, trans_type: "tcc" });
    const branch = { gid, trans_type: "tcc", branch_id: "01", data: "", confirm: "", cancel: "" };
    const saga = (request_timeout: unknown) => ({
      ...{ gid: fresh(), trans_type: "saga", payloads: [""] },
      steps: [{ action: `${busi.http}/yes`, compensate: "", request_timeout }],
    });
    const bad = [3601, -1, 1.5, "3601", "-1", "1.5", "30s", " 1", "1e3", "9".repeat(400), true, [], [1], {}];
    for (const request_timeout of bad) {
      const body = saga(request_timeout);
      const refusal = (field: string) => ({ status: 400, json: { message: expect.stringMatching(field) } });
      expect(await post("submit", body)).toMatchObject(refusal("^steps\\[0\\]\\.request_timeout: .* from 1 to 3600"));
      expect((await query(body.gid)).transaction).toBeNull();
      expect(await post("registerBranch", { ...branch, request_timeout })).toMatchObject(refusal("^request_timeout: "));
    }
    expect((await query(gid)).branches).toEqual([]);
    for (const none of [0, "0", "", null, 3600, "3600"])
      expect(await post("submit", saga(none))).toMatchObject({ status: 200 });
  });
});
