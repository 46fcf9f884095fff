/**
 * HTTPS participants: own authorities, client certificates, and certificates that must not be trusted.
 */
import { once } from "node:events";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createCallers } from "../../src/caller/callers.js";
import type { TlsOptions } from "../../src/caller/tls.js";
import { createAuthority } from "./certificates.js";
import { callOf } from "./participant.js";

describe("an HTTPS participant", () => {
  const authority = createAuthority("Own CA");
  const stranger = createAuthority("Strange CA");
  const server = authority.issue(["127.0.0.1", "localhost"]);
  const client = authority.issue(["tandem"]);
  let participant: Server;
  const seen: string[] = [];

  beforeAll(async () => {
    const options = { ...server, ca: authority.cert, requestCert: true, rejectUnauthorized: false };
    participant = createServer(options, (request, response) => {
      const socket = request.socket as TLSSocket;
      seen.push(socket.authorized ? String(socket.getPeerCertificate().subject.CN) : "nobody");
      request.resume();
      response.end("well");
    });
    participant.listen(0, "127.0.0.1");
    await once(participant, "listening");
  });
  afterAll(() => {
    participant.closeAllConnections();
    participant.close();
  });

  const port = () => (participant.address() as AddressInfo).port;
  const call = async (tls: TlsOptions, host = "127.0.0.1") => {
    const callers = createCallers({ tls });
    const answer = await callers.call(callOf({ url: `https://${host}:${port()}/pay` }), new AbortController().signal);
    await callers.close();
    return answer;
  };

  it("is called when its authority is trusted, by address and by name", async () => {
    expect(await call({ ca: authority.cert })).toEqual({ outcome: "success", detail: "well" });
    expect(await call({ ca: authority.cert }, "localhost")).toEqual({ outcome: "success", detail: "well" });
  });

  it("gives unknown when nobody trusts its authority", async () => {
    const answer = await call({});
    expect(answer.outcome).toBe("unknown");
    expect(answer.detail).toMatch(/certificate/i);
    expect((await call({ ca: stranger.cert })).outcome).toBe("unknown");
  });

  it("is shown a client certificate where there is one", async () => {
    seen.length = 0;
    expect((await call({ ca: authority.cert, ...client })).outcome).toBe("success");
    expect((await call({ ca: authority.cert })).outcome).toBe("success");
    expect(seen).toEqual(["tandem", "nobody"]);
  });

  it("may have an authority of its own, which counts for nobody else", async () => {
    const targets = { [`127.0.0.1:${port()}`]: { ca: authority.cert } };
    expect((await call({ targets })).outcome).toBe("success");
    expect((await call({ targets: { "127.0.0.1:1": { ca: authority.cert } } })).outcome).toBe("unknown");
    expect((await call({ ca: authority.cert, targets: { "127.0.0.1": { ca: stranger.cert } } })).outcome).toBe(
      "unknown",
    );
  });
});
