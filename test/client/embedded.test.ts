// The coordinator inside a user's process, as far as its life goes. That a process which has nothing else to do still
// closes it to its end is proven by the gRPC example, which otherwise ends with code 13.
import { createServer } from "node:http";
import { describe, expect, it } from "vitest";
import { createClient } from "../../src/client/index.js";
import { startEmbedded } from "../../src/embedded/embedded.js";
import { listen, stop } from "./e2e/service.js";

describe("a transaction that is still pending", () => {
  it("tells what the call of its open step met, until that went through", async () => {
    let isOpen = false;
    const service = createServer((_request, response) => {
      response.statusCode = isOpen ? 200 : 503;
      response.end(isOpen ? "{}" : "closed for lunch");
    });
    const url = await listen(service);
    await using coordinator = await startEmbedded({ store: "memory:", retryIntervalSeconds: 1 });
    await using client = createClient({ endpoints: [coordinator.endpoint] });
    const steps = client.saga({ gid: "lunch", wait: "500ms" }).step({ action: `${url}/a`, compensate: "" });
    const pending = { gid: "lunch", status: "pending", lastError: expect.stringContaining("closed for lunch") };
    expect(await steps.submit()).toEqual(pending);
    expect(await client.query("lunch")).toEqual(pending);
    isOpen = true;
    const done = { gid: "lunch", status: "succeeded" };
    await expect.poll(() => client.query("lunch"), { timeout: 20_000 }).toEqual(done);
    await stop(service);
  });
});

describe("an embedded coordinator", () => {
  it("may be closed by hand and by the end of its block", async () => {
    const closed = async () => {
      await using coordinator = await startEmbedded({ store: "memory:" });
      await coordinator.close();
    };
    await expect(closed()).resolves.toBeUndefined();
  });
});
