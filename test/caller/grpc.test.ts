/**
 * gRPC participants: what goes over the wire, what an answer means, sick ones (S-BR-30…35, S-RES-2).
 */
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { createServer as createTcp } from "node:net";
import { describe, expect, it } from "vitest";
import type { Answer } from "../../src/ports/caller.js";
import { ask, bare, caller, closing, participant, trailersOnly } from "./grpcparticipant.js";
import { until } from "./participant.js";

describe("a gRPC call on the wire", () => {
  it("carries the payload's bytes as message and the identity as metadata, the branch's own beside it", async () => {
    const seen: { headers: IncomingHttpHeaders; body: Buffer[] }[] = [];
    const { port } = await bare((stream, headers) => {
      const body: Buffer[] = [];
      seen.push({ headers, body });
      stream.on("data", (chunk: Buffer) => body.push(chunk));
      stream.on("end", () => stream.respond({ ...trailersOnly, "grpc-status": "0" }, { endStream: true }));
    });
    const payload = Buffer.from([8, 150, 1, 0, 255, 254]);
    const headers = {
      "X-H": "v",
      "data-bin": "\u0001raw",
      "grpc-timeout": "1n",
      te: "gzip",
      "Content-Type": "text/plain",
    };
    const answer = await ask(caller(), `127.0.0.1:${port}/busi.Busi/Pay`, { payload, headers, gid: "it's %" });
    expect(answer.outcome).toBe("success");
    expect(Buffer.concat(seen[0]?.body ?? []).toString("hex")).toBe(`0000000006${payload.toString("hex")}`);
    expect(seen[0]?.headers).toMatchObject({
      ":method": "POST",
      ":path": "/busi.Busi/Pay",
      ":authority": `127.0.0.1:${port}`,
      ":scheme": "http",
      te: "trailers",
      "content-type": "application/grpc+dtm_raw",
      "grpc-timeout": "2000m",
      "dtm-trans_type": "saga",
      "dtm-branch_id": "01",
      "dtm-op": "action",
      "dtm-dtm": "",
      "x-h": "v",
      "data-bin": Buffer.from("\u0001raw").toString("base64"),
    });
    expect(seen[0]?.headers["dtm-gid"]).toBe("it's %");
  });

  it("is not made where metadata cannot tell whose it is: a participant would run without knowing", async () => {
    const seen: string[] = [];
    const port = await participant((body) => void seen.push(body.toString()));
    const call = (ids: object) =>
      ask(caller(), `127.0.0.1:${port}/busi.Busi/Pay`, { payload: Buffer.from("p"), ...ids });
    for (const [ids, name] of [
      [{ gid: "überweisung-1" }, "gid"],
      [{ gid: "g1 " }, "gid"],
      [{ branchId: "0\u0101" }, "branch_id"],
      [{ op: "überweisen" }, "op"],
    ] as const)
      expect(await call(ids)).toEqual({
        ...{ outcome: "unknown", isWell: true },
        detail: `not called: gRPC metadata carries printable ASCII without outer blanks only, which ${name} is not`,
      });
    expect(seen).toEqual([]);
    expect(await call({ gid: "a b;c'" })).toMatchObject({ outcome: "success" });
    expect(seen).toEqual(["p"]);
  });

  it("is understood by an ordinary server", async () => {
    const seen: [string, Record<string, unknown>][] = [];
    const port = await participant((body, metadata) => {
      seen.push([body.toString(), metadata.getMap()]);
      return undefined;
    });
    const answer = await ask(caller(), `127.0.0.1:${port}/busi.Busi/Pay`, { payload: Buffer.from("pay") });
    expect(answer).toMatchObject({ outcome: "success" });
    expect(seen[0]?.[0]).toBe("pay");
    expect(seen[0]?.[1]).toMatchObject({ "dtm-gid": "g1", "dtm-op": "action", "dtm-dtm": "" });
  });

  it("resumes a workflow by WorkflowData, its name as op (S-BR-35)", async () => {
    const seen: string[] = [];
    const port = await participant((body) => {
      seen.push(body.toString("hex"));
      return undefined;
    });
    const by = caller();
    const url = `127.0.0.1:${port}/workflow.Workflow/Execute`;
    const call = { type: "workflow", branchId: "00", op: "name" } as const;
    expect((await ask(by, url, { ...call, payload: Buffer.from("{}") })).outcome).toBe("success");
    expect((await ask(by, url, { ...call, payload: new Uint8Array() })).outcome).toBe("success");
    expect(seen).toEqual(["0a027b7d", ""]);
  });

  it("goes over one kept connection", async () => {
    const { port, sessions } = await bare((stream) =>
      stream.respond({ ...trailersOnly, "grpc-status": "0" }, { endStream: true }),
    );
    const by = caller();
    const all = Array.from({ length: 300 }, () => ask(by, `127.0.0.1:${port}/busi.Busi/Pay`));
    expect(new Set((await Promise.all(all)).map(({ outcome }) => outcome))).toEqual(new Set(["success"]));
    expect(sessions.size).toBe(1);
  });
});

describe("a gRPC participant's answer", () => {
  const statuses: readonly (readonly [number, string, Answer["outcome"]])[] = [
    [9, "later", "ongoing"],
    [10, "ONGOING", "ongoing"],
    [10, "no stock, 100 % sold: €", "failure"],
    [2, "x FAILURE", "unknown"],
    [4, "", "unknown"],
    [5, "", "unknown"],
    [12, "", "unknown"],
    [13, "", "unknown"],
    [14, "", "unknown"],
    [16, "", "unknown"],
  ];
  for (const [code, details, outcome] of statuses)
    it(`of code ${code} with '${details}' means ${outcome}`, async () => {
      const port = await participant(() => ({ code, details }));
      const answer = await ask(caller(), `127.0.0.1:${port}/busi.Busi/Pay`);
      expect(answer.outcome).toBe(outcome);
      expect(answer.detail).toContain(details);
    });

  it("for a method it does not have means unknown", async () => {
    const port = await participant(() => undefined);
    expect((await ask(caller(), `127.0.0.1:${port}/busi.Busi/Nothing`)).detail).toContain("UNIMPLEMENTED");
  });

  /** How a stream is answered, and what the answer's detail says. */
  const odd: readonly (readonly [string, (stream: ServerHttp2Stream) => void, RegExp])[] = [
    ["without a status", (s) => s.respond(trailersOnly, { endStream: true }), /no gRPC status/],
    [
      "that is HTML",
      (s) => {
        s.respond({ ":status": 200, "content-type": "text/html" });
        s.end("<p>hi");
      },
      /not gRPC/,
    ],
    ["of HTTP status 503", (s) => s.respond({ ":status": 503, "grpc-status": "0" }, { endStream: true }), /503/],
    [
      "with a status that is no number",
      (s) => s.respond({ ...trailersOnly, "grpc-status": "fine" }, { endStream: true }),
      /2/,
    ],
    ["that is a reset", (s) => s.close(2), /HTTP\/2 error 2/],
    ["that is the connection's end", (s) => s.session?.destroy(), /ended before its answer/],
  ];
  for (const [name, reply, detail] of odd)
    it(`${name} means unknown`, async () => {
      const { port } = await bare(reply);
      const answer = await ask(caller(), `127.0.0.1:${port}/busi.Busi/Pay`);
      expect(answer.outcome).toBe("unknown");
      expect(answer.detail).toMatch(detail);
    });

  it("in trailers after a message of any size counts, endless ones are ended", async () => {
    const { port } = await bare((stream, headers) => {
      stream.respond(trailersOnly, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "10", "grpc-message": "no%20stock" }));
      if (headers[":path"] === "/busi.Busi/Large") stream.end(Buffer.alloc(3 << 20));
      else {
        const flood = () => {
          while (stream.writable && stream.write(Buffer.alloc(65_536)));
        };
        stream.on("drain", flood);
        flood();
      }
    });
    expect(await ask(caller(), `127.0.0.1:${port}/busi.Busi/Large`)).toEqual({
      outcome: "failure",
      detail: "no stock",
    });
    const endless = await ask(caller(), `127.0.0.1:${port}/busi.Busi/Endless`, { timeoutMs: 10_000 });
    expect(endless).toMatchObject({ outcome: "unknown", detail: expect.stringContaining("longer than") });
  });

  it("is asked for once more where the peer says that it has not looked at the call, and only once", async () => {
    let looked = 0;
    const { port } = await bare((stream, headers, nth) => {
      looked += 1;
      if (nth === 0 || headers[":path"] === "/busi.Busi/Never") stream.close(7);
      else stream.respond({ ...trailersOnly, "grpc-status": "0" }, { endStream: true });
    });
    const by = caller();
    expect((await ask(by, `127.0.0.1:${port}/busi.Busi/Pay`)).outcome).toBe("success");
    expect(looked).toBe(2);
    expect((await ask(by, `127.0.0.1:${port}/busi.Busi/Never`)).outcome).toBe("unknown");
    expect(looked).toBe(4);
  });
});

describe("a sick gRPC participant", () => {
  const timed = async (pending: Promise<Answer>) => {
    const before = performance.now();
    const { outcome } = await pending;
    expect(outcome).toBe("unknown");
    return performance.now() - before;
  };

  it("that never answers gives unknown at the deadline, and learns that nobody waits", async () => {
    let reset = 0;
    const { port } = await bare((stream) => stream.on("close", () => (reset = stream.rstCode ?? 0)));
    const took = await timed(ask(caller(), `127.0.0.1:${port}/busi.Busi/Pay`, { timeoutMs: 200 }));
    expect(took).toBeGreaterThan(190);
    expect(took).toBeLessThan(1000);
    await until("the stream is cancelled", () => reset === 8);
  });

  it("is left alone within 50 ms of the signal", async () => {
    let streams = 0;
    const { port } = await bare(() => streams++);
    const controller = new AbortController();
    const pending = ask(caller(), `127.0.0.1:${port}/busi.Busi/Pay`, { timeoutMs: 30_000 }, controller.signal);
    await until("the call is on the wire", () => streams === 1);
    controller.abort();
    expect(await timed(pending)).toBeLessThan(50);
  });

  it("that takes connections and says nothing gives unknown at the deadline", async () => {
    const server = createTcp((socket) => void socket.on("error", () => {})).listen(0, "127.0.0.1");
    await once(server, "listening");
    closing.push(() => server.close());
    const { port } = server.address() as AddressInfo;
    expect(await timed(ask(caller(), `127.0.0.1:${port}/busi.Busi/Pay`, { timeoutMs: 200 }))).toBeLessThan(1000);
  });

  it("that speaks something else gives unknown at once", async () => {
    for (const bytes of ["HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "\0".repeat(100), "SSH-2.0-x\r\n"]) {
      const server = createTcp((socket) => void socket.on("error", () => {}).write(bytes)).listen(0, "127.0.0.1");
      await once(server, "listening");
      closing.push(() => server.close());
      const { port } = server.address() as AddressInfo;
      expect(await timed(ask(caller(), `127.0.0.1:${port}/busi.Busi/Pay`, { timeoutMs: 5000 }))).toBeLessThan(1000);
    }
  });

  it("that is not there gives unknown with the reason, and is called as soon as it is", async () => {
    const { port, server } = await bare(() => {});
    await new Promise((resolve) => server.close(resolve));
    const by = caller();
    const answer = await ask(by, `127.0.0.1:${port}/busi.Busi/Pay`);
    expect(answer.detail).toContain("ECONNREFUSED");
    const back = createServer().on("stream", (stream) =>
      stream.respond({ ...trailersOnly, "grpc-status": "0" }, { endStream: true }),
    );
    back.listen(port, "127.0.0.1");
    await once(back, "listening");
    closing.push(() => back.close());
    expect((await ask(by, `127.0.0.1:${port}/busi.Busi/Pay`)).outcome).toBe("success");
  });

  it("that restarts is called over a new connection", async () => {
    const { port, sessions } = await bare((stream) =>
      stream.respond({ ...trailersOnly, "grpc-status": "0" }, { endStream: true }),
    );
    const by = caller();
    const call = () => ask(by, `127.0.0.1:${port}/busi.Busi/Pay`);
    expect((await call()).outcome).toBe("success");
    const [first] = sessions;
    first?.close();
    await until("the old connection is gone", () => !sessions.has(first as ServerHttp2Session));
    expect((await call()).outcome).toBe("success");
    for (const session of sessions) session.destroy();
    await until("the second connection is gone", () => sessions.size === 0);
    expect(["success", "unknown"]).toContain((await call()).outcome);
    expect((await call()).outcome).toBe("success");
  });

  it("whose name nobody knows gives unknown", async () => {
    const answer = await ask(caller(), "nobody.invalid:1/busi.Busi/Pay", { timeoutMs: 5000 });
    expect(answer.outcome).toBe("unknown");
  });
});
