// The timeout of single steps: in every call of the step that the coordinator makes, phase two included, and in those
// that the client makes itself.

import { createServer } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { memoryBarrier } from "../../../src/client/barrier/memory.js";
import { type Client, createClient, Failure, route, workflow } from "../../../src/client/index.js";
import { tandemRoutes } from "../../../src/client/participant/express.js";
import { xaRoute } from "../../../src/client/xa/index.js";
import { memoryXa } from "../../../src/client/xa/memory.js";
import { type Embedded, startEmbedded } from "../../../src/embedded/embedded.js";
import { listen, stop } from "./service.js";

/** What the coordinator called, and how long it would have waited. */
const calls: string[] = [];
const silence = new Promise<void>(() => {});

describe("the timeout of a step", () => {
  let client: Client;
  let coordinator: Embedded;
  let base: string;
  const xa = xaRoute(
    "/xa",
    {
      database: memoryXa(memoryBarrier()),
      client: { api: { call: (...all) => client.api.call(...all) } as Client["api"] },
    },
    async () => {},
  );
  const refuse = route("/refuse", ({ branch }) => {
    if (branch.op === "action" || branch.op === "try") throw new Failure("no");
  });
  const late = route("/late", () => delay(100));
  const routes = [route("/do", () => {}), refuse, route("/hang", () => silence), late, xa];
  const service = createServer(tandemRoutes(routes));

  beforeAll(async () => {
    base = await listen(service);
    coordinator = await startEmbedded({
      store: "memory:",
      retryIntervalSeconds: 1,
      headers: ({ op, branchId, timeoutMs }) => {
        calls.push(`${op} ${branchId} ${timeoutMs}`);
        return {};
      },
    });
    client = createClient({ endpoints: [coordinator.endpoint], address: "http://127.0.0.1:9", callTimeout: "50s" });
  });
  afterAll(async () => {
    await client.close();
    await coordinator.close(100);
    await stop(service);
  });
  beforeEach(() => {
    calls.length = 0;
  });

  const whole = { requestTimeout: "7s", wait: "10s" } as const;
  const at = (path: string) => ({ action: base + path, compensate: `${base}/do` });
  const sorted = () => calls.toSorted();

  it("counts for its action and its compensation, over that of the transaction", async () => {
    const saga = client
      .saga(whole)
      .step({ ...at("/do"), timeout: "30s" }, {})
      .step({ ...at("/do"), timeout: 1_001, headers: { a: "b" } }, {})
      .step(at("/do"), {})
      .step(at("/refuse"), {});
    expect(await saga.submit()).toMatchObject({ status: "failed" });
    expect(sorted()).toEqual([
      ...["action 01 30000", "action 02 2000", "action 03 7000", "action 04 7000"],
      ...["compensate 01 30000", "compensate 02 2000", "compensate 03 7000", "compensate 04 7000"],
    ]);
  });

  it("counts for a message's target", async () => {
    const message = client
      .msg(whole)
      .to({ url: `${base}/do`, timeout: "1m" }, {})
      .to(`${base}/do`, {});
    expect(await message.submit()).toMatchObject({ status: "succeeded" });
    expect(calls).toEqual(["action 01 60000", "action 02 7000"]);
  });

  it("counts for what confirms or cancels a try", async () => {
    const branch = { try: `${base}/do`, confirm: `${base}/do`, cancel: `${base}/do` };
    await client.tcc(whole, async (tcc) => {
      await tcc.call({ ...branch, timeout: "30s" }, {});
      await tcc.call(branch, {});
    });
    expect(sorted()).toEqual(["confirm 01 30000", "confirm 02 7000"]);
    calls.length = 0;
    const refused = client.tcc(whole, (tcc) => tcc.call({ ...branch, try: `${base}/refuse`, timeout: "30s" }, {}));
    await expect(refused).rejects.toMatchObject({ code: "DTX_FAILURE" });
    await expect.poll(sorted, { timeout: 10_000 }).toEqual(["cancel 01 30000"]);
  });

  it("counts for an XA branch's commit, which the participant registers", async () => {
    await client.xa(whole, async (open) => {
      await open.call({ url: `${base}/xa`, timeout: "30s" }, {});
      await open.call(`${base}/xa`, {});
    });
    expect(sorted()).toEqual(["commit 01 30000", "commit 02 7000"]);
  });

  describe("ends the client's own wait", () => {
    const hang = () => `${base}/hang`;
    it.each([
      ["for a try", () => client.tcc({}, (tcc) => tcc.call({ ...of(hang()), timeout: "1s" }, {}))],
      ["for an XA branch", () => client.xa({}, (open) => open.call({ url: hang(), timeout: "1s" }, {}))],
    ] as const)("%s", async (_for, call) => {
      const startedMs = performance.now();
      await expect(call()).rejects.toMatchObject({ code: "DTX_UNREACHABLE" });
      expect(performance.now() - startedMs).toBeLessThan(20_000);
    });
    const of = (url: string) => ({ try: url, confirm: `${base}/do`, cancel: `${base}/do` });

    it("for a call of a workflow, and lengthens it", async () => {
      const hasty = createClient({ endpoints: [coordinator.endpoint], address: "http://127.0.0.1:9", callTimeout: 1 });
      const slow = workflow<string, string>("slow", (flow, path) =>
        flow.step("slow", async ({ call }) => {
          await call({ url: base + path, timeout: "1s" }, {});
          return "done";
        }),
      );
      const flows = hasty.workflows([slow], { callbackUrl: `${base}/nobody` });
      expect(await flows.execute(slow, {}, "/late")).toBe("done");
      await expect(flows.execute(slow, {}, "/hang")).rejects.toMatchObject({ code: "DTX_UNREACHABLE" });
      await hasty.close();
    });
  });

  it.each([0, "0s", "61m", -1, Number.NaN, "1 s" as "1s"] as const)(
    "of %s is refused before anything is sent",
    (timeout) => {
      const wrong = expect.objectContaining({ code: "DTX_INVALID_INPUT" });
      expect(() => client.saga().step({ ...at("/do"), timeout }, {})).toThrow(wrong);
      expect(() => client.msg().to({ url: `${base}/do`, timeout }, {})).toThrow(wrong);
    },
  );
});
