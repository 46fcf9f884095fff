// The test kit finds what is wrong with ten participants, each wrong in its own way, and has nothing against the right
// ones.
import { describe, expect, it } from "vitest";
import type { Delivery } from "../../../src/client/barrier/delivery.js";
import {
  type Client,
  checkBack,
  defineReceiver,
  defineStep,
  defineTccStep,
  Failure,
  type Route,
  route,
  workflow,
} from "../../../src/client/index.js";
import { xaRoute } from "../../../src/client/xa/index.js";
import {
  type AtomicityError,
  type Ended,
  expectAtomic,
  type MemoryTx,
  memoryBarrier,
  memoryXa,
  participantUrl,
  type Stage,
} from "../../../src/testing/index.js";

const total = 100;
const numberOf = (value: unknown) => Number(value ?? 0);

/** Moves money inside a transaction; may go below zero, so that a wrong undo shows. */
const move = (tx: MemoryTx, account: string, amount: number) => tx.update(account, (now) => numberOf(now) + amount);

/** A bank of two accounts in two databases; the money in both together never changes. */
function bank() {
  const [here, there] = [memoryBarrier(), memoryBarrier()];
  const balances = () => ({ from: numberOf(here.values.get("from")), to: numberOf(there.values.get("to")) });
  const start = () => here.transaction((tx) => tx.update("from", () => total));
  /** All of 30, or nothing; and if the initiator was told, what it was told. */
  const invariant = (ended: Ended) => {
    const { from, to } = balances();
    expect(from + to, "money appears or disappears").toBe(total);
    expect([0, 30]).toContain(to);
    if (ended.kind === "resolved" && typeof ended.value === "string") expect(to).toBe(ended.value === "done" ? 30 : 0);
  };
  return { here, there, start, invariant };
}

type Bank = ReturnType<typeof bank>;
type Sides = { readonly debit: readonly Route[]; readonly credit: readonly Route[] };

const right = {
  debit: ({ here }: Bank) =>
    defineStep({
      path: "/debit",
      guard: here,
      action: async (tx) => move(tx, "from", -30),
      compensate: async (tx) => move(tx, "from", 30),
    }).routes,
  credit: ({ there }: Bank) =>
    defineStep({
      path: "/credit",
      guard: there,
      action: async (tx) => move(tx, "to", 30),
      compensate: async (tx) => move(tx, "to", -30),
    }).routes,
};

const refs = (path: string) => ({ action: participantUrl + path, compensate: `${participantUrl}${path}/compensate` });

/** The saga of all stories; its result is what the initiator knows at the end. */
const runSaga = async (client: Client) => {
  const state = await client.saga({ gid: "order-1", wait: "1h" }).step(refs("/debit")).step(refs("/credit")).submit();
  return state.status === "succeeded" ? "done" : state.status === "failed" ? "undone" : undefined;
};

async function sagaStage(sides: (bank: Bank) => Sides): Promise<Stage> {
  const one = bank();
  await one.start();
  const { debit, credit } = sides(one);
  return { routes: [...debit, ...credit], run: runSaga, invariant: one.invariant };
}

const both = (action: Parameters<typeof route>[1], undo: Parameters<typeof route>[1]) => [
  route("/debit", action),
  route("/debit/compensate", undo),
];
const withRight = (debit: (bank: Bank) => readonly Route[]) => (one: Bank) => ({
  debit: debit(one),
  credit: right.credit(one),
});

/** Counts on while the process lives, as a handler's singleton would. */
const keptDelivery = new Map<string, Delivery>();

const wrong: Readonly<Record<string, (bank: Bank) => Sides>> = {
  "no barrier at all": withRight(({ here }) =>
    both(
      () => here.transaction((tx) => move(tx, "from", -30)),
      () => here.transaction((tx) => move(tx, "from", 30)),
    ),
  ),
  "a barrier in another connection": withRight(({ here }) =>
    both(
      async (delivery) => {
        const passed = await here.run(delivery, async () => {});
        await new Promise((resolve) => setImmediate(resolve));
        if (passed.kind === "executed") await flaky(() => here.transaction((tx) => move(tx, "from", -30)));
      },
      (delivery) => here.run(delivery, (tx) => move(tx, "from", 30)),
    ),
  ),
  "business committed before the barrier is asked": withRight(({ here }) =>
    both(
      async (delivery) => {
        await here.transaction((tx) => move(tx, "from", -30));
        await here.run(delivery, async () => {});
      },
      (delivery) => here.run(delivery, (tx) => move(tx, "from", 30)),
    ),
  ),
  "a compensation without barrier": withRight(({ here }) =>
    both(
      (delivery) => here.run(delivery, (tx) => move(tx, "from", -30)),
      () => here.transaction((tx) => move(tx, "from", 30)),
    ),
  ),
  "an action without barrier": withRight(({ here }) =>
    both(
      () => here.transaction((tx) => move(tx, "from", -30)),
      (delivery) => here.run(delivery, (tx) => move(tx, "from", 30)),
    ),
  ),
  "a delivery kept for longer than a delivery": withRight(({ here }) =>
    both(
      (delivery) => {
        const key = `${here.rows.size > 0}${delivery.branch.op}`;
        const kept = keptDelivery.get(key) ?? delivery;
        keptDelivery.set(key, kept);
        return here.run(kept, (tx) => move(tx, "from", -30));
      },
      (delivery) => here.run(delivery, (tx) => move(tx, "from", 30)),
    ),
  ),
  "a refusal that is swallowed": (one) => ({
    debit: right.debit(one),
    credit: [
      route("/credit", async (delivery) => {
        await one.there
          .run(delivery, async () => {
            throw new Failure("account closed");
          })
          .catch(() => "never mind");
      }),
      route("/credit/compensate", () => {}),
    ],
  }),
  "a refusal returned inside the barrier, which commits": (one) => ({
    debit: right.debit(one),
    credit: [
      route("/credit", (delivery) => one.there.run(delivery, async () => ({ dtm_result: "account closed" }))),
      route("/credit/compensate", (delivery) => one.there.run(delivery, async () => {})),
    ],
  }),
  "an effect outside of the transaction before a refusal": (one) => ({
    debit: right.debit(one),
    credit: [
      route("/credit", (delivery) =>
        one.there.run(delivery, async () => {
          await one.there.transaction((tx) => move(tx, "to", 30));
          throw new Failure("account closed");
        }),
      ),
      route("/credit/compensate", (delivery) => one.there.run(delivery, (tx) => move(tx, "to", -30))),
    ],
  }),
  "an answer before the work": withRight(({ here }) =>
    both(
      (delivery) => {
        setImmediate(() => {
          here.run(delivery, (tx) => move(tx, "from", -30)).catch(() => {});
        });
      },
      () => {},
    ),
  ),
  "a compensation that undoes the wrong amount": withRight(({ here }) =>
    both(
      (delivery) => here.run(delivery, (tx) => move(tx, "from", -30)),
      (delivery) => here.run(delivery, (tx) => move(tx, "from", 29)),
    ),
  ),
};

/** A second connection that fails every second time, as two commits are not one. */
let attempts = 0;
async function flaky(work: () => Promise<unknown>): Promise<void> {
  if (++attempts % 2 === 0) throw new Error("the second connection is gone");
  await work();
}

/** Some scenarios run until the kit gives them up, which takes long on a machine that is busy. */
const patience = { timeout: 300_000 };

describe("expectAtomic", patience, () => {
  it("has nothing against a saga behind the barrier, and tries every kind of fault on it", async () => {
    const report = await expectAtomic(() => sagaStage(withRight(right.debit)));
    expect(report.exchanges).toBe(3);
    expect(Object.keys(report.faults).sort()).toEqual([
      "answer lost",
      "coordinator restarts after",
      "coordinator restarts before",
      "delivered after the end",
      "delivered twice",
      "initiator dies after",
      "initiator dies before",
      "refused",
      "refused, its first request delivered after the end",
      "request lost",
    ]);
  });

  it.each(Object.entries(wrong))("catches a participant with %s", async (_, sides) => {
    keptDelivery.clear();
    const error = await expectAtomic(() => sagaStage(sides)).catch((thrown: unknown) => thrown);
    expect(String(error)).toMatch(/^AtomicityError: not atomic with/);
  });

  it("tells a failure as the shortest story it finds", async () => {
    const naive = wrong["an action without barrier"]!;
    const error = await expectAtomic(() => sagaStage(naive)).catch((thrown: Error) => thrown);
    expect((error as Error).message.split("\n")[0]).toMatch(/^not atomic with answer lost \(exchange 2\): money/);
    expect((error as Error).message).toContain("action of 01 at /debit: answered 200, but the answer is lost");
  });

  it("tells an endless story by its beginning and its end", async () => {
    keptDelivery.clear();
    const endless = wrong["a delivery kept for longer than a delivery"]!;
    const error = await expectAtomic(() => sagaStage(endless)).catch((thrown: AtomicityError) => thrown);
    const { message, story } = error as AtomicityError;
    expect(message).toContain("not atomic with no fault at all: the scenario waits for something that never comes");
    expect(story.length).toBeGreaterThan(500);
    const lines = message.split("\n");
    expect(lines).toHaveLength(62);
    expect(lines[1]).toBe(`  1. ${story[0]}`);
    expect(lines[50]).toBe(`  … ${story.length - 59} lines like these, see the error's story …`);
    expect(lines[60]).toBe(`  ${story.length}. ${story.at(-1)}`);
  });

  it("has nothing against a tcc whose participants use the barrier", async () => {
    const report = await expectAtomic(async () => {
      const one = bank();
      await one.start();
      const hold = (path: string, guard: Bank["here"], account: string, amount: number) =>
        defineTccStep({
          path,
          guard,
          try: async (tx) => move(tx, `${account} pending`, amount),
          confirm: async (tx) => {
            await move(tx, `${account} pending`, -amount);
            await move(tx, account, amount);
          },
          cancel: async (tx) => move(tx, `${account} pending`, -amount),
        });
      const [debit, credit] = [hold("/debit", one.here, "from", -30), hold("/credit", one.there, "to", 30)];
      return {
        routes: [...debit.routes, ...credit.routes],
        run: (client) =>
          client.tcc({ gid: "order-1" }, async (t) => {
            await t.call(debit.at(participantUrl), {});
            await t.call(credit.at(participantUrl), {});
          }),
        invariant: (ended) => {
          one.invariant(ended);
          expect(one.here.values.get("from pending") ?? 0, "nothing stays reserved").toBe(0);
        },
      };
    });
    expect(report.exchanges).toBeGreaterThan(6);
  });

  const messages = (check: (one: Bank) => Route) => async (): Promise<Stage> => {
    const one = bank();
    await one.start();
    const receive = defineReceiver({ path: "/credit", guard: one.there, receive: (tx) => move(tx, "to", 30) });
    return {
      routes: [...receive.routes, check(one)],
      run: (client) =>
        client
          .msg({ gid: "order-1" })
          .to(receive.at(participantUrl), {})
          .commitWith(one.here, (tx) => move(tx, "from", -30)),
      invariant: one.invariant,
    };
  };

  it("has nothing against a message with the ready-made check-back", async () => {
    await expectAtomic(messages(({ here }) => checkBack("/check", here)));
  });

  it("catches a check-back that always says yes", async () => {
    await expect(expectAtomic(messages(() => route("/check", () => {})))).rejects.toThrow(/not atomic with/);
  });

  const flows = (guarded: boolean) => async (): Promise<Stage> => {
    const one = bank();
    await one.start();
    const routes: Route[] = [...right.credit(one)];
    const transfer = workflow("transfer", async (flow) => {
      const debit = (tx: MemoryTx) => move(tx, "from", -30);
      if (guarded) await flow.tx("debit", one.here, { run: debit, rollback: (tx) => move(tx, "from", 30) });
      else {
        await flow.step("debit", {
          run: () => one.here.transaction(debit),
          rollback: () => one.here.transaction((tx) => move(tx, "from", 30)),
        });
      }
      await flow.step("credit", {
        run: (scope) => scope.call(`${participantUrl}/credit`, {}),
        rollback: (scope) => scope.call(`${participantUrl}/credit/compensate`, {}),
      });
    });
    return {
      routes,
      run: async (client) => {
        const registered = client.workflows([transfer], { callbackUrl: `${participantUrl}/workflow` });
        routes.push(registered.route);
        await registered.execute(transfer, { gid: "order-1" });
      },
      invariant: one.invariant,
    };
  };

  it("has nothing against a workflow whose local step is guarded", async () => {
    await expectAtomic(flows(true));
  });

  it("catches a workflow whose local step runs again when its record was lost", async () => {
    await expect(expectAtomic(flows(false))).rejects.toThrow(/not atomic with/);
  });

  type Work = (tx: MemoryTx, one: Bank) => Promise<void>;
  /** `from` is one branch, `to` the other; `debit` is what the first does. */
  const branches =
    (debit: Work, bend: (route: Route) => Route = (route) => route) =>
    async (): Promise<Stage> => {
      const one = bank();
      await one.start();
      const [here, there] = [memoryXa(one.here), memoryXa(one.there)];
      const routes: Route[] = [];
      return {
        routes,
        async run(client) {
          const from = xaRoute("/from", { database: here, client }, (tx) => debit(tx, one));
          const to = xaRoute("/to", { database: there, client }, (tx) => move(tx, "to", 30));
          routes.push(bend(from), to);
          await client.xa({ gid: "order-1", wait: "1h" }, async (xa) => {
            await xa.call(`${participantUrl}/from`, {});
            await xa.call(`${participantUrl}/to`, {});
          });
        },
        async invariant(ended) {
          one.invariant(ended);
          expect([await here.prepared(), await there.prepared()], "nothing stays prepared").toEqual([[], []]);
        },
      };
    };

  it("has nothing against XA branches, whoever dies", async () => {
    const report = await expectAtomic(branches((tx) => move(tx, "from", -30)));
    expect(report.exchanges).toBe(8);
    expect(report.faults["initiator dies after"]).toBeGreaterThan(0);
  });

  it("catches an XA branch that works outside of its transaction", async () => {
    const outside = branches((_tx, { here }) => here.transaction((tx) => move(tx, "from", -30)));
    await expect(expectAtomic(outside)).rejects.toThrow(/not atomic with/);
  });

  it("catches an XA branch that does not do what phase two asks for", async () => {
    const silent = branches(
      (tx) => move(tx, "from", -30),
      ({ path, handle }) => ({
        path,
        handle: async (incoming) => (/op=commit/.test(incoming.url) ? { status: 200, body: "{}" } : handle(incoming)),
      }),
    );
    await expect(expectAtomic(silent)).rejects.toThrow(/not atomic with no fault at all/);
  });
});
