/**
 * Bad inputs, one test for each row of the list that concerns HTTP (numbers are the rows'). Whatever is refused: the
 * answer says why in words for people, nothing is stored, nobody is called.
 */
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, it } from "vitest";
import { coordinator, freshGid, type HttpReply, ownAddress, sagaBody } from "./harness.js";

const c = coordinator();
afterAll(() => c.close());

const leak = /panic|goroutine|\bat \/|\.ts:|node_modules|SELECT|INSERT|undefined|\[object/;

function refusedAs(reply: HttpReply, status: number, why?: RegExp): void {
  expect(reply.status, reply.text).toBe(status);
  const message = String(reply.json.message ?? "");
  expect(message).not.toBe("");
  expect(message).not.toMatch(leak);
  expect(message).toMatch(why ?? /./);
}

/** Submits a saga with something wrong: it must be refused so, and leave no trace. */
async function badSaga(over: Record<string, unknown>, status = 400, why?: RegExp): Promise<void> {
  const gid = typeof over.gid === "string" ? over.gid : freshGid();
  const calls = c.participants.calls.length;
  for (const route of ["submit", "prepare"]) refusedAs(await c.post(route, sagaBody(gid, over)), status, why);
  expect(await c.stored(gid)).toBeUndefined();
  expect(c.participants.calls.length).toBe(calls);
}

const step = (action: string) => ({ steps: [{ action, compensate: "" }] });
const steps = (count: number, action = "http://a.test/") => ({
  steps: Array.from({ length: count }, () => ({ action })),
  payloads: Array.from({ length: count }, () => ""),
});

describe("bodies", () => {
  const routes = ["submit", "prepare", "abort", "registerBranch", "prepareWorkflow", "forceStop", "resetNextCronTime"];
  const texts: [string, string | Buffer][] = [
    ["1: empty", ""],
    ["2: {", "{"],
    ["3: array", "[]"],
    ["3: number", "1"],
    ["3: null", "null"],
    ["3: text", '"x"'],
    ["8: depth 10,000", `{"gid":${"[".repeat(10_000)}${"]".repeat(10_000)}}`],
    ["9: many keys", `{${Array.from({ length: 100_000 }, (_, i) => `"k${i}":1`).join()}}`],
    ["11: invalid UTF-8", Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
    ["not JSON", "{this is not json"],
    ["two values", '{"gid":"a"}{"gid":"b"}'],
  ];
  for (const [name, body] of texts)
    it(`${name} is 400 on every route with a body`, async () => {
      for (const route of routes) refusedAs(await c.post(route, body), 400, /body/);
    });

  it("4: 4 MiB and a byte is 413, also where it is one member's fault", async () => {
    for (const route of routes) refusedAs(await c.post(route, "x".repeat(4 * 1024 * 1024 + 1)), 413);
    const gid = freshGid();
    refusedAs(await c.post("submit", { ...sagaBody(gid), unknown: "x".repeat(4 * 1024 * 1024) }), 413);
    expect(await c.stored(gid)).toBeUndefined();
  });

  it("9: a million keys is 413 or 400", async () => {
    const body = `{${Array.from({ length: 1_000_000 }, (_, i) => `"${i}":1`).join()}}`;
    expect([400, 413]).toContain((await c.post("submit", body)).status);
  });

  it("7: a compressed body is 415 before anything is unpacked", async () => {
    const bomb = gzipSync(Buffer.alloc(10 * 1024 * 1024));
    refusedAs(await c.post("submit", bomb, { "content-encoding": "gzip" }), 415, /content-encoding/);
    expect((await c.post("submit", sagaBody(freshGid()), { "content-encoding": "identity" })).status).toBe(200);
  });

  it("10: of duplicate keys the last wins, whatever their case", async () => {
    const [first, last] = [freshGid(), freshGid()];
    await c.post("prepare", `{"gid":"${first}","trans_type":"saga","GID":"${last}","trans_type":"tcc"}`);
    expect(await c.stored(first)).toBeUndefined();
    expect((await c.stored(last))?.type).toBe("tcc");
  });

  it("D23: null is absence, zero is the default, unknown members are ignored", async () => {
    const gid = freshGid();
    const nulls = {
      custom_data: null,
      branch_headers: null,
      wait_result: null,
      timeout_to_fail: null,
      req_extra: null,
    };
    const body = sagaBody(gid, { ...nulls, retry_limit: 0, request_timeout: 0, __proto__: 1, constructor: {} });
    expect((await c.post("submit", body)).status).toBe(200);
    expect((await c.stored(gid))?.options).toMatchObject({ waitResult: false, retryLimit: undefined });
  });

  it("S-BODY-14, S-BUG-21: members that the server owns are ignored", async () => {
    const gid = freshGid();
    const owned = { id: 777, owner: "me", status: "succeed", result: "res", finish_time: "x", next_cron_interval: 1 };
    await c.post("prepare", { gid, trans_type: "tcc", rollback_reason: "why", ...owned });
    const tx = await c.stored(gid);
    expect(tx).toMatchObject({ status: "prepared", result: "", rollbackReason: "" });
    expect(tx?.id).not.toBe(777);
  });
});

describe("gid", () => {
  it("13: missing or empty is 400", async () => {
    refusedAs(await c.post("submit", sagaBody("", {})), 400, /^gid/);
    const { gid: _, ...without } = sagaBody("x");
    refusedAs(await c.post("submit", without), 400, /^gid/);
    refusedAs(await c.post("forceStop", {}), 400, /^gid/);
  });
  it("14: 128 characters are taken, 129 are not, whatever they are", async () => {
    for (const letter of ["g", "ä", "😀"]) {
      expect((await c.post("submit", sagaBody(letter.repeat(128)))).status).toBe(200);
      expect(await c.stored(letter.repeat(128))).toBeDefined();
      await badSaga({ gid: letter.repeat(129) }, 400, /^gid.*128/);
    }
  });
  it("15, 16, D11: quotes, dashes, semicolons, wildcards and dots are data", async () => {
    for (const tail of ["'\"--;", "*", ">", "/../", " ", "abc ", "<script>alert(1)</script>"]) {
      const gid = freshGid() + tail;
      expect((await c.post("submit", sagaBody(gid, { wait_result: true }))).status).toBe(200);
      const shown = (await c.get(`query?gid=${encodeURIComponent(gid)}`)).json as { transaction: { gid: string } };
      expect(shown.transaction.gid).toBe(gid);
    }
  });
  it("16: NUL, CR, LF and other control characters are 400", async () => {
    for (const bad of ["\0", "\r", "\n", "\t", "\x7f", "\x85"]) await badSaga({ gid: `a${bad}b` }, 400, /^gid/);
    refusedAs(await c.get("query?gid=a%0Ab"), 400, /^gid/);
  });
  it("12: a lone surrogate is 400", async () => {
    for (const body of ['"\\ud800x"', '"x\\udc00"'])
      refusedAs(await c.post("prepare", `{"gid":${body},"trans_type":"tcc"}`), 400, /surrogate/);
  });
  it("17: a number, an object, an array is 400", async () => {
    for (const gid of [1, {}, [], true]) refusedAs(await c.post("submit", sagaBody("x", { gid })), 400, /^gid.*text/);
  });
});

describe("type, steps and payloads", () => {
  it("18, S-HTTP-47: an unknown, missing or capital trans_type is 400", async () => {
    for (const trans_type of ["quantum", "", "SAGA", undefined]) await badSaga({ trans_type }, 400, /^trans_type/);
    for (const route of ["abort", "registerBranch", "prepareWorkflow"])
      refusedAs(await c.post(route, { gid: "x", trans_type: "quantum" }), 400, /^trans_type/);
  });
  it("S-HTTP-64: registerBranch names the type before it looks at the gid", async () => {
    refusedAs(await c.post("registerBranch", { trans_type: "nope", branch_id: "01" }), 400, /unknow trans type/);
  });
  it("19: steps missing or no array is 400; none is success at once (S-SAGA-11)", async () => {
    for (const bad of [undefined, {}, "[]", 1]) await badSaga({ steps: bad }, 400, /^steps/);
    const gid = freshGid();
    expect((await c.post("submit", sagaBody(gid, { steps: [], payloads: [], wait_result: true }))).status).toBe(200);
    expect((await c.stored(gid))?.status).toBe("succeed");
  });
  it("20, S-HTTP-48: fewer or more payloads than steps is 400", async () => {
    for (const payloads of [[], ["1", "2"], undefined]) await badSaga({ payloads }, 400, /^payloads/);
  });
  it("21: a payload that is no text is 400", async () => {
    for (const payload of [1, null, {}, ["x"]]) await badSaga({ payloads: [payload] }, 400, /^payloads\[0\]/);
    for (const base64 of [1, "a", "a===", "????", "AAA"]) {
      await badSaga({ payloads: [{ base64 }] }, 400, /^payloads\[0\]/);
    }
    await badSaga({ payloads: [{ base64: "AAAA", more: 1 }] }, 400, /^payloads\[0\]/);
    await badSaga({ steps: [{ action: 1 }] }, 400, /^steps\[0\]\.action/);
    await badSaga({ steps: ["http://a.test"] }, 400, /^steps\[0\]/);
  });
  it("22: a payload of 1 MiB is taken, a byte more is 413", async () => {
    const mib = 1024 * 1024;
    expect((await c.post("submit", sagaBody(freshGid(), { payloads: ["x".repeat(mib)] }))).status).toBe(200);
    await badSaga({ payloads: ["x".repeat(mib + 1)] }, 413, /^payloads\[0\]/);
    await badSaga({ payloads: ["ä".repeat(mib / 2 + 1)] }, 413);
    const bytes = (count: number) => ({ base64: Buffer.alloc(count, 0xff).toString("base64") });
    expect((await c.post("submit", sagaBody(freshGid(), { payloads: [bytes(mib)] }))).status).toBe(200);
    await badSaga({ payloads: [bytes(mib + 1)] }, 413, /^payloads\[0\]/);
    const branch = { gid: "x", trans_type: "tcc", branch_id: "01", data: "x".repeat(mib + 1) };
    refusedAs(await c.post("registerBranch", branch), 413, /^data/);
  });
  it("23, D13: 1,000 branches are taken, 1,001 are not", async () => {
    const gid = freshGid();
    expect((await c.post("prepare", sagaBody(gid, steps(1000)))).status).toBe(200);
    expect((await c.stored(gid))?.ops.at(-1)?.branchId).toBe("1000");
    await badSaga(steps(1001), 400, /1000/);
  });
});

describe("URLs", () => {
  it("24: an empty action succeeds without a call", async () => {
    const gid = freshGid();
    expect((await c.post("submit", sagaBody(gid, { ...step(""), wait_result: true }))).status).toBe(200);
    expect(c.participants.of(gid)).toEqual([]);
  });
  it("25: 1,024 characters are taken, 1,025 are not", async () => {
    const url = (length: number) => "http://a.test/".padEnd(length, "x");
    expect((await c.post("submit", sagaBody(freshGid(), step(url(1024))))).status).toBe(200);
    await badSaga(step(url(1025)), 400, /1024/);
  });
  const bad: [string, string][] = [
    ["26: file:", "file:///etc/hostname"],
    ["26: gopher:", "gopher://a.test/1"],
    ["26: javascript:", "javascript:alert(1)"],
    ["26: data:", "data:text/plain,x"],
    ["D4: no scheme", "127.0.0.1:1/pay"],
    ["D4: the node's own API", `http://${ownAddress}/api/dtmsvr/submit`],
    ["D4: the node's own API by another name", "http://localhost:36789/api/dtmsvr/submit"],
    ["D4: the node's own API as a number", "http://2130706433:36789/"],
    ["31: user and password", "http://me:secret@a.test/"],
    ["31: user", "https://me@a.test/"],
    ["32: CR LF", "http://a.test/\r\nX-More: b"],
    ["32: encoded CR", "http://a.test/%0d"],
    ["32: encoded LF", "http://a.test/?a=%0A"],
    ["32: encoded NUL", "http://a.test/%00"],
    ["no host", "http:///x"],
    ["topic of a saga", "topic://t"],
  ];
  for (const [name, url] of bad)
    it(`${name} is 400`, async () => {
      await badSaga(step(url), 400, /^steps\[0\]\.action/);
      await badSaga({ steps: [{ action: "", compensate: url }] }, 400, /^steps\[0\]\.compensate/);
    });
  it("33: a gRPC address without method is 400", async () => {
    for (const url of ["127.0.0.1:9090", "127.0.0.1:9090/pkg.Service", "grpc://a.test:1"])
      await badSaga({ ...step(url), protocol: "grpc" }, 400, /^steps\[0\]\.action/);
  });
  it("an unknown protocol is 400", () => badSaga({ protocol: "carrier-pigeon" }, 400, /^protocol/));
  it("are judged in query_prepared and in registered branches, too", async () => {
    const gid = freshGid();
    const msg = { gid, trans_type: "msg", steps: [], payloads: [], query_prepared: "file:///x" };
    refusedAs(await c.post("prepare", msg), 400, /^query_prepared/);
    expect(await c.stored(gid)).toBeUndefined();
    await c.post("prepare", { gid, trans_type: "tcc" });
    const branch = { gid, trans_type: "tcc", branch_id: "01", data: "", confirm: "http://a.test/", cancel: "ftp://b" };
    refusedAs(await c.post("registerBranch", branch), 400, /^cancel/);
    const xa = { gid, trans_type: "xa", branch_id: "01" };
    refusedAs(await c.post("registerBranch", xa), 400, /^url/);
    expect((await c.stored(gid))?.ops).toEqual([]);
  });
});

describe("headers and options", () => {
  const header = (name: string, value = "x") => ({ branch_headers: { [name]: value } });
  it("34: a value with CR or LF is 400", async () => {
    for (const value of ["a\r\nX-More: b", "a\nb", "a\0", "ä"]) await badSaga(header("x-kit", value), 400, /headers/);
  });
  it("35: names that frame or route a request are 400", async () => {
    for (const name of ["host", "Content-Length", "transfer-encoding", "Connection", "grpc-timeout", "dtm-gid"])
      await badSaga(header(name), 400, /^branch_headers/);
  });
  it("36: a name with a space, empty or non-ASCII is 400", async () => {
    for (const name of ["a b", "", "ä", "a:b", "a\n"]) await badSaga(header(name), 400, /^branch_headers/);
  });
  it("37: 64 headers are taken, 65 are not; 16 KiB and a byte neither", async () => {
    const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`x-${i}`, "v"]));
    expect((await c.post("submit", sagaBody(freshGid(), { branch_headers: many(64) }))).status).toBe(200);
    await badSaga({ branch_headers: many(65) }, 400, /64/);
    expect((await c.post("submit", sagaBody(freshGid(), header("x", "v".repeat(16 * 1024 - 1))))).status).toBe(200);
    await badSaga(header("x", "v".repeat(16 * 1024)), 400, /bytes/);
    for (const branch_headers of [[], "x", { a: 1 }]) await badSaga({ branch_headers }, 400, /^branch_headers/);
  });
  it("38, S-SAGA-12: custom_data that is not JSON, or above 64 KiB, is 400", async () => {
    for (const custom_data of ["concurrent", "{", "[1]", "5", '"x"', `{"x":"${"y".repeat(70_000)}"}`, 5])
      await badSaga({ custom_data }, 400, /^custom_data/);
    await badSaga({ custom_data: `{"orders":${"[".repeat(100)}${"]".repeat(100)}}` }, 400, /custom_data.*nesting/);
  });
  it("39: orders with a cycle, or with steps that do not exist, are 400", async () => {
    const custom = (orders: unknown) => ({ ...steps(3), custom_data: JSON.stringify({ concurrent: true, orders }) });
    for (const orders of [
      { 0: [1], 1: [0] },
      { 2: [2] },
      { 3: [0] },
      { 0: [7] },
      { 0: [-1] },
      { x: [0] },
      { 0: 1 },
      [],
    ])
      await badSaga(custom(orders), 400, /^custom_data/);
    expect((await c.post("submit", sagaBody(freshGid(), custom({ 2: [0, 1], 0: null })))).status).toBe(200);
    await badSaga({ ...steps(2), custom_data: '{"orders":{"0":[1]}}' }, 400, /cycle/);
    await badSaga({ ...steps(2), custom_data: '{"Orders":{"0":[1]}}' }, 400, /cycle/);
    await badSaga({ custom_data: '{"Concurrent":1}' }, 400, /^custom_data\.concurrent: number met/);
  });
  const numbers = (name: string, wrong: readonly unknown[], right: readonly number[]) => async () => {
    for (const value of wrong) await badSaga({ [name]: value }, 400, new RegExp(`^${name}`));
    for (const value of right) {
      const reply = await c.post("submit", sagaBody(freshGid(), { [name]: value }));
      expect(reply.status, `${name} ${value}`).toBe(200);
    }
  };
  const year = 365 * 86_400;
  it("40: timeout_to_fail", numbers("timeout_to_fail", [-1, "5", 2 ** 63, 0.5, year + 1, {}, true], [0, 1, year]));
  it("41: retry_interval", numbers("retry_interval", [-5, 2 ** 31, 604_801, 1.5], [0, 1, 604_800]));
  it("42: request_timeout", numbers("request_timeout", [-1, 3601], [0, 1, 3600]));
  it("43: retry_limit", numbers("retry_limit", [-1, 10_001, 1.5], [0, 1, 10_000]));
  it("40: NaN and 1e309 are 400", async () => {
    for (const number of ["NaN", "1e309", "-1e309", "Infinity"]) {
      const body = JSON.stringify(sagaBody(freshGid())).replace("{", `{"timeout_to_fail":${number},`);
      refusedAs(await c.post("submit", body), 400, /timeout_to_fail|body/);
    }
  });
  it("44: wait_result and concurrent that are no booleans are 400", async () => {
    for (const value of ["yes", 1, "true"]) {
      await badSaga({ wait_result: value }, 400, /^wait_result/);
      await badSaga({ concurrent: value }, 400, /^concurrent/);
    }
  });
  it("45: a msg's delay above 30 days is 400, its name in any case", async () => {
    const msg = (delay: unknown, name = "delay") => ({
      gid: freshGid(),
      trans_type: "msg",
      steps: [{ action: "http://a.test/m" }],
      payloads: [""],
      custom_data: JSON.stringify({ [name]: delay }),
    });
    for (const delay of [30 * 86_400 + 1, -1, "5", 0.5, {}])
      refusedAs(await c.post("submit", msg(delay, "Delay")), 400, /^custom_data\.delay/);
    expect((await c.post("submit", msg(30 * 86_400))).status).toBe(200);
  });
});

describe("state", () => {
  it("46, 47: the same gid with another body or type is 409 and changes nothing", async () => {
    const gid = freshGid();
    await c.post("submit", sagaBody(gid, { wait_result: true }));
    const before = await c.stored(gid);
    refusedAs(await c.post("submit", sagaBody(gid, { payloads: ["other"] })), 409, /FAILURE/);
    refusedAs(await c.post("submit", sagaBody(gid, { trans_type: "msg" })), 409, /FAILURE/);
    refusedAs(await c.post("prepare", { gid, trans_type: "tcc" }), 409, /FAILURE/);
    expect(await c.stored(gid)).toEqual(before);
  });
  it("48: a thousand equal submits at once are one run with equal answers", async () => {
    const gid = freshGid();
    const replies = await Promise.all(
      Array.from({ length: 1000 }, () => c.post("submit", sagaBody(gid, { wait_result: true }))),
    );
    expect(new Set(replies.map(({ text }) => text))).toEqual(new Set(['{"dtm_result":"SUCCESS"}']));
    expect(c.participants.of(gid)).toEqual(["action 01"]);
  });
  it("49: submit after abort, abort after submit, is 409", async () => {
    const gid = freshGid();
    await c.post("prepare", { gid, trans_type: "tcc" });
    expect((await c.post("abort", { gid, trans_type: "tcc" })).status).toBe(200);
    refusedAs(await c.post("submit", { gid, trans_type: "tcc" }), 409, /cannot sumbmit/);
    const saga = freshGid();
    await c.post("submit", sagaBody(saga, { wait_result: true }));
    refusedAs(await c.post("abort", sagaBody(saga)), 409, /cannot abort/);
  });
  it("50, 52, D4: an unknown gid is 404 for whatever acts on it", async () => {
    const body = { gid: freshGid(), trans_type: "tcc", branch_id: "01", confirm: "", cancel: "" };
    for (const route of ["abort", "forceStop", "resetNextCronTime", "registerBranch"])
      refusedAs(await c.post(route, body), 404, /no TransGlobal with gid: unknown found/);
    expect(await c.stored(body.gid)).toBeUndefined();
  });
  it("51: registerBranch after the end is 409", async () => {
    const gid = freshGid();
    await c.post("submit", { gid, trans_type: "tcc", wait_result: true });
    const branch = { gid, trans_type: "tcc", branch_id: "01", confirm: "http://a.test", cancel: "http://a.test" };
    refusedAs(await c.post("registerBranch", branch), 409, /status: prepared found.*FAILURE/);
  });
  it("registerBranch with anything but texts is 400 (S-HTTP-60), null is empty", async () => {
    const gid = freshGid();
    await c.post("prepare", { gid, trans_type: "tcc" });
    const branch = { gid, trans_type: "tcc", branch_id: "01", confirm: "http://a.test/", cancel: null };
    for (const data of [1, {}, true]) refusedAs(await c.post("registerBranch", { ...branch, data }), 400, /text/);
    refusedAs(await c.post("registerBranch", { ...branch, branch_id: "" }), 400, /^branch_id/);
    refusedAs(await c.post("registerBranch", { ...branch, branch_id: "a\nb" }), 400, /^branch_id/);
    expect((await c.post("registerBranch", branch)).status).toBe(200);
  });
  it("the member that is no text is named, where its name can be repeated without harm", async () => {
    const branch = { gid: freshGid(), trans_type: "tcc", branch_id: 1 };
    refusedAs(await c.post("registerBranch", branch), 400, /^branch_id: number met, text needed$/);
    refusedAs(await c.post("registerBranch", { ...branch, branch_id: "", "a<b>": 1 }), 400, /^member: number met/);
    const { error } = (await c.rpc("registerBranch", branch)).json as { error: { message: string } };
    expect(error.message).toBe("branch_id: number met, text needed");
    await badSaga({ branch_headers: { "x-tenant": 1 } }, 400, /^branch_headers\.x-tenant: number met, text needed$/);
    await badSaga({ branch_headers: { ["x".repeat(65)]: 1 } }, 400, /^branch_headers\.member: number met/);
    await badSaga({ req_extra: { status: {} } }, 400, /^req_extra\.status: object met, text needed$/);
  });
  it("11: a query string that is no percent-encoded UTF-8 is 400, and nothing of it is stored", async () => {
    for (const bad of ["%ff", "%c3", "%e0%80%80", "%", "%zz", "%ed%a0%80", "a%00%ff"]) {
      const subscribe = `subscribe?topic=${bad}&url=http://a.test/m`;
      for (const path of [subscribe, `query?gid=${bad}`, `queryKV?cat=topics&key=${bad}`, `all?gid=x&position=${bad}`])
        refusedAs(await c.get(path), 400, /^query: malformed percent-encoding met/);
    }
    for (const path of ["/api/v1/transactions/%ff", "/api/v1/transactions/%ff/history"])
      expect((await c.get(path)).status, path).toBe(400);
    expect((await c.get("queryKV?cat=topics")).json.kv).toEqual([]);
    expect((await c.get("query?gid=%F0%9F%98%80+b%2Bc%25")).status).toBe(200);
  });
  it("55: a gid with a script tag comes back as JSON text only", async () => {
    const reply = await c.get(`query?gid=${encodeURIComponent("<script>")}`);
    expect(reply.headers["content-type"]).toBe("application/json; charset=utf-8");
  });
});
