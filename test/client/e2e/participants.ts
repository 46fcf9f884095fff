// What participants of every protocol must do alike: one table of rules over the same steps, served by gRPC and NATS
// (HTTP has the whole of `suite.ts`).

import { expect, it } from "vitest";
import { type MemoryBarrier, type MemoryTx, memoryBarrier } from "../../../src/client/barrier/memory.js";
import {
  type Client,
  checkBack,
  defineReceiver,
  defineStep,
  defineTccStep,
  Failure,
  type Route,
} from "../../../src/client/index.js";
import { add, type Transfer } from "./service.js";
import { until } from "./suite.js";

/** A bank's steps on one database, and their routes. The check-back is at `/check`. */
export function bankSteps(db: MemoryBarrier = memoryBarrier()) {
  const credit = defineStep<MemoryTx, Transfer>({
    ...{ path: "/credit", guard: db },
    action: (tx, { account, amount }) => add(tx, account, amount),
    compensate: async (tx, { account, amount }) => {
      await add(tx, account, -amount);
    },
  });
  const hold = defineTccStep<MemoryTx, { readonly left: number }, Transfer>({
    ...{ path: "/hold", guard: db },
    try: async (tx, { account, amount }) => ({ left: await add(tx, account, -amount) }),
    confirm: async () => {},
    cancel: async (tx, { account, amount }) => {
      await add(tx, account, amount);
    },
  });
  const receive = defineReceiver<MemoryTx, Transfer>({
    ...{ path: "/receive", guard: db },
    receive: async (tx, { account, amount }) => {
      await add(tx, account, amount);
    },
  });
  const routes: readonly Route[] = [...[credit, hold, receive].flatMap((step) => step.routes), checkBack("/check", db)];
  return { db, credit, hold, receive, routes, balance: (account: string) => Number(db.values.get(account) ?? 0) };
}

/** Participants that are served, and a client that can reach them. */
export interface Served {
  readonly client: Client;
  /** For `at`. */
  readonly base: string;
}

/** Registers the rules; `served` is asked inside the tests only. */
export function participantConformance(steps: ReturnType<typeof bankSteps>, served: () => Served): void {
  const { db, credit, hold, receive, balance } = steps;

  it("take a saga's steps, and undo them when one refuses", async () => {
    const { client, base } = served();
    const step = credit.at(base);
    const good = await client.saga({ wait: "10s" }).step(step, { account: "ä", amount: 7 }).submit();
    expect([good.status, balance("ä")]).toEqual(["succeeded", 7]);
    const bad = await client
      .saga({ wait: "10s" })
      .step(step, { account: "ä", amount: 1 })
      .step(step, { account: "poor", amount: -1 })
      .submit();
    expect(bad).toMatchObject({ status: "failed", reason: expect.stringContaining("poor has only 0") });
    expect(balance("ä")).toBe(7);
  });

  it("are tried by the client, and give their value or their refusal with its details", async () => {
    const { client, base } = served();
    await db.transaction((tx) => add(tx, "t", 10));
    const trying = (amount: number) => client.tcc((t) => t.call(hold.at(base), { account: "t", amount }));
    expect(await trying(4)).toEqual({ left: 6 });
    const refused = await trying(40).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(Failure);
    expect(refused).toMatchObject({ details: { left: 6 } });
  });

  it("receive messages and answer the check-back", async () => {
    const { client, base } = served();
    const message = client.msg().to(receive.at(base), { account: "m", amount: 5 });
    const inDoubt = message.doAndSubmit(async (delivery) => {
      await db.run(delivery, async () => {});
      throw new Error("connection lost during commit");
    });
    await expect(inDoubt).rejects.toMatchObject({ outcome: "submitted" });
    await until(
      () => balance("m") === 5,
      () => balance("m"),
    );
  });
}
