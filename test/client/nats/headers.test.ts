// Headers of single steps, and those that the operator of an embedded coordinator adds: what participants of every
// protocol see, in every call, phase two included.

import { createServer } from "node:http";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { connect, type NatsConnection } from "nats";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { memoryBarrier } from "../../../src/client/barrier/memory.js";
import { addRoutes, grpcCalls } from "../../../src/client/grpc/index.js";
import { type Client, createClient, Failure, type Route, route } from "../../../src/client/index.js";
import { natsCalls, serveRoutes } from "../../../src/client/nats/index.js";
import { tandemRoutes } from "../../../src/client/participant/express.js";
import { xaRoute } from "../../../src/client/xa/index.js";
import { memoryXa } from "../../../src/client/xa/memory.js";
import { type Embedded, type HeaderProvider, startEmbedded } from "../../../src/embedded/embedded.js";
import { available, startNats } from "../../servers.js";
import { listen, stop } from "../e2e/service.js";

const withNats = await available("nats");

/** What a participant saw: `op branch`, and the three headers of these tests. */
interface Seen {
  readonly what: string;
  readonly token: string | undefined;
  readonly tenant: string | undefined;
  readonly added: string | undefined;
}

const seen: Seen[] = [];
let provider: HeaderProvider | undefined;
let client: Client;

function noting(path: string, refuses = false): Route {
  return route(path, ({ branch: { op, branchId } }, _payload, { header }) => {
    const read = (name: string) => header?.(name);
    seen.push({ what: `${op} ${branchId}`, token: read("x-token"), tenant: read("x-tenant"), added: read("x-added") });
    if (refuses && (op === "action" || op === "try")) throw new Failure("no");
  });
}

const xaDatabase = memoryXa(memoryBarrier());
/** The XA branch, whose calls are noted before it looks at them. */
function xaBranch(): Route {
  const branch = xaRoute(
    "/xa",
    { database: xaDatabase, client: { api: { call: (...all) => client.api.call(...all) } as Client["api"] } },
    async () => {},
  );
  const note = noting("/xa");
  return {
    path: "/xa",
    handle: async (incoming) => {
      await note.handle(incoming);
      return branch.handle(incoming);
    },
  };
}

const silence = new Promise<void>(() => {});
const hang = route("/hang", () => silence);
const routes = [noting("/do"), noting("/undo"), noting("/refuse", true), xaBranch(), hang];

describe("headers of a step", () => {
  const http = createServer(tandemRoutes(routes));
  const grpc = new Server();
  let nats: { readonly url: string; stop(): Promise<void> } | undefined;
  let bus: NatsConnection | undefined;
  let coordinator: Embedded;
  const bases = new Map<string, string>();

  beforeAll(async () => {
    bases.set("HTTP", await listen(http));
    addRoutes(grpc, "busi.Busi", routes);
    const port = await new Promise<number>((resolve, reject) =>
      grpc.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      ),
    );
    bases.set("gRPC", `grpc://127.0.0.1:${port}/busi.Busi`);
    if (withNats) {
      nats = await startNats();
      bus = await connect({ servers: nats.url });
      await serveRoutes(bus, `busi-${process.pid}`, routes);
      bases.set("NATS", `nats://busi-${process.pid}`);
    }
    coordinator = await startEmbedded({
      store: "memory:",
      retryIntervalSeconds: 1,
      ...(bus && { nats: bus }),
      headers: (call) => provider?.(call) ?? {},
    });
    const participants = [grpcCalls(), ...(bus ? [natsCalls(bus)] : [])];
    client = createClient({
      endpoints: [coordinator.endpoint],
      address: "http://127.0.0.1:9",
      participants,
      callTimeout: "50s",
    });
  });
  afterAll(async () => {
    await client.close();
    await coordinator.close(100);
    await bus?.close();
    await nats?.stop();
    grpc.forceShutdown();
    await stop(http);
  });
  beforeEach(() => {
    seen.length = 0;
    provider = undefined;
  });

  const at = (protocol: string, path: string) => {
    const base = bases.get(protocol) ?? "";
    return base + (protocol === "NATS" ? path.replace("/", ".") : path);
  };
  const lastErrors = async (gid: string) => {
    const { body } = await client.api.call("query", { gid });
    return (body.branches as readonly { readonly last_error?: string }[]).map(({ last_error }) => last_error);
  };
  const headers = { "x-tenant": "t", "X-Token": "of all" };
  const own = (token: string) => ({ headers: { "x-token": token } });
  const tokens = () => seen.map(({ what, token, tenant }) => `${what}: ${token} ${tenant}`).sort();

  describe.each(["HTTP", "gRPC", ...(withNats ? ["NATS"] : [])])("over %s", (protocol) => {
    it("go with its action and its compensation, over those of the transaction; other steps have theirs", async () => {
      const step = (path: string) => ({ action: at(protocol, path), compensate: at(protocol, "/undo") });
      const saga = client
        .saga({ headers, wait: "10s" })
        .step({ ...step("/do"), ...own("one") }, {})
        .step(step("/do"), {})
        .step({ ...step("/refuse"), ...own("three") }, {});
      expect(await saga.submit()).toMatchObject({ status: "failed" });
      expect(tokens()).toEqual([
        ...["action 01: one t", "action 02: of all t", "action 03: three t"],
        ...["compensate 01: one t", "compensate 02: of all t", "compensate 03: three t"],
      ]);
    });

    it("go with a message's target", async () => {
      const message = client.msg({ headers, wait: "10s" }).to({ url: at(protocol, "/do"), ...own("one") }, {});
      expect(await message.to(at(protocol, "/do"), {}).submit()).toMatchObject({ status: "succeeded" });
      expect(tokens()).toEqual(["action 01: one t", "action 02: of all t"]);
    });

    it("go with a try, and with what confirms or cancels it", async () => {
      const branch = { try: at(protocol, "/do"), confirm: at(protocol, "/do"), cancel: at(protocol, "/undo") };
      await client.tcc({ headers, wait: "10s" }, async (tcc) => {
        await tcc.call({ ...branch, ...own("one") }, {});
        await tcc.call(branch, {});
      });
      expect(tokens()).toEqual([...["confirm 01: one t", "confirm 02: of all t", "try 01: one t", "try 02: of all t"]]);
      seen.length = 0;
      const refused = client.tcc({ headers, gid: `cancelled-${protocol}` }, async (tcc) => {
        await tcc.call({ ...branch, try: at(protocol, "/refuse"), ...own("two") }, {});
      });
      await expect(refused).rejects.toMatchObject({ code: "DTX_FAILURE" });
      await expect.poll(tokens, { timeout: 10_000 }).toEqual(["cancel 01: two t", "try 01: two t"]);
    });

    it("go with an XA branch's work, and with its commit", async () => {
      await client.xa({ headers, wait: "10s" }, async (xa) => {
        await xa.call({ url: at(protocol, "/xa"), ...own("one") }, {});
        await xa.call(at(protocol, "/xa"), {});
      });
      expect(tokens()).toEqual([
        ...["action 01: one t", "action 02: of all t", "commit 01: one t", "commit 02: of all t"],
      ]);
    });

    it("go beside its timeout, after which a call of it is given up", async () => {
      const gid = `timeout-${protocol}`;
      const step = (timeout?: "1s") => ({ action: at(protocol, "/hang"), compensate: "", ...(timeout && { timeout }) });
      await client.saga({ gid, requestTimeout: "2s" }).step(step("1s"), {}).step(step(), {}).parallel().submit();
      const given = async () => (await lastErrors(gid)).filter((_, i) => i % 2 === 1);
      const wanted = [1, 2].map((s) => expect.stringMatching(new RegExp(`no (answer|reply) within ${s}000 ms$`)));
      await expect.poll(given, { timeout: 10_000 }).toEqual(wanted);
      const branch = { try: at(protocol, "/hang"), confirm: at(protocol, "/do"), cancel: at(protocol, "/do") };
      const startedMs = performance.now();
      const tried = client.tcc({}, (tcc) => tcc.call({ ...branch, timeout: "1s" }, {}));
      await expect(tried).rejects.toMatchObject({ code: "DTX_UNREACHABLE" });
      // Far below the client's own timeout for calls.
      expect(performance.now() - startedMs).toBeLessThan(20_000);
      await expect.poll(() => seen.map(({ what }) => what), { timeout: 10_000 }).toEqual(["cancel 01"]);
    });

    it("of the coordinator's operator beat all others, and know what they are for", async () => {
      const asked: string[] = [];
      provider = async ({ gid, op, branchId, url, payload }) => {
        asked.push(`${gid} ${op} ${branchId} ${url} ${Buffer.from(payload)}`);
        return { "X-Added": `for ${op}`, "x-TOKEN": "operator" };
      };
      const gid = `provided-${protocol}`;
      const step = { action: at(protocol, "/do"), compensate: "", ...own("one") };
      expect(await client.saga({ gid, headers, wait: "10s" }).step(step, { a: 1 }).submit()).toMatchObject({
        status: "succeeded",
      });
      expect(seen).toEqual([{ what: "action 01", token: "operator", tenant: "t", added: "for action" }]);
      expect(asked).toEqual([`${gid} action 01 ${step.action} {"a":1}`]);
    });
  });

  it.each([
    [
      "throws",
      () => {
        throw new Error("no token today");
      },
      /its headers could not be had: no token today/,
    ],
    ["rejects", () => Promise.reject(new Error("no token today")), /its headers could not be had: no token today/],
    ["gives what cannot be sent", () => ({ "x-token": "a\r\nb: c" }), /headers of the provider 'x-token': a control/],
    ["claims another branch", () => ({ "dtm-gid": "other" }), /headers of the provider: 'dtm-gid'/],
  ] as const)("of an operator who %s leave the participant uncalled until they can be had", async (how, wrong, why) => {
    provider = wrong;
    const gid = `unprovided-${how.replaceAll(" ", "-")}`;
    const saga = client.saga({ gid, wait: "10s" }).step({ action: at("HTTP", "/do"), compensate: "" }, {});
    const ended = saga.submit();
    await expect.poll(() => lastErrors(gid), { timeout: 5_000 }).toContainEqual(expect.stringMatching(why));
    expect(seen).toEqual([]);
    provider = undefined;
    expect(await ended).toMatchObject({ status: "succeeded" });
    expect(seen).toHaveLength(1);
  });

  it("of an operator who never answers cost the call its deadline, no more", async () => {
    provider = () => new Promise(() => {});
    const gid = "endless-provider";
    const options = { gid, requestTimeout: "1s" } as const;
    await client
      .saga(options)
      .step({ action: at("HTTP", "/do"), compensate: "" }, {})
      .submit();
    await expect.poll(() => lastErrors(gid), { timeout: 5_000 }).toContain("no answer within 1000 ms");
    provider = undefined;
    await expect.poll(() => seen.length, { timeout: 10_000 }).toBe(1);
  });
});
