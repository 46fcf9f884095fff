// Work that takes longer than a coordinator waits: answered "not yet" in time, begun once, its answer not lost.

import { createServer } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { memoryBarrier } from "../../../src/client/barrier/memory.js";
import { createClient, defineStep, Failure, type Route, route } from "../../../src/client/index.js";
import { tandemRoutes } from "../../../src/client/participant/express.js";
import { longRunning, ongoingUntil } from "../../../src/client/participant/ongoing.js";
import { type Embedded, startEmbedded } from "../../../src/embedded/embedded.js";
import { listen, stop } from "../e2e/service.js";

/** Work that ends when the test says so. */
function manual() {
  const begun: { end(value?: unknown): void; fail(error: unknown): void }[] = [];
  const work = () => new Promise<unknown>((end, fail) => begun.push({ end, fail }));
  return { begun, work };
}

const deliver = (one: Route | undefined, gid: string, op = "action") =>
  one!.handle({ url: `${one!.path}?gid=${gid}&trans_type=saga&branch_id=01&op=${op}`, body: "" });

describe("ongoingUntil", () => {
  it("gives what the promise gives in time, value or error", async () => {
    expect(await ongoingUntil(Promise.resolve(7), "1s")).toBe(7);
    await expect(ongoingUntil(Promise.reject(new Failure("no")), "1s")).rejects.toMatchObject({ code: "DTX_FAILURE" });
  });

  it("is Ongoing when the time is up, again for each who waits; the promise goes on", async () => {
    const { begun, work } = manual();
    const slow = work();
    await expect(ongoingUntil(slow, 10)).rejects.toMatchObject({ code: "DTX_ONGOING" });
    await expect(ongoingUntil(slow, 10)).rejects.toMatchObject({ code: "DTX_ONGOING" });
    begun[0]!.end("done");
    expect(await ongoingUntil(slow, 10)).toBe("done");
  });

  it("leaves no unhandled rejection when the promise fails after the time is up", async () => {
    const unhandled: unknown[] = [];
    const note = (error: unknown) => unhandled.push(error);
    process.on("unhandledRejection", note);
    const { begun, work } = manual();
    await expect(ongoingUntil(work(), 5)).rejects.toMatchObject({ code: "DTX_ONGOING" });
    begun[0]!.fail(new Error("too late"));
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
    process.off("unhandledRejection", note);
    expect(unhandled).toEqual([]);
  });
});

describe("a long-running route", () => {
  const quiet = { within: 20 } as const;

  it("is begun once, answers 425 while at work, then its answer, to repeats as well", async () => {
    const { begun, work } = manual();
    const [one] = longRunning([route("/x", work)], quiet);
    expect((await Promise.all([deliver(one, "a"), deliver(one, "a")])).map(({ status }) => status)).toEqual([425, 425]);
    const waiting = deliver(one, "a");
    begun[0]!.end({ paid: 3 });
    expect(await waiting).toEqual({ status: 200, body: '{"paid":3}' });
    expect(await deliver(one, "a")).toEqual({ status: 200, body: '{"paid":3}' });
    expect(begun).toHaveLength(1);
  });

  it("gives an end that nobody waited for to the next delivery: a refusal too, which stays", async () => {
    const { begun, work } = manual();
    const [one] = longRunning([route("/x", work)], quiet);
    expect((await deliver(one, "a")).status).toBe(425);
    begun[0]!.fail(new Failure("sold out"));
    for (const _ of [1, 2])
      expect(await deliver(one, "a")).toMatchObject({ status: 409, body: expect.stringContaining("sold out") });
    expect(begun).toHaveLength(1);
  });

  it("tells an error once, and begins anew after it", async () => {
    const { begun, work } = manual();
    const [one] = longRunning([route("/x", work)], quiet);
    const first = one!.handle({ url: "/x?gid=a&trans_type=saga&branch_id=01&op=action", body: "", onError: () => {} });
    expect((await first).status).toBe(425);
    begun[0]!.fail(new Error("disk full"));
    expect(await deliver(one, "a")).toMatchObject({ status: 500, body: expect.stringContaining("disk full") });
    expect((await deliver(one, "a")).status).toBe(425);
    expect(begun).toHaveLength(2);
  });

  it("keeps branches, ops and paths apart, and leaves what is no delivery to the route", async () => {
    const { begun, work } = manual();
    const [one, other] = longRunning([route("/x", work), route("/y", work)], quiet);
    const odd = one!.handle({ url: "/x", body: "", onError: () => {} });
    const all = [deliver(one, "a"), deliver(one, "b"), deliver(one, "a", "compensate"), deliver(other, "a"), odd];
    expect((await Promise.all(all)).map(({ status }) => status)).toEqual([425, 425, 425, 425, 400]);
    expect(begun).toHaveLength(4);
  });

  it("forgets an answer after its time, the oldest first when there are too many, and work under way never", async () => {
    const { begun, work } = manual();
    const [one] = longRunning([route("/x", work)], { ...quiet, keep: 50, max: 2 });
    await deliver(one, "a");
    await deliver(one, "b");
    expect(await deliver(one, "c")).toMatchObject({ status: 425, body: expect.stringContaining("2 long deliveries") });
    expect(begun).toHaveLength(2);
    begun[0]!.end("first");
    expect(await deliver(one, "a")).toEqual({ status: 200, body: '"first"' });
    expect((await deliver(one, "c")).status).toBe(425);
    expect(begun).toHaveLength(3);
    begun[1]!.end();
    const begunAgain = async () => {
      await deliver(one, "b");
      return begun.length;
    };
    await expect.poll(begunAgain, { timeout: 5_000 }).toBe(4);
    expect(() => longRunning([], { max: 0 })).toThrow(/whole number/);
  });
});

describe("a long-running step behind a coordinator", () => {
  const db = memoryBarrier();
  const http = createServer((request, response) => tandemRoutes(routes)(request, response));
  let routes: readonly Route[] = [];
  let url = "";
  let coordinator: Embedded;
  beforeAll(async () => {
    url = await listen(http);
    coordinator = await startEmbedded({ store: "memory:", retryIntervalSeconds: 1 });
  });
  afterAll(async () => {
    await stop(http);
    await coordinator.close(100);
  });

  const slowStep = (path: string, work: () => Promise<unknown>) => {
    const sides: string[] = [];
    const step = defineStep({
      path,
      guard: db,
      action: async () => {
        sides.push("action");
        await work();
      },
      compensate: async () => {
        sides.push("compensate");
      },
    });
    routes = longRunning(step.routes, { within: 100 });
    return { step: step.at(url), sides };
  };
  const last = async (client: ReturnType<typeof createClient>, gid: string) =>
    (await client.api.call("query", { gid })).body.branches as readonly { readonly attempts?: number }[];

  it("succeeds though each answer must come within a second: run once under its barrier, never in doubt", async () => {
    const { begun, work } = manual();
    const { step, sides } = slowStep("/slow", work);
    await using client = createClient({ endpoints: [coordinator.endpoint] });
    await client.saga({ gid: "long-1", requestTimeout: "1s", maxRetries: 1 }).step(step, {}).submit();
    await expect.poll(async () => (await last(client, "long-1"))[1]?.attempts, { timeout: 10_000 }).toBe(2);
    begun[0]!.end();
    await expect.poll(async () => (await client.query("long-1"))?.status, { timeout: 10_000 }).toBe("succeeded");
    expect(sides).toEqual(["action"]);
  });

  it("is compensated after it has ended, not while it is at work", async () => {
    const { begun, work } = manual();
    const { step, sides } = slowStep("/late", work);
    await using client = createClient({ endpoints: [coordinator.endpoint] });
    await client.saga({ gid: "long-2", timeoutToFail: "1s" }).step(step, {}).submit();
    await expect
      .poll(async () => (await last(client, "long-2"))[0]?.attempts ?? 0, { timeout: 10_000 })
      .toBeGreaterThan(0);
    expect(sides).toEqual(["action"]);
    begun[0]!.end();
    await expect.poll(async () => (await client.query("long-2"))?.status, { timeout: 10_000 }).toBe("failed");
    expect(sides).toEqual(["action", "compensate"]);
  });
});
