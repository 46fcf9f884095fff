/**
 * Which URLs can be called, by which protocol, and why the others can't (S-BR-2, S-BR-30, decision D4, bad-inputs
 * 24–33).
 */
import { afterAll, describe, expect, it } from "vitest";
import { createCallers } from "../../src/caller/callers.js";
import { parseUrl } from "../../src/caller/url.js";
import type { Protocol } from "../../src/core/transaction.js";

describe("where a URL leads", () => {
  const own = ["127.0.0.1:36789", "0.0.0.0:36790", "node-1.example:36789", "10.1.2.3:36789"];
  const callers = createCallers({ ownAddresses: () => own });
  afterAll(() => callers.close());

  const reachable: readonly (readonly [Protocol, string, string, string, string])[] = [
    ["http", "http://h/a", "http", "http://h", "http://h/a"],
    ["http", "HTTP://H.Example:80/A?b=c#d", "http", "http://h.example", "http://h.example/A"],
    ["http", "https://h:8443/a/", "http", "https://h:8443", "https://h:8443/a/"],
    ["http", "http://[::1]:81/a", "http", "http://[::1]:81", "http://[::1]:81/a"],
    ["http", "http://h/method", "http", "http://h", "http://h/method"],
    ["json-rpc", "http://h/rpc?method=m", "json-rpc", "http://h", "http://h/rpc"],
    ["json-rpc", "http://h/plain", "http", "http://h", "http://h/plain"],
    ["json-rpc", "h:1/p.S/method", "grpc", "grpc://h:1", "grpc://h:1/p.S/method"],
    ["grpc", "http://h/a", "http", "http://h", "http://h/a"],
    ["grpc", "https://h/method", "http", "https://h", "https://h/method"],
    ["grpc", "Busi:9090/busi.Busi/TransIn", "grpc", "grpc://busi:9090", "grpc://busi:9090/busi.Busi/TransIn"],
    ["grpc", "127.0.0.1:58081/kit.12/a", "grpc", "grpc://127.0.0.1:58081", "grpc://127.0.0.1:58081/kit.12/a"],
    ["grpc", "[::1]:9090/p.S/M", "grpc", "grpc://[::1]:9090", "grpc://[::1]:9090/p.S/M"],
    ["grpc", "h:80/p.S/M", "grpc", "grpc://h:80", "grpc://h:80/p.S/M"],
    ["grpc", "grpcs://h:443/p.S/M", "grpc", "grpcs://h:443", "grpcs://h:443/p.S/M"],
    ["http", "grpc://h:9090/p.S/M", "grpc", "grpc://h:9090", "grpc://h:9090/p.S/M"],
  ];
  for (const [protocol, url, kind, origin, target] of reachable)
    it(`calls '${url}' of a ${protocol} transaction by ${kind} at ${origin}`, () => {
      expect(callers.locate(protocol, url)).toMatchObject({ origin, target });
      expect(parseUrl(protocol, url).kind).toBe(kind);
    });

  const impossible: readonly (readonly [Protocol, string, RegExp])[] = [
    ["http", "", /empty/],
    ["http", "/a", /begins with http/],
    ["http", "h:80/a", /begins with http/],
    ["http", "127.0.0.1:1/pay", /begins with http/],
    ["http", "http://", /no host/],
    ["http", "http:///a", /no host/],
    ["http", "http://h:99999/a", /no host/],
    ["http", "http://h h/a", /no host/],
    ["http", "http://u:p@h/a", /user and password/],
    ["http", "http://u@h/a", /user and password/],
    ["grpc", "u:p@h:1/p.S/M", /user and password/],
    ["http", "ftp://h/a", /scheme 'ftp'/],
    ["http", "file:///etc/hostname", /scheme 'file'/],
    ["http", "gopher://h/", /scheme 'gopher'/],
    ["http", "javascript:alert(1)", /begins with http/],
    ["http", "data:text/plain,x", /begins with http/],
    ["grpc", "data:text/plain,x", /method/],
    ["grpc", "javascript:alert(1)", /method is missing/],
    ["grpc", "etcd://a/b/c", /scheme 'etcd'/],
    ["grpc", "nohost", /method is missing/],
    ["grpc", "h:1", /method is missing/],
    ["grpc", "h:1/", /method is '\/'/],
    ["grpc", "h:1/p.S", /method is '\/p.S'/],
    ["grpc", "h:1/p.S/M?x=y", /method/],
    ["grpc", "h/p.S/M", /port is missing/],
    ["grpc", ":1/p.S/M", /no host/],
    ["http", "http://h/a%0d%0aX: y", /control characters/],
    ["http", "http://h/a%00", /control characters/],
    ["http", "http://h/a\r\n", /control characters/],
    ["http", "http://h/\ud800", /surrogate/],
    ["http", "http://127.0.0.1:36789/api/dtmsvr/submit", /this server itself/],
    ["http", "http://localhost:36789/api", /this server itself/],
    ["http", "http://[::1]:36790/", /this server itself/],
    ["http", "http://0x7f.1:36789/", /this server itself/],
    ["http", "http://2130706433:36789/", /this server itself/],
    ["http", "http://[::ffff:127.0.0.1]:36789/", /this server itself/],
    ["http", "http://Node-1.Example:36789/", /this server itself/],
    ["grpc", "localhost:36790/dtmgimp.Dtm/Submit", /this server itself/],
    ["http", "http://localhost.:36789/api", /this server itself/],
    ["http", "http://node-1.example.:36789/", /this server itself/],
    ["grpc", "localhost.:36790/dtmgimp.Dtm/Submit", /this server itself/],
    ["http", "http://10.1.2.3:36789/", /this server itself/],
    ["http", "http://[::ffff:10.1.2.3]:36789/", /this server itself/],
    ["http", "http://[::ffff:0.0.0.0]:36789/", /this server itself/],
  ];
  for (const [protocol, url, why] of impossible)
    it(`says why '${url}' of a ${protocol} transaction can't be called`, () => {
      const found = callers.locate(protocol, url);
      expect("invalid" in found ? found.invalid : found).toMatch(why);
    });

  it("takes other ports of the own host and other hosts at the own port", () => {
    expect(callers.locate("http", "http://127.0.0.1:36788/")).not.toHaveProperty("invalid");
    expect(callers.locate("http", "http://10.0.0.1:36789/")).not.toHaveProperty("invalid");
  });

  it("calls another name instead of localhost where told to (S-BR-3)", async () => {
    const inside = createCallers({ localhostAs: "host.docker.internal" });
    expect(inside.locate("http", "http://localhost:81/localhost")).toMatchObject({
      target: "http://host.docker.internal:81/localhost",
    });
    expect(inside.locate("http", "http://127.0.0.1:81/")).toMatchObject({ origin: "http://host.docker.internal:81" });
    await inside.close();
  });

  it("answers unknown, and does not reject, where a call to such a URL is made nevertheless", async () => {
    const call = { gid: "g", type: "saga", protocol: "http", branchId: "01", op: "action", url: "nowhere" } as const;
    const rest = { payload: new Uint8Array(), headers: {}, timeoutMs: 1000 };
    expect(await callers.call({ ...call, ...rest }, new AbortController().signal)).toMatchObject({
      outcome: "unknown",
    });
  });

  it("judges a URL anew when the node has got other addresses since", async () => {
    const now = ["127.0.0.1:1"];
    const moving = createCallers({ ownAddresses: () => now });
    expect(moving.locate("http", "http://127.0.0.1:2/a")).toMatchObject({ origin: "http://127.0.0.1:2" });
    now.push("127.0.0.1:2");
    expect(moving.locate("http", "http://127.0.0.1:2/a")).toMatchObject({ invalid: expect.stringMatching(/itself/) });
    now.splice(0);
    expect(moving.locate("http", "http://127.0.0.1:2/a")).toMatchObject({ origin: "http://127.0.0.1:2" });
    await moving.close();
  });
});
