/**
 * One script of operations in words that belong to no protocol, carried out by each of them: what was said, what is
 * stored and what participants were asked must be the same. Used for one node (test/grpc) and for a cluster
 * (test/cluster).
 */
import fc from "fast-check";
import { expect } from "vitest";
import type { Participants, TestNode } from "./node.js";

/** An operation in words that belong to no protocol. */
export interface Step {
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

/** Where operations are asked for: one node, or any node of a cluster. */
export interface Doors extends Pick<TestNode, "ask" | "call"> {
  /** Request-reply of the NATS API, where there is one. */
  nats?(
    operation: string,
    fields: object,
  ): Promise<{ readonly status: number; readonly json: Record<string, unknown> }>;
}

/** Protocols that a client may speak. */
export type Name = "http" | "json-rpc" | "grpc" | "nats";

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

const loose = (said: readonly Said[]) =>
  said.map(({ meaning, words }) => ({ meaning: /bad|none/.test(meaning) ? "bad or none" : meaning, words }));

/** Carries scripts out through doors, with participants behind; every run has gids of its own. */
export class Scripts {
  readonly #doors: Doors;
  readonly #busi: Participants;
  readonly #prefix: string;
  #runs = 0;

  constructor(doors: Doors, busi: Participants, prefix = "s") {
    this.#doors = doors;
    this.#busi = busi;
    this.#prefix = prefix;
  }

  /** A gid that no other run has. */
  freshGid(): string {
    return `${this.#prefix}${++this.#runs}`;
  }

  /** Runs it by all of them and compares; gives what the first one said. */
  async compare(script: readonly Step[], names: readonly Name[]): Promise<readonly string[]> {
    const prefix = this.freshGid();
    const [first, ...others] = await Promise.all(names.map((name) => this.#run(name, script, prefix)));
    for (const other of others) {
      expect(loose(other.said), names.join()).toEqual(loose(first?.said ?? []));
      expect(other.stored).toEqual(first?.stored);
      expect(other.calls).toEqual(first?.calls);
    }
    return (first?.said ?? []).map(({ meaning }) => meaning);
  }

  /** One step by one protocol. */
  say(name: Name, step: Step, gid: string): Promise<Said> {
    switch (name) {
      case "http":
        return this.#byHttp(step, gid);
      case "json-rpc":
        return this.#byJsonRpc(step, gid);
      case "grpc":
        return this.#byGrpc(step, gid);
      case "nats":
        return this.#byNats(step, gid);
    }
  }

  async #run(name: Name, script: readonly Step[], prefix: string) {
    const gid = `${prefix}-${name}`;
    const said: Said[] = [];
    for (const step of script) {
      const { meaning, words } = await this.say(name, step.topic === undefined ? step : { ...step, topic: gid }, gid);
      said.push({ meaning, words: words.replaceAll(gid, "GID") });
    }
    const calls = this.#busi.received.filter((call) => call.gid === gid);
    return {
      said,
      stored: await this.#stored(gid),
      calls: calls.map(({ op, branchId, path, body }) => [branchId, op, path, body]),
    };
  }

  /** What a transaction came to, without what must differ: id, gid, protocol, times. */
  async #stored(gid: string): Promise<unknown> {
    const { json } = await this.#doors.ask(`/api/dtmsvr/query?gid=${gid}`);
    const text = JSON.stringify(json, (name, value) => {
      if (/_time$|^id$|^protocol$/.test(name)) return undefined;
      return typeof value === "string" ? value.replaceAll(gid, "GID") : value;
    });
    return JSON.parse(text);
  }

  #urlsOf({ actions = [] }: Step) {
    const { http } = this.#busi;
    return actions.map((action) => ({ action: action && `${http}/${action}`, compensate: `${http}/undo` }));
  }

  /** A step as the body of HTTP, JSON-RPC and NATS. */
  #bodyOf(step: Step, gid: string): object {
    if (step.operation === "registerBranch")
      return { gid, trans_type: step.type, branch_id: step.branchId, data: step.payload, ...step.data };
    return {
      ...{ gid, trans_type: step.type, wait_result: true, rollback_reason: step.reason, custom_data: step.customData },
      ...(step.actions && { steps: this.#urlsOf(step), payloads: step.actions.map(() => step.payload ?? "{}") }),
      ...(step.extra && { req_extra: step.extra }),
    };
  }

  #topicOf(step: Step) {
    return { topic: step.topic ?? "", url: `${this.#busi.http}/yes` };
  }

  async #byHttp(step: Step, gid: string): Promise<Said> {
    const path = `/api/dtmsvr/${step.operation}`;
    const { status, json } = await (step.topic === undefined
      ? this.#doors.ask(path, this.#bodyOf(step, gid))
      : this.#doors.ask(`${path}?${new URLSearchParams(this.#topicOf(step))}`));
    return { meaning: httpMeanings[status] ?? `${status}`, words: String(json.message ?? "") };
  }

  async #byNats(step: Step, gid: string): Promise<Said> {
    const fields = step.topic === undefined ? this.#bodyOf(step, gid) : this.#topicOf(step);
    const { status, json } = await this.#doors.nats!(step.operation, fields);
    return { meaning: httpMeanings[status] ?? `${status}`, words: String(json.message ?? "") };
  }

  async #byJsonRpc(step: Step, gid: string): Promise<Said> {
    const request = { jsonrpc: "2.0", id: "1", method: step.operation, params: this.#bodyOf(step, gid) };
    const { json } = await this.#doors.ask("/api/json-rpc", request);
    const error = json.error as { code: number; message: string } | null;
    if (error === null) return { meaning: "ok", words: "" };
    return { meaning: rpcMeanings[error.code] ?? `${error.code}`, words: error.message };
  }

  async #byGrpc(step: Step, gid: string): Promise<Said> {
    const rpc = step.operation.charAt(0).toUpperCase() + step.operation.slice(1);
    const branch = { BranchID: step.branchId, Data: step.data, BusiPayload: Buffer.from(step.payload ?? "") };
    const steps = step.actions === undefined ? "" : JSON.stringify(this.#urlsOf(step));
    const transaction = {
      ...{ RollbackReason: step.reason ?? "", CustomedData: step.customData ?? "", ReqExtra: step.extra ?? {} },
      ...{ TransOptions: { WaitResult: true }, Steps: steps },
      BinPayloads: (step.actions ?? []).map(() => Buffer.from(step.payload ?? "{}")),
    };
    const common = { Gid: gid, TransType: step.type };
    const request = step.operation === "registerBranch" ? { ...common, ...branch } : { ...common, ...transaction };
    const { topic, url } = this.#topicOf(step);
    const { code, details } = await this.#doors.call(
      rpc,
      step.topic === undefined ? request : { Topic: topic, URL: url },
    );
    // Refusals name the field as the protocol calls it.
    return { meaning: grpcMeanings[code] ?? `${code}`, words: details.replace("BinPayloads", "payloads") };
  }
}

const tcc = { confirm: "http://127.0.0.1:1/gone", cancel: "" };

/** Scripts by name, with what each step is answered. One with `large` does not fit into every protocol's message. */
export const scripted: readonly (readonly [string, readonly Step[], readonly string[]])[] = [
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

const input = { type: "workflow", customData: `{"name":"wf","data":"e30="}` } as const;
const branch = { operation: "registerBranch", type: "workflow", branchId: "01" } as const;
const data = { op: "action", status: "succeed" };
const workflowSteps: readonly Step[] = [
  { operation: "prepareWorkflow", ...input },
  { ...branch, data, payload: "r" },
  { ...branch, data, payload: "r" },
  { ...branch, data, payload: "other" },
  { operation: "prepareWorkflow", ...input },
  { operation: "prepareWorkflow", ...input, customData: `{"name":"other"}` },
  { operation: "submit", type: "workflow", extra: { status: "failed", rollback_reason: "why", result: "UkVT" } },
  { operation: "submit", type: "workflow", extra: { status: "succeed" } },
  { ...branch, branchId: "02", data, payload: "late" },
  { operation: "subscribe", type: "", topic: "t" },
  { operation: "subscribe", type: "", topic: "t" },
  { operation: "unsubscribe", type: "", topic: "t" },
  { operation: "unsubscribe", type: "", topic: "t" },
];

/** A workflow, and a topic; JSON-RPC has neither. */
export const workflowScript: readonly [script: readonly Step[], meanings: readonly string[]] = [
  workflowSteps,
  ["ok", "ok", "ok", "no", "ok", "no", "ok", "no", "no", "ok", "no", "ok", "none"],
];

const type = fc.constantFrom("saga", "tcc", "xa", "msg", "workflow");
const actions = fc.array(fc.constantFrom("yes", "fail", "ongoing", "undo", ""), { maxLength: 3 });
const anyStep: fc.Arbitrary<Step> = fc.oneof(
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

/** Any script of a few steps. */
export const anyScript: fc.Arbitrary<readonly Step[]> = fc.array(anyStep, { minLength: 1, maxLength: 7 });

/** What chance alone may not come to: one script for each rarer answer. */
export const rareScripts: readonly (readonly Step[])[] = [
  [{ operation: "submit", type: "saga", actions: ["ongoing"] }],
  [{ operation: "submit", type: "saga", actions: ["yes"] }],
  [{ operation: "abort", type: "tcc" }],
];
