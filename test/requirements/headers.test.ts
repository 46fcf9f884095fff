/**
 * Headers of single steps and branches, which DTM's protocol does not have: as members that it passes over. One node on
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

const fresh = () => `headers-${++gids}`;
const post = (operation: string, body: object) => node.ask(`/api/dtmsvr/${operation}`, body);
const step = (way: string) => ({ action: `${busi.http}/${way}`, compensate: `${busi.http}/undo` });
const common = { "X-Tenant": "t", "X-Token": "all" };
const bytes = Buffer.from("p");
/** What the participants saw of a transaction: op, branch, and the two headers of these tests. */
const tokens = (gid: string) =>
  busi.received
    .filter((call) => call.gid === gid)
    .map(({ op, branchId, metadata }) => `${op} ${branchId} ${metadata["x-token"]} ${metadata["x-tenant"]}`);

describe("headers of one step", () => {
  it("C-PIT-12: go with its calls alone, over branch_headers, over HTTP and gRPC", async () => {
    const [gid, message, other] = [fresh(), fresh(), fresh()];
    const own = (headers: unknown) => ({ ...step("yes"), headers });
    const steps = [own({ "x-token": "one" }), own('{"x-token":"two"}'), own(null), step("fail")];
    const whole = { branch_headers: common, payloads: ["", "", "", ""] };
    await post("submit", { gid, trans_type: "saga", steps, ...whole });
    await node.until(gid, "failed");
    expect(tokens(gid)).toEqual([
      ...["action 01 one t", "action 02 two t", "action 03 all t", "action 04 all t"],
      ...["compensate 04 all t", "compensate 03 all t", "compensate 02 two t", "compensate 01 one t"],
    ]);
    await post("submit", {
      gid: message,
      trans_type: "msg",
      steps: steps.slice(0, 3),
      ...whole,
      payloads: ["", "", ""],
    });
    await node.until(message, "succeed");
    expect(tokens(message)).toEqual(["action 01 one t", "action 02 two t", "action 03 all t"]);
    const first = { action: `${busi.grpc}/yes`, headers: { "X-Token": "one" } };
    const Steps = JSON.stringify([first, { action: `${busi.grpc}/fail` }]);
    const request = { TransType: "saga", Steps, TransOptions: { BranchHeaders: common }, BinPayloads: [bytes, bytes] };
    await node.call("Submit", { Gid: other, ...request });
    await node.until(other, "failed");
    expect(tokens(other)).toEqual(["action 01 one t", "action 02 all t"]);
  });

  it("C-PIT-12: go with a call over JSON-RPC, beside the frame", async () => {
    const gid = fresh();
    const frame = (way: string) => ({
      action: `${busi.http}/${way}?method=pay`,
      compensate: `${busi.http}/undo?method=un`,
    });
    const steps = [{ ...frame("yes"), headers: { "x-token": "one" } }, frame("fail")];
    await post("submit", {
      gid,
      trans_type: "saga",
      protocol: "json-rpc",
      steps,
      branch_headers: common,
      payloads: ["{}", "{}"],
    });
    await node.until(gid, "failed");
    expect(tokens(gid)).toEqual([
      ...["action 01 one t", "action 02 all t", "compensate 02 all t", "compensate 01 one t"],
    ]);
    const seen = busi.received.filter((call) => call.gid === gid);
    expect(seen.map(({ protocol }) => protocol)).toEqual(seen.map(() => "json-rpc"));
    expect(seen.map(({ body }) => /token/i.test(body))).toEqual(seen.map(() => false));
  });

  it("C-PIT-12: go with a registered branch's confirm, cancel, commit or rollback", async () => {
    for (const [trans_type, end, op] of [
      ["tcc", "submit", "confirm"],
      ["tcc", "abort", "cancel"],
      ["xa", "submit", "commit"],
      ["xa", "abort", "rollback"],
    ] as const) {
      const gid = fresh();
      const whole = { gid, trans_type };
      await post("prepare", { ...whole, branch_headers: common });
      const urls = { confirm: `${busi.http}/yes`, cancel: `${busi.http}/yes`, url: `${busi.http}/yes` };
      const branch = { ...whole, ...urls, data: "{}" };
      await post("registerBranch", { ...branch, branch_id: "01", headers: { "x-token": "one" } });
      // A repeat with a fresher token is the same branch (D3): the first one's headers stay.
      const again = await post("registerBranch", { ...branch, branch_id: "01", headers: { "x-token": "new" } });
      expect(again.status).toBe(200);
      const Data = { ...urls, headers: '{"x-token":"two"}' };
      const request = { Gid: gid, TransType: trans_type, BranchID: "02", Data, BusiPayload: bytes };
      expect(await node.call("RegisterBranch", request)).toMatchObject({ code: 0 });
      await post("registerBranch", { ...branch, branch_id: "03" });
      await post(end, whole);
      await node.until(gid, "succeed", "failed");
      expect(tokens(gid).sort()).toEqual([`${op} 01 one t`, `${op} 02 two t`, `${op} 03 all t`]);
    }
  });

  it("D2: are no part of a submit's content: a repeat with another token is the same submit", async () => {
    const gid = fresh();
    const saga = (token: string) => ({
      ...{ gid, trans_type: "saga", payloads: [""], wait_result: true },
      steps: [{ ...step("yes"), headers: { "x-token": token } }],
    });
    expect((await post("submit", saga("one"))).status).toBe(200);
    expect((await post("submit", saga("two"))).status).toBe(200);
    expect(tokens(gid)).toEqual(["action 01 one undefined"]);
  });

  it("are held to the rules of branch_headers: nothing is stored of what breaks them (bad-inputs 34 to 37)", async () => {
    const gid = fresh();
    await post("prepare", { gid, trans_type: "tcc" });
    const branch = { gid, trans_type: "tcc", branch_id: "01", data: "", confirm: "", cancel: "" };
    const many = Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`x-${i}`, "v"]));
    const bad = [{ a: "b\r\nc: d" }, { host: "x" }, { "dtm-gid": "x" }, { "a b": "x" }, { a: 1 }];
    for (const headers of [...bad, many, { x: "v".repeat(16 * 1024) }, [], 5, true, "{", "[1]", "text", '{"a":1}']) {
      const saga = { gid: fresh(), trans_type: "saga", steps: [{ ...step("yes"), headers }], payloads: [""] };
      expect(await post("submit", saga)).toMatchObject({
        ...{ status: 400, json: { message: expect.stringMatching(/^steps\[0\]\.headers/) } },
      });
      expect((await node.ask(`/api/dtmsvr/query?gid=${saga.gid}`)).json.transaction).toBeNull();
      expect(await post("registerBranch", { ...branch, headers })).toMatchObject({
        ...{ status: 400, json: { message: expect.stringMatching(/^headers/) } },
      });
    }
    expect((await node.ask(`/api/dtmsvr/query?gid=${gid}`)).json.branches).toEqual([]);
  });
});
