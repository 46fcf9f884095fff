// What the client does with a coordinator, whichever it is: run against ours and against DTM's own server.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { MemoryBarrier, MemoryTx } from "../../../src/client/barrier/memory.js";
import type { Workflows } from "../../../src/client/index.js";
import {
  type Client,
  createClient,
  type Endpoint,
  Failure,
  isFailure,
  Rejected,
  workflow,
} from "../../../src/client/index.js";
import { add, type Bank, startBank } from "./service.js";

/** A coordinator under test. */
export interface Coordinator {
  readonly address: string;
  /** How the client under test reaches it, where it is not over HTTP at `address`. */
  readonly endpoints?: readonly Endpoint[];
  /** DTM's answer over gRPC to a workflow that is done does not carry its result. */
  readonly forgetsResults?: boolean;
  stop(): Promise<void>;
}

interface Setting {
  readonly coordinator: Coordinator;
  readonly bank: Bank;
  readonly client: Client;
  readonly flows: Workflows;
}

const account = () => `a${Math.random().toString(36).slice(2)}`;

/** Polls until `done`; fails with what `show` gives after ten seconds. */
export async function until(done: () => boolean | Promise<boolean>, show: () => unknown): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!(await done())) {
    if (Date.now() > deadline) expect.fail(`waited in vain: ${JSON.stringify(await show())}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Registers the suite. */
export function clientSuite(name: string, start: () => Promise<Coordinator>): void {
  describe(name, () => {
    const setting = {} as { -readonly [K in keyof Setting]: Setting[K] };

    beforeAll(async () => {
      const coordinator = await start();
      setting.coordinator = coordinator;
      let flows: Workflows | undefined;
      const callback = { path: "/workflow", handle: (incoming: never) => flows!.route.handle(incoming) };
      setting.bank = await startBank(() => [callback]);
      const endpoints = coordinator.endpoints ?? [coordinator.address];
      setting.client = createClient({
        endpoints,
        address: coordinator.address,
        checkBackUrl: `${setting.bank.url}/check`,
      });
      flows = setting.client.workflows([transfer, sideBySide, bytes], { callbackUrl: `${setting.bank.url}/workflow` });
      setting.flows = flows;
      bankOf.current = setting.bank;
    });

    afterAll(async () => {
      await setting.client?.close();
      await setting.bank?.stop();
      await setting.coordinator?.stop();
    });

    describe("saga", () => sagaTests(setting));
    describe("tcc", () => tccTests(setting));
    describe("msg", () => msgTests(setting));
    describe("workflow", () => workflowTests(setting));
  });
}

function sagaTests(setting: Setting): void {
  it("moves money when all actions succeed, and knows the end when it waited", async () => {
    const { bank, client } = setting;
    const [from, to] = [account(), account()];
    await bank.db.transaction((tx) => add(tx, from, 100));
    const state = await client
      .saga({ wait: "10s" })
      .step(bank.steps.debit, { account: from, amount: 30 })
      .step(bank.steps.credit, { account: to, amount: 30 })
      .submit();
    expect(state.status).toBe("succeeded");
    expect([bank.balance(from), bank.balance(to)]).toEqual([70, 30]);
  });

  it("undoes what was done when a later action refuses, and tells the reason", async () => {
    const { bank, client } = setting;
    const [from, to] = [account(), account()];
    const state = await client
      .saga({ wait: "10s" })
      .step(bank.steps.credit, { account: to, amount: 30 })
      .step(bank.steps.debit, { account: from, amount: 30 })
      .submit();
    expect(state).toMatchObject({ status: "failed", reason: expect.stringContaining("has only 0") });
    expect(state).toMatchObject({ details: { left: 0 } });
    expect([bank.balance(from), bank.balance(to)]).toEqual([0, 0]);
    expect(await client.query(state.gid)).toEqual(state);
  });

  it("runs steps as their order graph allows", async () => {
    const { bank, client } = setting;
    const to = account();
    const first = bank.deliveries.length;
    const state = await client
      .saga({ wait: "10s" })
      .step(bank.steps.credit, { account: to, amount: 1 })
      .step(bank.steps.credit, { account: `${to}b`, amount: 2 })
      .step(bank.steps.credit, { account: to, amount: 4 })
      .parallel({ 2: [0, 1] })
      .submit();
    expect(state.status).toBe("succeeded");
    expect(bank.balance(to)).toBe(5);
    expect(bank.deliveries.slice(first).at(-1)).toBe("action 03");
  });

  it("may be submitted twice with one gid and runs once", async () => {
    const { bank, client } = setting;
    const [to, gid] = [account(), client.newGid()];
    const submit = () => client.saga({ gid, wait: "10s" }).step(bank.steps.credit, { account: to, amount: 7 }).submit();
    expect((await submit()).status).toBe("succeeded");
    expect((await submit()).status).toBe("succeeded");
    expect(bank.balance(to)).toBe(7);
  });
}

function tccTests(setting: Setting): void {
  it("confirms all branches and gives the callback's value", async () => {
    const { bank, client } = setting;
    const from = account();
    await bank.db.transaction((tx) => add(tx, from, 100));
    const left = await client.tcc(async (t) => {
      const held = await t.call(bank.steps.hold, { account: from, amount: 30 });
      return held.left;
    });
    expect(left).toBe(70);
    await until(
      () => bank.balance(`${from} held`) === 0,
      () => bank.deliveries,
    );
    expect(bank.balance(from)).toBe(70);
  });

  it("cancels all branches and throws the participant's refusal with its details", async () => {
    const { bank, client } = setting;
    const from = account();
    await bank.db.transaction((tx) => add(tx, from, 50));
    let gid = "";
    const error = await client
      .tcc(async (t) => {
        gid = t.gid;
        await t.call(bank.steps.hold, { account: from, amount: 30 });
        await t.call(bank.steps.hold, { account: from, amount: 30 });
      })
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(Failure);
    expect(error).toMatchObject({ details: { left: 20 }, gid, branchId: "02" });
    await until(
      async () => (await client.query(gid))?.status === "failed",
      () => client.query(gid),
    );
    expect([bank.balance(from), bank.balance(`${from} held`)]).toEqual([50, 0]);
  });

  it("keeps the caller's own error when it rolls back", async () => {
    const { client } = setting;
    const own = new RangeError("mine");
    await expect(client.tcc(() => Promise.reject(own))).rejects.toBe(own);
  });
}

function msgTests(setting: Setting): void {
  it("delivers if and only if the local transaction commits", async () => {
    const { bank, client } = setting;
    const [from, to] = [account(), account()];
    const send = (amount: number) =>
      client
        .msg()
        .to(bank.steps.receive, { account: to, amount })
        .commitWith(bank.db, (tx: MemoryTx) => add(tx, from, -amount));
    await bank.db.transaction((tx) => add(tx, from, 100));
    expect(await send(30)).toMatchObject({ outcome: "submitted", value: 70 });
    await until(
      () => bank.balance(to) === 30,
      () => bank.deliveries,
    );
    const refused = await send(100).catch((thrown: unknown) => thrown);
    expect(isFailure(refused)).toBe(true);
    expect(refused).toMatchObject({ outcome: "aborted" });
    expect([bank.balance(from), bank.balance(to)]).toEqual([70, 30]);
  });

  it("goes out although the commit seemed to fail, if the barrier's row is there", async () => {
    const { bank, client } = setting;
    const to = account();
    const message = client.msg().to(bank.steps.receive, { account: to, amount: 5 });
    const inDoubt = message.doAndSubmit(async (delivery) => {
      await bank.db.run(delivery, async () => {});
      throw new Error("connection lost during commit");
    });
    await expect(inDoubt).rejects.toMatchObject({ message: "connection lost during commit", outcome: "submitted" });
    await until(
      () => bank.balance(to) === 5,
      () => bank.deliveries,
    );
  });

  it("is a duplicate for its local transaction the second time, and still goes out once", async () => {
    const { bank, client } = setting;
    const [to, gid] = [account(), client.newGid()];
    const send = () =>
      client
        .msg({ gid })
        .to(bank.steps.receive, { account: to, amount: 5 })
        .commitWith(bank.db, async () => {});
    expect(await send()).toMatchObject({ outcome: "submitted" });
    await until(
      () => bank.balance(to) === 5,
      () => bank.deliveries,
    );
    await expect(send()).rejects.toThrow(/committed or given up before|cannot|status/);
    expect(bank.balance(to)).toBe(5);
  });

  it("fans out to a topic's subscribers", async () => {
    const { bank, client } = setting;
    const [topic, to] = [`topic${account()}`, account()];
    await client.subscribe(topic, bank.steps.receive);
    const send = () => client.msg({ wait: "10s" }).topic(topic, { account: to, amount: 9 }).submit();
    // DTM learns of a topic at its next look at the store.
    let status = "";
    await until(
      async () => {
        status = await send().then((state) => state.status, String);
        return !status.includes("topic not found");
      },
      () => status,
    );
    expect([status, bank.balance(to)]).toEqual(["succeeded", 9]);
    await client.deleteTopic(topic);
    // DTM's server delivers to a topic that is deleted until it is started again, but knows that it is not there.
    await expect(client.deleteTopic(topic)).rejects.toThrow(Rejected);
  });
}

/** The handlers below stand outside of a suite; the one that runs puts its bank here. */
const bankOf: { current?: Bank } = {};
const theBank = (): Bank => bankOf.current!;
const db = (): MemoryBarrier => theBank().db;

interface Move {
  readonly from: string;
  readonly to: string;
  readonly amount: number;
  readonly interrupt?: boolean;
}

const interrupted = new Set<string>();

const transfer = workflow("transfer", async (flow, { from, to, amount, interrupt }: Move) => {
  const { steps } = theBank();
  await flow.step("credit", {
    run: (scope) => scope.call(steps.credit.action, { account: to, amount }),
    rollback: (scope) => scope.call(steps.credit.compensate, { account: to, amount }),
  });
  if (interrupt === true && !interrupted.has(flow.gid)) {
    interrupted.add(flow.gid);
    throw new Error("the process dies here");
  }
  const left = await flow.tx("debit", db(), {
    run: (tx) => add(tx, from, -amount),
    recall: async (tx) => Number(tx.get(from)),
    rollback: (tx) => add(tx, from, amount),
  });
  return { left, when: new Date(0) };
});

const ran: string[] = [];

const sideBySide = workflow("side by side", async (flow, delays: readonly number[]) => {
  const values = await Promise.all(
    delays.map((ms, index) =>
      flow.step(`step ${index}`, async ({ branch }) => {
        await new Promise((resolve) => setTimeout(resolve, ms));
        ran.push(`${flow.gid} ${branch.branchId}`);
        return `${index} ${branch.branchId}`;
      }),
    ),
  );
  return values;
});

const bytes = workflow("bytes", async (flow, input: Uint8Array) => {
  const echoed = await flow.step("echo", () => ({ input, when: 1 }));
  return { ...echoed, back: echoed.input.toReversed() };
});

const recorded = (setting: Setting, result: unknown) =>
  setting.coordinator.forgetsResults === true ? undefined : result;

function workflowTests(setting: Setting): void {
  it("runs to its end, and gives the recorded result to whoever asks again", async () => {
    const { bank, flows } = setting;
    const move = { from: account(), to: account(), amount: 30 };
    await bank.db.transaction((tx) => add(tx, move.from, 100));
    const gid = setting.client.newGid();
    const result = await flows.execute(transfer, { gid }, move);
    expect(result).toEqual({ left: 70, when: new Date(0).toISOString() });
    expect(await flows.execute(transfer, { gid }, move)).toEqual(recorded(setting, result));
    expect([bank.balance(move.from), bank.balance(move.to)]).toEqual([70, 30]);
  });

  it("rolls back in reverse order when a step refuses, and says why each time", async () => {
    const { bank, flows } = setting;
    const move = { from: account(), to: account(), amount: 30 };
    const gid = setting.client.newGid();
    for (let time = 0; time < 2; time++) {
      await expect(flows.execute(transfer, { gid }, move)).rejects.toThrow(/has only 0/);
      expect([bank.balance(move.from), bank.balance(move.to)]).toEqual([0, 0]);
    }
    expect((await setting.client.query(gid))?.status).toBe("failed");
  });

  it("goes on after an interruption without repeating what is recorded", async () => {
    const { bank, flows } = setting;
    const move = { from: account(), to: account(), amount: 30, interrupt: true };
    await bank.db.transaction((tx) => add(tx, move.from, 100));
    const gid = setting.client.newGid();
    await expect(flows.execute(transfer, { gid }, move)).rejects.toThrow("the process dies here");
    const credits = () => bank.deliveries.filter((one) => one === "action 01").length;
    const before = credits();
    expect(await flows.execute(transfer, { gid }, move)).toMatchObject({ left: 70 });
    expect(credits()).toBe(before);
    expect([bank.balance(move.from), bank.balance(move.to)]).toEqual([70, 30]);
  });

  it("numbers parallel steps by their calls, whichever is done first", async () => {
    const { flows, client } = setting;
    const gid = client.newGid();
    const result = await flows.execute(sideBySide, { gid }, [30, 1, 10]);
    expect(result).toEqual(["0 01", "1 02", "2 03"]);
    expect(ran.filter((one) => one.startsWith(gid))).toEqual([`${gid} 02`, `${gid} 03`, `${gid} 01`]);
  });

  it("keeps bytes as they are", async () => {
    const { flows, client } = setting;
    const gid = client.newGid();
    const input = Uint8Array.from([0xff, 0x00, 0x80]);
    const expected = { input, when: 1, back: Uint8Array.from([0x80, 0x00, 0xff]) };
    expect(await flows.execute(bytes, { gid }, input)).toEqual(expected);
    expect(await flows.execute(bytes, { gid }, input)).toEqual(recorded(setting, expected));
  });

  it("answers a callback for an unknown name with the names it knows", async () => {
    const { flows } = setting;
    const query = "?gid=nobody&trans_type=workflow&branch_id=00&op=lost";
    const answer = await flows.route.handle({ url: `/workflow${query}`, body: "" });
    expect([answer.status, answer.body]).toEqual([500, expect.stringContaining("transfer, side by side, bytes")]);
  });
}
