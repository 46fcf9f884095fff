/**
 * The way to a gRPC participant: names with several addresses, TLS with own authorities and client certificates.
 */
import { once } from "node:events";
import { createServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import * as grpc from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import type { GrpcCaller } from "../../src/caller/grpc/grpc.js";
import { createAuthority } from "./certificates.js";
import { ask, caller, closing, participant, trailersOnly } from "./grpcparticipant.js";
import { until } from "./participant.js";

describe("a name with several addresses", () => {
  it("is called at each in turn, and at the others when one is gone", async () => {
    const hits = new Map<string, number>();
    const servers = await Promise.all(
      ["127.0.0.1", "127.0.0.2", "127.0.0.3"].map(async (ip) => {
        const server = createServer();
        const sessions = new Set<ServerHttp2Session>();
        server.on("session", (session) => void sessions.add(session.on("error", () => {})));
        server.on("stream", (stream) => {
          hits.set(ip, (hits.get(ip) ?? 0) + 1);
          stream.respond({ ...trailersOnly, "grpc-status": "0" }, { endStream: true });
        });
        return { ip, server, sessions };
      }),
    );
    let port = 0;
    for (const { ip, server } of servers) {
      server.listen(port, ip);
      await once(server, "listening");
      port = (server.address() as AddressInfo).port;
      closing.push(() => server.close());
    }
    closing.push(() => {
      for (const session of servers.flatMap(({ sessions }) => [...sessions])) session.destroy();
    });
    const by = caller(
      {},
      servers.map(({ ip }) => ip),
    );
    const call = () => ask(by, `busi:${port}/busi.Busi/Pay`);
    expect((await call()).outcome).toBe("success");
    await until("all addresses are connected", () => servers.every(({ sessions }) => sessions.size === 1));
    hits.clear();
    for (let i = 0; i < 30; i++) expect((await call()).outcome).toBe("success");
    expect([...hits.values()]).toEqual([10, 10, 10]);
    servers[0]?.server.close();
    for (const session of servers[0]?.sessions ?? []) session.destroy();
    hits.clear();
    await until("the connection is lost", () =>
      [...(servers[0]?.sessions ?? [])].every((session) => session.destroyed),
    );
    const answers = await Promise.all(Array.from({ length: 30 }, call));
    expect(answers.filter(({ outcome }) => outcome === "success").length).toBeGreaterThanOrEqual(29);
    expect(hits.get("127.0.0.1")).toBeUndefined();
    expect(hits.get("127.0.0.2")).toBeGreaterThan(10);
  });
});

describe("a gRPC participant over TLS", () => {
  const authority = createAuthority("Own CA");
  const stranger = createAuthority("Strange CA");
  const identity = authority.issue(["127.0.0.1", "localhost"]);
  const client = authority.issue(["tandem"]);
  const credentials = (mutual: boolean, { cert, key } = identity) =>
    grpc.ServerCredentials.createSsl(
      Buffer.from(authority.cert),
      [{ cert_chain: Buffer.from(cert), private_key: Buffer.from(key) }],
      mutual,
    );

  it("is called by grpcs:// when its authority is trusted, by address and by name", async () => {
    const port = await participant(() => undefined, credentials(false));
    const by = caller({ ca: authority.cert });
    expect((await ask(by, `grpcs://127.0.0.1:${port}/busi.Busi/Pay`)).outcome).toBe("success");
    expect((await ask(by, `grpcs://localhost:${port}/busi.Busi/Pay`)).outcome).toBe("success");
  });

  it("gives unknown for every certificate that is not right", async () => {
    const port = await participant(() => undefined, credentials(false));
    const expired = await participant(() => undefined, credentials(false, authority.issue(["127.0.0.1"], -3_600_000)));
    const other = await participant(() => undefined, credentials(false, authority.issue(["other.example"])));
    const call = (by: GrpcCaller, to: number) => ask(by, `grpcs://127.0.0.1:${to}/busi.Busi/Pay`);
    for (const [by, to] of [
      [caller(), port],
      [caller({ ca: stranger.cert }), port],
      [caller({ ca: authority.cert }), expired],
      [caller({ ca: authority.cert }), other],
    ] as const)
      expect(await call(by, to)).toMatchObject({ outcome: "unknown" });
  });

  it("is called over TLS without grpcs:// where it has an authority of its own, with a client certificate if asked", async () => {
    const port = await participant(() => undefined, credentials(true));
    const target = `127.0.0.1:${port}`;
    const call = (profile: object) => ask(caller({ targets: { [target]: profile } }), `${target}/busi.Busi/Pay`);
    expect((await call({ ca: authority.cert, ...client })).outcome).toBe("success");
    expect((await call({ ca: authority.cert })).outcome).toBe("unknown");
    expect((await ask(caller(), `${target}/busi.Busi/Pay`)).outcome).toBe("unknown");
  });
});
