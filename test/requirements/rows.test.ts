/**
 * The branches as `query` shows them at the end, in the order that clients index (S-HTTP-53), for every pattern; and
 * that the answers are the same when the transaction came over gRPC with gRPC participants.
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

/** `compensate 01 succeed`, … of a transaction once it has that status. */
async function rows(gid: string, status: string): Promise<readonly string[]> {
  const { branches } = (await node.until(gid, status)) as { branches: readonly Record<string, string>[] };
  return branches.map((row) => `${row.op} ${row.branch_id} ${row.status}`);
}

/** The status words of a saga's rows, which must be compensate before action, step by step. */
async function sagaRows(gid: string, status: string): Promise<readonly string[]> {
  const all = (await rows(gid, status)).map((row) => row.split(" "));
  expect(all.map(([op, branchId]) => `${op} ${branchId}`)).toEqual(
    all.map((_, i) => `${i % 2 === 0 ? "compensate" : "action"} 0${Math.floor(i / 2) + 1}`),
  );
  return all.map(([, , word]) => word ?? "");
}

/** Where the saga goes: `yes`, `fail`, `ongoing` or `down`, over the protocol. */
type Protocol = "http" | "grpc";
async function saga(protocol: Protocol, ways: readonly string[], options: Readonly<Record<string, number>> = {}) {
  const gid = `rows-${protocol}-${++gids}`;
  const base = protocol === "http" ? busi.http : busi.grpc;
  const url = (way: string) => (way === "down" ? "127.0.0.1:1/busi.Busi/down" : `${base}/${way}`);
  const steps = ways.map((way) => ({
    action: protocol === "http" ? url(way).replace(/^127/, "http://127") : url(way),
    compensate: `${base}/undo`,
  }));
  if (protocol === "http") {
    const payloads = steps.map(() => "{}");
    const { status } = await node.ask("/api/dtmsvr/submit", { gid, trans_type: "saga", steps, payloads, ...options });
    expect(status).toBe(200);
    return gid;
  }
  const names: Readonly<Record<string, string>> = { timeout_to_fail: "TimeoutToFail", retry_limit: "RetryLimit" };
  const more = Object.fromEntries(Object.entries(options).map(([name, n]) => [names[name] ?? "RetryInterval", n]));
  const request = { Gid: gid, TransType: "saga", Steps: JSON.stringify(steps), TransOptions: more };
  const { code } = await node.call("Submit", { ...request, BinPayloads: steps.map(() => Buffer.from("{}")) });
  expect(code).toBe(0);
  return gid;
}

describe.each(["http", "grpc"] as const)("S-SAGA-7: the final branches of a saga over %s", (protocol) => {
  it("that succeeded: compensate prepared, action succeed, for each step", async () => {
    const gid = await saga(protocol, ["yes", "yes"]);
    expect(await sagaRows(gid, "succeed")).toEqual(["prepared", "succeed", "prepared", "succeed"]);
  });
  it("that failed at the second of two steps: succeed, succeed, succeed, failed", async () => {
    const gid = await saga(protocol, ["yes", "fail"]);
    expect(await sagaRows(gid, "failed")).toEqual(["succeed", "succeed", "succeed", "failed"]);
  });
  it("that timed out while the first of two was ongoing: succeed, prepared, prepared, prepared", async () => {
    const gid = await saga(protocol, ["ongoing", "yes"], { timeout_to_fail: 1 });
    expect(await sagaRows(gid, "failed")).toEqual(["succeed", "prepared", "prepared", "prepared"]);
  });
  it("that met its retry limit at the second: succeed, succeed, succeed, prepared", async () => {
    const gid = await saga(protocol, ["yes", "down"], { retry_limit: 1, retry_interval: 1 });
    expect(await sagaRows(gid, "failed")).toEqual(["succeed", "succeed", "succeed", "prepared"]);
    const { transaction } = (await node.until(gid, "failed")) as { transaction: Record<string, string> };
    expect(transaction.rollback_reason).toBe("RetryCount is greater than RetryLimit, RetryLimit: 1");
  });
});

/** prepare, the branches, the end. */
async function twoPhase(type: "tcc" | "xa", end: "submit" | "abort"): Promise<string> {
  const gid = `rows-${type}-${++gids}`;
  const whole = { gid, trans_type: type };
  await node.ask("/api/dtmsvr/prepare", whole);
  const urls =
    type === "tcc" ? { confirm: `${busi.http}/yes`, cancel: `${busi.http}/undo` } : { url: `${busi.http}/yes` };
  const data = type === "tcc" ? { data: "{}" } : {};
  for (const branch_id of ["01", "02"])
    await node.ask("/api/dtmsvr/registerBranch", { ...whole, branch_id, ...data, ...urls });
  expect((await node.ask(`/api/dtmsvr/${end}`, whole)).status).toBe(200);
  return gid;
}

const called = (gid: string) =>
  busi.received.filter((call) => call.gid === gid).map(({ op, branchId }) => `${op} ${branchId}`);

describe("S-HTTP-53, S-ODD-15: the final branches", () => {
  it("S-TCC-3: of a tcc are cancel and confirm of each, the unused ones prepared; last registered first", async () => {
    const gid = await twoPhase("tcc", "submit");
    const expected = ["cancel 01 prepared", "confirm 01 succeed", "cancel 02 prepared", "confirm 02 succeed"];
    expect(await rows(gid, "succeed")).toEqual(expected);
    expect(called(gid)).toEqual(["confirm 02", "confirm 01"]);
    const undone = await twoPhase("tcc", "abort");
    const after = ["cancel 01 succeed", "confirm 01 prepared", "cancel 02 succeed", "confirm 02 prepared"];
    expect(await rows(undone, "failed")).toEqual(after);
    expect(called(undone)).toEqual(["cancel 02", "cancel 01"]);
  });

  it("S-XA-2: of an xa are rollback and commit of each; first registered first, POST with no body", async () => {
    const gid = await twoPhase("xa", "submit");
    const expected = ["rollback 01 prepared", "commit 01 succeed", "rollback 02 prepared", "commit 02 succeed"];
    expect(await rows(gid, "succeed")).toEqual(expected);
    expect(called(gid)).toEqual(["commit 01", "commit 02"]);
    expect(busi.received.filter((call) => call.gid === gid).map(({ body }) => body)).toEqual(["", ""]);
    const undone = await twoPhase("xa", "abort");
    expect(await rows(undone, "failed")).toContain("rollback 02 succeed");
    expect(called(undone)).toEqual(["rollback 01", "rollback 02"]);
  });

  it("S-GEN-10: of a msg are its actions; a topic of two gives 01-01 and 01-02, a topic of one plain numbers", async () => {
    const [one, two] = [`one-${++gids}`, `two-${++gids}`];
    const subscribe = (topic: string, path: string) =>
      node.ask(`/api/dtmsvr/subscribe?${new URLSearchParams({ topic, url: `${busi.http}/${path}` })}`);
    for (const [topic, path] of [
      [one, "yes"],
      [two, "yes"],
      [two, "yes2"],
    ] as const)
      expect((await subscribe(topic, path)).status).toBe(200);
    const gid = `rows-msg-${++gids}`;
    const steps = [{ action: `topic://${two}` }, { action: `topic://${one}` }, { action: `${busi.http}/yes` }];
    const body = { gid, trans_type: "msg", steps, payloads: ["{}", "{}", "{}"] };
    expect((await node.ask("/api/dtmsvr/submit", body)).status).toBe(200);
    const expected = ["01-01", "01-02", "02", "03"].map((branchId) => `action ${branchId} succeed`);
    expect(await rows(gid, "succeed")).toEqual(expected);
  });

  it("S-GEN-10, D13: of a saga with 100 steps end with 99 and 100", async () => {
    const gid = `rows-hundred-${++gids}`;
    const steps = Array.from({ length: 100 }, () => ({ action: "", compensate: "" }));
    await node.ask("/api/dtmsvr/submit", { gid, trans_type: "saga", steps, payloads: steps.map(() => "") });
    const all = await rows(gid, "succeed");
    expect(all.slice(-4).map((row) => row.split(" ")[1])).toEqual(["99", "99", "100", "100"]);
  });
});
