/**
 * The protocols say and store the same: one script of operations through HTTP, JSON-RPC and gRPC, fixed ones and random
 * ones, with the answers and the stored transactions compared (codecs must not drift apart; the digest of D2 is
 * independent of the protocol, too).
 */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Participants, startParticipants, startTestNode, type TestNode } from "./node.js";

/** An operation in words that belong to no protocol. */
interface Step {
  readonly operation:
    | "prepare"
    | "submit"
    | "abort"
    | "registerBranch"
    | "prepareWorkflow"
    | "subscribe"
    | "unsubscribe";
  readonly type: string;
  readonly actions?: readonly string[];
  readonly payload?: string;
  readonly reason?: string;
  readonly branchId?: string;
  readonly data?: Readonly<Record<string, string>>;
  readonly extra?: Readonly<Record<string, string>>;
  readonly customData?: string;
  readonly topic?: string;
}

/** What was said, as the one table of errors has it, and the words. */
interface Said {
  readonly meaning: string;
  readonly words: string;
}

let node: TestNode;
let busi: Participants;
let scripts = 0;
beforeAll(async () => {
  [node, busi] = await Promise.all([startTestNode(), startParticipants()]);
});
afterAll(async () => {
  await node.close();
  await busi.close();
});

const urlsOf = ({ actions = [] }: Step) =>
  actions.map((action) => ({ action: action && `${busi.http}/${action}`, compensate: `${busi.http}/undo` }));

/** A step as the body of HTTP and JSON-RPC. */
function bodyOf(step: Step, gid: string): object {
  if (step.operation === "registerBranch")
    return { gid, trans_type: step.type, branch_id: step.branchId, data: step.payload, ...step.data };
  return {
    ...{ gid, trans_type: step.type, wait_result: true, rollback_reason: step.reason, custom_data: step.customData },
    ...(step.actions && { steps: urlsOf(step), payloads: step.actions.map(() => step.payload ?? "{}") }),
    ...(step.extra && { req_extra: step.extra }),
  };
}

const httpMeanings: Readonly<Record<number, string>> = {
  200: "ok",
  400: "bad",
  404: "none",
  409: "no",
  413: "large",
  425: "later",
};
const grpcMeanings: Readonly<Record<number, string>> = {
  0: "ok",
  3: "bad",
  5: "none",
  6: "no",
  8: "large",
  9: "later",
  10: "no",
};
const rpcMeanings: Readonly<Record<number, string>> = { "-32901": "no", "-32902": "later", "-32603": "bad or none" };

async function byHttp(step: Step, gid: string): Promise<Said> {
  const query = new URLSearchParams({ topic: step.topic ?? "", url: `${busi.http}/yes` });
  const { status, json } = await (step.topic === undefined
    ? node.ask(`/api/dtmsvr/${step.operation}`, bodyOf(step, gid))
    : node.ask(`/api/dtmsvr/${step.operation}?${query}`));
  return { meaning: httpMeanings[status] ?? `${status}`, words: String(json.message ?? "") };
}

async function byJsonRpc(step: Step, gid: string): Promise<Said> {
  const request = { jsonrpc: "2.0", id: "1", method: step.operation, params: bodyOf(step, gid) };
  const { json } = await node.ask("/api/json-rpc", request);
  const error = json.error as { code: number; message: string } | null;
  if (error === null) return { meaning: "ok", words: "" };
  return { meaning: rpcMeanings[error.code] ?? `${error.code}`, words: error.message };
}

async function byGrpc(step: Step, gid: string): Promise<Said> {
  const rpc = step.operation.charAt(0).toUpperCase() + step.operation.slice(1);
  const branch = { BranchID: step.branchId, Data: step.data, BusiPayload: Buffer.from(step.payload ?? "") };
  const transaction = {
    ...{ RollbackReason: step.reason ?? "", CustomedData: step.customData ?? "", ReqExtra: step.extra ?? {} },
    ...{ TransOptions: { WaitResult: true }, Steps: step.actions === undefined ? "" : JSON.stringify(urlsOf(step)) },
    BinPayloads: (step.actions ?? []).map(() => Buffer.from(step.payload ?? "{}")),
  };
  const common = { Gid: gid, TransType: step.type };
  const request = step.operation === "registerBranch" ? { ...common, ...branch } : { ...common, ...transaction };
  const topic = { Topic: step.topic, URL: `${busi.http}/yes` };
  const { code, details } = await node.call(rpc, step.topic === undefined ? request : topic);
  // Refusals name the field as the protocol calls it.
  return { meaning: grpcMeanings[code] ?? `${code}`, words: details.replace("BinPayloads", "payloads") };
}

const protocols = { http: byHttp, "json-rpc": byJsonRpc, grpc: byGrpc } as const;
type Name = keyof typeof protocols;

/** What a transaction came to, without what must differ: id, gid, protocol, times. */
async function stored(gid: string): Promise<unknown> {
  const { json } = await node.ask(`/api/dtmsvr/query?gid=${gid}`);
  const text = JSON.stringify(json, (name, value) => {
    if (/_time$|^id$|^protocol$/.test(name)) return undefined;
    return typeof value === "string" ? value.replaceAll(gid, "GID") : value;
  });
  return JSON.parse(text);
}

/** Runs the script by one protocol. */
async function run(name: Name, script: readonly Step[], prefix: string) {
  const gid = `${prefix}-${name}`;
  const said: Said[] = [];
  for (const step of script) {
    const { meaning, words } = await protocols[name](step.topic === undefined ? step : { ...step, topic: gid }, gid);
    said.push({ meaning, words: words.replaceAll(gid, "GID") });
  }
  const calls = busi.received.filter((call) => call.gid === gid);
  return {
    said,
    stored: await stored(gid),
    calls: calls.map(({ op, branchId, path, body }) => [branchId, op, path, body]),
  };
}

const loose = (said: readonly Said[]) =>
  said.map(({ meaning, words }) => ({ meaning: /bad|none/.test(meaning) ? "bad or none" : meaning, words }));

/** Runs it by all of them and compares; gives what HTTP said. */
async function compare(script: readonly Step[], names: readonly Name[] = ["http", "json-rpc", "grpc"]) {
  const prefix = `s${++scripts}`;
  const results = await Promise.all(names.map((name) => run(name, script, prefix)));
  const [first, ...others] = results;
  for (const other of others) {
    expect(loose(other.said)).toEqual(loose(first?.said ?? []));
    expect(other.stored).toEqual(first?.stored);
    expect(other.calls).toEqual(first?.calls);
  }
  return (first?.said ?? []).map(({ meaning }) => meaning);
}

const tcc = { confirm: "http://127.0.0.1:1/gone", cancel: "" };

describe("HTTP, JSON-RPC and gRPC", () => {
  const scripted: readonly (readonly [string, readonly Step[], readonly string[]])[] = [
    [
      "a saga, again, and with other content",
      [
        { operation: "submit", type: "saga", actions: ["yes", "yes"], payload: "größe" },
        { operation: "submit", type: "saga", actions: ["yes", "yes"], payload: "größe" },
        { operation: "submit", type: "saga", actions: ["yes"] },
        { operation: "prepare", type: "saga", actions: ["yes"] },
      ],
      ["ok", "ok", "no", "no"],
    ],
    [
      "a saga that is rolled back",
      [
        { operation: "submit", type: "saga", actions: ["yes", "fail"] },
        { operation: "submit", type: "saga", actions: ["yes", "fail"] },
      ],
      ["no", "no"],
    ],
    ["a saga that goes on", [{ operation: "submit", type: "saga", actions: ["ongoing"] }], ["later"]],
    [
      "a tcc that is confirmed",
      [
        { operation: "prepare", type: "tcc" },
        { operation: "registerBranch", type: "tcc", branchId: "01", payload: "p", data: { confirm: "", cancel: "" } },
        { operation: "registerBranch", type: "tcc", branchId: "01", payload: "p", data: { confirm: "", cancel: "" } },
        { operation: "registerBranch", type: "tcc", branchId: "01", payload: "q", data: { confirm: "", cancel: "" } },
        { operation: "submit", type: "tcc" },
        { operation: "registerBranch", type: "tcc", branchId: "02", data: tcc },
        { operation: "abort", type: "tcc" },
      ],
      ["ok", "ok", "ok", "no", "ok", "no", "no"],
    ],
    [
      "a tcc that is cancelled",
      [
        { operation: "prepare", type: "tcc" },
        { operation: "registerBranch", type: "tcc", branchId: "01", data: tcc },
        { operation: "abort", type: "tcc", reason: "why" },
        { operation: "abort", type: "tcc", reason: "again" },
        { operation: "submit", type: "tcc" },
      ],
      ["ok", "ok", "ok", "ok", "no"],
    ],
    [
      "a message",
      [
        { operation: "prepare", type: "msg", actions: ["yes"], payload: "m" },
        { operation: "submit", type: "msg", actions: ["other"], payload: "m" },
      ],
      ["ok", "ok"],
    ],
    [
      "what is wrong",
      [
        { operation: "submit", type: "quantum" },
        { operation: "submit", type: "saga", actions: ["yes"], payload: "x".repeat((1 << 20) + 1) },
        { operation: "abort", type: "tcc" },
        { operation: "submit", type: "saga", actions: ["a\u0000b"] },
        { operation: "submit", type: "saga", actions: ["yes"], customData: "no JSON" },
        { operation: "registerBranch", type: "saga", branchId: "01" },
        { operation: "submit", type: "workflow", extra: { status: "weird" } },
        { operation: "submit", type: "workflow", extra: { status: "succeed" } },
      ],
      ["bad", "large", "none", "bad", "bad", "bad", "bad", "none"],
    ],
  ];
  for (const [name, script, meanings] of scripted)
    it(`say and store the same of ${name}`, async () => {
      const large = meanings.includes("large");
      expect(await compare(script, large ? ["http", "grpc"] : ["http", "json-rpc", "grpc"])).toEqual(meanings);
    });

  it("say and store the same of workflows and topics, where both have them", async () => {
    const input = { type: "workflow", customData: `{"name":"wf","data":"e30="}` } as const;
    const step = { operation: "registerBranch", type: "workflow", branchId: "01" } as const;
    const data = { op: "action", status: "succeed" };
    const script: readonly Step[] = [
      { operation: "prepareWorkflow", ...input },
      { ...step, data, payload: "r" },
      { ...step, data, payload: "r" },
      { ...step, data, payload: "other" },
      { operation: "prepareWorkflow", ...input },
      { operation: "prepareWorkflow", ...input, customData: `{"name":"other"}` },
      { operation: "submit", type: "workflow", extra: { status: "failed", rollback_reason: "why", result: "UkVT" } },
      { operation: "submit", type: "workflow", extra: { status: "succeed" } },
      { ...step, branchId: "02", data, payload: "late" },
      { operation: "subscribe", type: "", topic: "t" },
      { operation: "subscribe", type: "", topic: "t" },
      { operation: "unsubscribe", type: "", topic: "t" },
      { operation: "unsubscribe", type: "", topic: "t" },
    ];
    expect(await compare(script, ["http", "grpc"])).toEqual([
      ...["ok", "ok", "ok", "no", "ok", "no", "ok", "no", "no"],
      ...["ok", "no", "ok", "none"],
    ]);
  });

  it("take the same submit by another protocol for the same (D2)", async () => {
    const step: Step = { operation: "submit", type: "saga", actions: ["yes", ""], payload: "{}" };
    const gid = `same-${++scripts}`;
    for (const name of ["http", "grpc", "json-rpc"] as const)
      expect((await protocols[name](step, gid)).meaning).toBe("ok");
    expect(busi.received.filter((call) => call.gid === gid)).toHaveLength(1);
  });

  it("say and store the same of any script", async () => {
    const type = fc.constantFrom("saga", "tcc", "xa", "msg", "workflow");
    const actions = fc.array(fc.constantFrom("yes", "fail", "ongoing", "undo", ""), { maxLength: 3 });
    const step: fc.Arbitrary<Step> = fc.oneof(
      fc.record({
        operation: fc.constantFrom("prepare", "submit"),
        type,
        actions,
        payload: fc.constantFrom("{}", "x"),
      }),
      fc.record({ operation: fc.constant("abort"), type, reason: fc.constantFrom("", "why") }),
      fc.record({
        operation: fc.constant("registerBranch"),
        type,
        branchId: fc.constantFrom("01", "02", ""),
        payload: fc.constantFrom("p", "q"),
        data: fc.constantFrom<Readonly<Record<string, string>>>(
          { confirm: "", cancel: "" },
          { url: "" },
          { op: "a", status: "succeed" },
          {},
        ),
      }),
      fc.record({
        operation: fc.constant("submit"),
        type: fc.constant("workflow"),
        extra: fc.constantFrom<Readonly<Record<string, string>>>(
          { status: "succeed" },
          { status: "failed", rollback_reason: "r" },
          {},
        ),
      }),
    );
    const seen = new Set<string>();
    /** What chance alone may not come to: one script for each rarer answer. */
    const always: readonly (readonly Step[])[] = [
      [{ operation: "submit", type: "saga", actions: ["ongoing"] }],
      [{ operation: "submit", type: "saga", actions: ["yes"] }],
      [{ operation: "abort", type: "tcc" }],
    ];
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 7 }), async (script) => {
        for (const meaning of await compare(script)) seen.add(meaning);
      }),
      { numRuns: 60, examples: always.map((script) => [[...script]]) },
    );
    expect([...seen].sort()).toEqual(["bad", "later", "no", "none", "ok"]);
  });
});
