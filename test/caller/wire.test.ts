/**
 * The bytes that participants see: captured from a raw socket (S-BR-10…14, S-BR-20 and 21).
 */
import { describe, expect, it } from "vitest";
import type { Exchange } from "../../src/caller/exchange.js";
import type { Call } from "../../src/ports/caller.js";
import { callOf, callOver, clients, Participant, response } from "./participant.js";

interface Capture {
  readonly line: string;
  readonly headers: readonly string[];
  readonly body: string;
}

/** Sends the call to `path` of a participant that says yes, and takes the request apart. */
async function capture(open: () => Exchange, path: string, changed: Partial<Call> = {}): Promise<Capture> {
  const participant = await Participant.answering(response(200));
  const exchange = open();
  const answer = await callOver(exchange, callOf({ ...changed, url: participant.url + path }));
  expect(answer.outcome).toBe("success");
  const text = participant.text();
  await exchange.close();
  await participant.stop();
  const [head = "", body = ""] = text.split("\r\n\r\n", 2);
  const [line = "", ...headers] = head.split("\r\n");
  return { line, headers, body };
}

describe.each(clients)("what %s puts on the wire", (_, open) => {
  const none = new Uint8Array();

  /** Path, what differs from a saga's action with payload {"a":1}, request line, body. */
  const table: readonly (readonly [string, Partial<Call>, string, string])[] = [
    ["/a", {}, "POST /a?branch_id=01&gid=g1&op=action&trans_type=saga HTTP/1.1", `{"a":1}`],
    ["", {}, "POST /?branch_id=01&gid=g1&op=action&trans_type=saga HTTP/1.1", `{"a":1}`],
    [
      "/comp2",
      { branchId: "02", gid: "w2", op: "compensate", payload: Buffer.from(`{"a":2}`) },
      "POST /comp2?branch_id=02&gid=w2&op=compensate&trans_type=saga HTTP/1.1",
      `{"a":2}`,
    ],
    [
      "/xa",
      { type: "xa", gid: "x1", op: "commit", payload: none },
      "POST /xa?branch_id=01&gid=x1&op=commit&trans_type=xa HTTP/1.1",
      "",
    ],
    [
      "/m2",
      { type: "msg", branchId: "02", gid: "m1", payload: none },
      "GET /m2?branch_id=02&gid=m1&op=action&trans_type=msg HTTP/1.1",
      "",
    ],
    [
      "/qp1",
      { type: "msg", branchId: "00", gid: "qm1", op: "msg", payload: none },
      "GET /qp1?branch_id=00&gid=qm1&op=msg&trans_type=msg HTTP/1.1",
      "",
    ],
    [
      "/wfcb",
      { type: "workflow", branchId: "00", gid: "wf1", op: "wf name" },
      "POST /wfcb?branch_id=00&gid=wf1&op=wf+name&trans_type=workflow HTTP/1.1",
      `{"a":1}`,
    ],
    [
      "/a?a=1&gid=zz",
      { gid: "q1" },
      "POST /a?a=1&gid=zz&branch_id=01&gid=q1&op=action&trans_type=saga HTTP/1.1",
      `{"a":1}`,
    ],
    ["/a?", {}, "POST /a?branch_id=01&gid=g1&op=action&trans_type=saga HTTP/1.1", `{"a":1}`],
    ["/a#part", {}, "POST /a?branch_id=01&gid=g1&op=action&trans_type=saga HTTP/1.1", `{"a":1}`],
    ["/a/../b//c", {}, "POST /a/../b//c?branch_id=01&gid=g1&op=action&trans_type=saga HTTP/1.1", `{"a":1}`],
    ["/ü%2f b", {}, "POST /%C3%BC%2f%20b?branch_id=01&gid=g1&op=action&trans_type=saga HTTP/1.1", `{"a":1}`],
    [
      "/a",
      { gid: "it's (a) *;/+&=%~é" },
      "POST /a?branch_id=01&gid=it%27s+%28a%29+%2A%3B%2F%2B%26%3D%25~%C3%A9&op=action&trans_type=saga HTTP/1.1",
      `{"a":1}`,
    ],
  ];
  for (const [path, changed, line, body] of table)
    it(`sends ${line} for '${path}'`, async () => {
      const seen = await capture(() => open(), path, changed);
      expect(seen.line).toBe(line);
      expect(seen.body).toBe(body);
    });

  it("sends the payload's bytes unchanged, whatever they are", async () => {
    const payload = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    expect(Buffer.from((await capture(() => open(), "/a", { payload })).body, "latin1").toString("hex")).toBe(
      payload.toString("hex").split("0d0a0d0a")[0],
    );
  });

  it("says application/json, also for GET, and an xa phase has a length of 0", async () => {
    const posted = await capture(() => open(), "/a");
    expect(posted.headers).toEqual(
      expect.arrayContaining(["Content-Type: application/json", "Accept: application/json"]),
    );
    expect(posted.headers.map((header) => header.toLowerCase())).toContain("content-length: 7");
    const got = await capture(() => open(), "/a", { payload: none, type: "msg" });
    expect(got.headers).toEqual(expect.arrayContaining(["Content-Type: application/json", "Accept: application/json"]));
    expect(got.headers.join().toLowerCase()).not.toContain("content-length");
    const xa = await capture(() => open(), "/a", { payload: none, type: "xa" });
    expect(xa.headers.map((header) => header.toLowerCase())).toContain("content-length: 0");
  });

  it("adds the branch's headers in Go's spelling, over its own, and nothing that belongs to the connection", async () => {
    const { headers } = await capture(() => open(), "/a", {
      headers: {
        "x-tenant": "t1",
        test_header: "test",
        "CONTENT-type": "text/plain",
        Host: "evil",
        "transfer-encoding": "chunked",
        "X-Name": "Jürgen",
      },
    });
    expect(headers).toEqual(expect.arrayContaining(["X-Tenant: t1", "Test_header: test", "Content-Type: text/plain"]));
    expect(headers).toContain(`X-Name: ${Buffer.from("Jürgen").toString("latin1")}`);
    expect(headers.filter((header) => /^(host|content-type)/i.test(header))).toHaveLength(2);
    expect(headers.join().toLowerCase()).not.toMatch(/evil|chunked|accept:/);
  });

  it("answers unknown instead of sending a header that HTTP does not allow", async () => {
    const participant = await Participant.answering(response(200));
    const exchange = open();
    const bad: readonly Record<string, string>[] = [
      { "x y": "1" },
      { "": "1" },
      { "X-A": "1\r\nX-B: 2" },
      { "X-A": "\0" },
    ];
    for (const headers of bad) {
      const answer = await callOver(exchange, callOf({ url: participant.url, headers }));
      expect(answer.outcome).toBe("unknown");
    }
    expect(participant.received).toEqual([]);
    await exchange.close();
    await participant.stop();
  });

  it("sends a JSON-RPC call to the URL as given, with the payload's members and four of its own", async () => {
    const payload = Buffer.from(` {"a":5,"big":12345678901234567890} `);
    const seen = await capture(openRpc(open), "/jrpc/0?method=doit&x=1", { protocol: "json-rpc", gid: "jb0", payload });
    expect(seen.line).toBe("POST /jrpc/0?method=doit&x=1 HTTP/1.1");
    expect(seen.body).toMatch(
      /^\{"id":"[2-9A-HJ-NP-Za-km-z]{22}","jsonrpc":"2.0","method":"doit","params":\{"a":5,"big":12345678901234567890,"branch_id":"01","gid":"jb0","op":"action","trans_type":"saga"\}\}$/,
    );
  });

  it("replaces members of the payload that are named as its own four", async () => {
    const payload = Buffer.from(`{"gid":"other","a":1}`);
    const { body } = await capture(openRpc(open), "/?method=m", { protocol: "json-rpc", payload });
    expect(body).not.toContain("other");
    expect(JSON.parse(body).params).toEqual({ a: 1, branch_id: "01", gid: "g1", op: "action", trans_type: "saga" });
  });

  for (const payload of ["", "12", "[1]", "{}", "{ }", "not json", `"{}"`, "null"])
    it(`S-BUG-4: sends the four members alone for the payload '${payload}'`, async () => {
      const { body } = await capture(openRpc(open), "/?method=m", {
        protocol: "json-rpc",
        payload: Buffer.from(payload),
      });
      expect(JSON.parse(body).params).toEqual({ branch_id: "01", gid: "g1", op: "action", trans_type: "saga" });
    });

  it("calls a URL without the word 'method' the plain way in a JSON-RPC transaction", async () => {
    const { line } = await capture(openRpc(open), "/plain", { protocol: "json-rpc" });
    expect(line).toBe("POST /plain?branch_id=01&gid=g1&op=action&trans_type=saga HTTP/1.1");
  });
});

/** JSON-RPC participants answer 200 without a body here, which is no reply: judged by another test. */
function openRpc(open: () => Exchange): () => Exchange {
  return () => {
    const exchange = open();
    return {
      close: () => exchange.close(),
      send: (request, done) =>
        exchange.send(request, (r) => done(r instanceof Error ? r : { ...r, body: Buffer.from("{}") })),
    };
  };
}
