/**
 * Headers that an operator fixes per participant: which of them a call gets, by host, port or subject.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createCallers } from "../../src/caller/callers.js";
import { type TargetHeaders, targetHeaders } from "../../src/caller/provide.js";
import { callOf } from "./participant.js";

describe("the headers of a participant", () => {
  const seen: Record<string, unknown>[] = [];
  const server = createServer((request, response) => {
    seen.push(request.headers);
    response.end("well");
  });
  beforeAll(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve)));
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });
  const port = () => (server.address() as AddressInfo).port;
  const signal = new AbortController().signal;

  it("go with every call to it, over those that submitters name; what the provider says is over them", async () => {
    const byTarget: TargetHeaders = { [`127.0.0.1:${port()}`]: { "X-Token": "fixed", "x-fixed": "1" } };
    const call = callOf({ url: `http://127.0.0.1:${port()}/pay`, headers: { "x-token": "submitter", "x-own": "2" } });
    const fixed = createCallers({ targetHeaders: byTarget });
    const both = createCallers({
      targetHeaders: byTarget,
      headers: ({ headers }) => ({ "x-token": `${headers["X-Token"]}!` }),
    });
    for (const callers of [fixed, both]) {
      expect(await callers.call(call, signal)).toMatchObject({ outcome: "success" });
      await callers.close();
    }
    expect(seen).toMatchObject([
      { "x-token": "fixed", "x-fixed": "1", "x-own": "2" },
      { "x-token": "fixed!", "x-fixed": "1", "x-own": "2" },
    ]);
  });

  it("are found by host and port, then by host, then by a NATS subject, and by nothing else", () => {
    const [a, b, c, d] = [{ a: "" }, { b: "" }, { c: "" }, { d: "" }];
    const byTarget: TargetHeaders = { "bank.example:8443": a, "bank.example": b, "[::1]": c, "bank.debit": d };
    const at = (host: string, port: number, authority = host) => targetHeaders(byTarget, { host, port, authority });
    expect(at("bank.example", 8443)).toBe(a);
    expect(at("bank.example", 443)).toBe(b);
    expect(at("::1", 80)).toBe(c);
    expect(at("", 0, "bank.debit")).toBe(d);
    expect(at("", 0, "bank.credit")).toBeUndefined();
    expect(at("constructor", 80)).toBeUndefined();
  });
});
