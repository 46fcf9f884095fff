/**
 * The headers and the timeout of single steps and branches, in each form in which the API is asked: what the calls of
 * their participants are made with.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { coordinator, freshGid } from "./harness.js";
import { type AskedByNats, askedByNats } from "./nats.js";

const c = coordinator();
let nats: AskedByNats;
beforeAll(async () => {
  nats = await askedByNats(c);
});
afterAll(async () => {
  await nats.close();
  await c.close();
});

/** Resolves to what an operation was refused with, "" if it was taken. */
type Ask = (operation: string, body: object) => Promise<string>;
const http: Ask = async (operation, body) => {
  const { status, json } = await c.post(operation, body);
  return status === 200 ? "" : `${json.message}`;
};
const jsonRpc: Ask = async (operation, body) => {
  const error = (await c.rpc(operation, body)).json.error as { readonly message: string } | null;
  return error?.message ?? "";
};
const overNats: Ask = async (operation, body) => {
  const { status, json } = await nats.ask(operation, body);
  return status === 200 ? "" : `${json.message}`;
};

const calls = (gid: string) =>
  c.participants.calls
    .filter((call) => call.gid === gid)
    .map(({ op, branchId, headers, timeoutMs }) => `${op} ${branchId} ${headers["x-token"]} ${timeoutMs}`)
    .sort();
const whole = { branch_headers: { "x-token": "all" }, request_timeout: 7, wait_result: true };
const url = "http://busi.test/yes";

describe.each([
  ["HTTP", http],
  ["JSON-RPC", jsonRpc],
  ["NATS", overNats],
] as const)("asked over %s", (_, ask) => {
  it.each([
    ["as JSON's own values", { "x-token": "own" }, 30],
    ["as texts, which DTM passes over", '{"x-token":"own"}', "30"],
  ])("C-PIT-10, 12: a step's headers and timeout, %s, count for its calls alone", async (_form, headers, seconds) => {
    c.participants.scripts.set("http://busi.test/no", () => "failure");
    const own = { headers, request_timeout: seconds };
    const [saga, message] = [freshGid(), freshGid()];
    const step = { action: url, compensate: url };
    const steps = [{ ...step, ...own }, step, { ...step, action: "http://busi.test/no" }];
    await ask("submit", { ...whole, gid: saga, trans_type: "saga", steps, payloads: ["", "", ""] });
    expect(calls(saga)).toEqual([
      ...["action 01 own 30000", "action 02 all 7000", "action 03 all 7000"],
      ...["compensate 01 own 30000", "compensate 02 all 7000", "compensate 03 all 7000"],
    ]);
    const targets = { steps: [{ action: url, ...own }, { action: url }], payloads: ["", ""] };
    expect(await ask("submit", { ...whole, gid: message, trans_type: "msg", ...targets })).toBe("");
    expect(calls(message)).toEqual(["action 01 own 30000", "action 02 all 7000"]);
  });

  it.each([
    ["tcc", "submit", "confirm"],
    ["tcc", "abort", "cancel"],
    ["xa", "submit", "commit"],
    ["xa", "abort", "rollback"],
  ])("C-PIT-10, 12: so do those of a registered branch: %s, %s", async (trans_type, end, op) => {
    const of = { gid: freshGid(), trans_type };
    const branch = { ...of, data: "{}", confirm: url, cancel: url, url };
    expect(await ask("prepare", { ...whole, ...of })).toBe("");
    const own = { headers: { "x-token": "own" }, request_timeout: "30" };
    expect(await ask("registerBranch", { ...branch, ...own, branch_id: "01" })).toBe("");
    expect(await ask("registerBranch", { ...branch, branch_id: "02" })).toBe("");
    await ask(end, { ...whole, ...of });
    expect(calls(of.gid)).toEqual([`${op} 01 own 30000`, `${op} 02 all 7000`]);
  });

  it("D25: what is out of range, or no header, is refused with the name of its member", async () => {
    const gid = freshGid();
    const saga = (own: object) =>
      ask("submit", { gid, trans_type: "saga", steps: [{ action: url, compensate: "", ...own }], payloads: [""] });
    expect(await saga({ request_timeout: 3601 })).toMatch(/^steps\[0\]\.request_timeout: /);
    expect(await saga({ headers: { host: "x" } })).toMatch(/^steps\[0\]\.headers/);
    expect(await c.stored(gid)).toBeUndefined();
    await ask("prepare", { gid, trans_type: "tcc" });
    const branch = { gid, trans_type: "tcc", branch_id: "01", data: "", confirm: "", cancel: "" };
    expect(await ask("registerBranch", { ...branch, request_timeout: "30s" })).toMatch(/^request_timeout: /);
    expect(await ask("registerBranch", { ...branch, headers: '{"a b":"c"}' })).toMatch(/^headers/);
    expect((await c.stored(gid))?.ops).toEqual([]);
  });
});
