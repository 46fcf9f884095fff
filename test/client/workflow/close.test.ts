// A service that ends lets its workflows end first, and leaves new ones to others.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient, isOngoing, workflow } from "../../../src/client/index.js";
import { type Embedded, startEmbedded } from "../../../src/embedded/embedded.js";
import { gate } from "../barrier/adapter.js";

describe("workflows that are closed", () => {
  let coordinator: Embedded;
  beforeAll(async () => {
    coordinator = await startEmbedded({ store: "memory:" });
  });
  afterAll(() => coordinator.close(100));

  it("finish the run that was begun, begin none, and answer a callback not yet", async () => {
    const client = createClient({ endpoints: [coordinator.endpoint] });
    const [inside, end] = [gate(), gate()];
    const steps: string[] = [];
    const slow = workflow("slow", async (flow) => {
      await flow.step("first", async () => {
        inside.open();
        await end.opened;
        steps.push("first");
      });
      await flow.step("second", () => void steps.push("second"));
    });
    const flows = client.workflows([slow], { callbackUrl: "http://127.0.0.1:9/flows" });
    const gid = client.newGid();
    const running = flows.execute(slow, { gid });
    await inside.opened;
    let isClosed = false;
    const closed = flows.close().then(() => {
      isClosed = true;
    });

    await expect(flows.execute(slow).catch((error: unknown) => isOngoing(error))).resolves.toBe(true);
    const other = client.newGid();
    const url = `/flows?gid=${other}&trans_type=workflow&branch_id=00&op=slow`;
    expect((await flows.route.handle({ url, body: "" })).status).toBe(425);
    expect(await client.query(other), "nothing of it has begun").toBeUndefined();
    expect(isClosed).toBe(false);

    end.open();
    await Promise.all([running, closed]);
    expect(steps).toEqual(["first", "second"]);
    expect(await client.query(gid)).toEqual({ gid, status: "succeeded" });
    await client.close();
  });
});
