// The test kit's world: what it brings to participants, and single stories without `expectAtomic`.
import { describe, expect, it } from "vitest";
import { defineStep, type Route } from "../../../src/client/index.js";
import { createWorld, expectAtomic, memoryBarrier, participantUrl } from "../../../src/testing/index.js";

describe("the test kit", () => {
  it("brings a participant what a real network would: bytes as they are, and headers", async () => {
    const seen = new Set<string>();
    const bytes = Uint8Array.from([0x22, 0xc3, 0xa4, 0x22]);
    const take: Route = {
      path: "/take",
      async handle({ url, body, header }) {
        const op = new URLSearchParams(url.split("?")[1]).get("op");
        seen.add(`${op} ${header?.("tenant")} ${Buffer.from(body).toString("hex")}`);
        return { status: 200, body: "{}" };
      },
    };
    const url = `${participantUrl}/take`;
    const one = { try: url, confirm: url, cancel: url };
    await expectAtomic(
      () => ({
        routes: [take],
        run: (client) => client.tcc({ headers: { tenant: "blue" } }, (t) => t.call(one, bytes)),
        invariant: () => {},
      }),
      { randomRuns: 0 },
    );
    expect([...seen].sort()).toEqual(["cancel", "confirm", "try"].map((op) => `${op} blue 22c3a422`));
  });

  it("has a world for a single story with faults of one's own choice", async () => {
    const guard = memoryBarrier();
    const add = (change: number) => (now: unknown) => Number(now ?? 0) + change;
    const step = defineStep({
      ...{ path: "/reserve", guard },
      action: (tx, order: { count: number }) => tx.update("reserved", add(order.count)),
      compensate: (tx, order) => tx.update("reserved", add(-order.count)),
    });
    const world = createWorld(() => step.routes, new Map([[1, "answer lost"]]));
    const saga = world.client.saga({ wait: "1h" }).step(step.at(participantUrl), { count: 2 });
    expect((await world.drive(saga.submit())).status).toBe("succeeded");
    await world.settle();
    expect(guard.values.get("reserved")).toBe(2);
    expect(world.network.story).toContainEqual(expect.stringMatching(/action of 01 .* but the answer is lost/));
    await world.close();
  });
});
