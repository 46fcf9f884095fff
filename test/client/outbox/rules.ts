// What every outbox must do, whichever database it is in: messages go out if and only if their transaction commits, in
// order per key, whatever is refused or lost. The tests that need a relay to be interrupted stand with each database.

import { expect, it } from "vitest";
import type { ApiAnswer, Endpoint } from "../../../src/client/api.js";
import { type Client, createClient } from "../../../src/client/index.js";
import type { Outbox, OutboxOptions } from "../../../src/client/outbox/outbox.js";

/** A database with an empty outbox. */
export interface OutboxScene<Tx> {
  outbox(options?: Omit<OutboxOptions, "table">): Outbox<Tx>;
  /** Commits when `work` resolves. */
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  /** Makes the claims and pauses of a gid end now. */
  hasten(gid: string): Promise<unknown>;
}

/** A coordinator that keeps what it was given; `answer` may lose or refuse things. */
export function recorder(answer: (gid: string, times: number) => ApiAnswer | Error = () => accepted): {
  readonly submitted: string[];
  readonly client: Client;
} {
  const submitted: string[] = [];
  const endpoint: Endpoint = {
    address: "recorder",
    async call(_operation, body) {
      const gid = String(body.gid);
      const given = answer(gid, submitted.filter((one) => one === gid).length + 1);
      submitted.push(gid);
      if (given instanceof Error) throw given;
      return given;
    },
  };
  return { submitted, client: createClient({ endpoints: [endpoint], retry: { attempts: 1 } }) };
}

const accepted: ApiAnswer = { status: 200, body: {} };
const refused: ApiAnswer = { status: 400, body: { message: "no such topic" } };

/** Registers the rules; `open` gives each test an outbox of its own. */
export function outboxRules<Tx>(open: () => Promise<OutboxScene<Tx>>): void {
  const scene = async () => {
    const at = await open();
    const outbox = at.outbox({ onError: () => {} });
    const enqueue = (gid: string, key?: string) =>
      at.transaction((tx) => outbox.enqueue(tx, { gid, key, to: "http://p/in", payload: { gid } }));
    return { ...at, outbox, open: at.outbox, enqueue };
  };

  it("makes its table a second time without harm, and submits what it is given, whole", async () => {
    const { outbox, transaction } = await scene();
    await outbox.migrate();
    const bodies: unknown[] = [];
    const endpoint: Endpoint = {
      address: "looking",
      async call(_operation, body) {
        bodies.push(body);
        return accepted;
      },
    };
    const client = createClient({ endpoints: [endpoint] });
    const gid = await transaction((tx) => outbox.enqueue(tx, { to: "http://p/in", payload: { text: "ä 'q' ?" } }));
    expect(await outbox.relayOnce(client)).toBe(1);
    expect(bodies).toEqual([
      expect.objectContaining({
        ...{ gid, trans_type: "msg", steps: [{ action: "http://p/in" }] },
        payloads: [`{"text":"ä 'q' ?"}`],
      }),
    ]);
  });

  it("submits what was committed, once, and nothing that was rolled back", async () => {
    const { outbox, transaction, enqueue } = await scene();
    const { submitted, client } = recorder();
    await enqueue("a1");
    const undone = transaction(async (tx) => {
      await outbox.enqueue(tx, { gid: "a2", to: "http://p/in" });
      throw new Error("rolled back");
    });
    await expect(undone).rejects.toThrow("rolled back");
    expect(await outbox.relayOnce(client)).toBe(1);
    expect(await outbox.relayOnce(client)).toBe(0);
    expect(submitted).toEqual(["a1"]);
  });

  it("keeps the order within a key when a message must be tried again, and lets others pass", async () => {
    const { outbox, enqueue } = await scene();
    const { submitted, client } = recorder((gid, times) =>
      gid === "b1" && times < 3 ? new Error("answer lost") : accepted,
    );
    for (const gid of ["b1", "b2", "b3"]) await enqueue(gid, "order 7");
    await enqueue("c1", "order 8");
    for (let look = 1; look <= 3; look++) await outbox.relayOnce(client);
    expect(submitted.filter((gid) => gid.startsWith("b"))).toEqual(["b1", "b1", "b1", "b2", "b3"]);
    expect(submitted.indexOf("c1")).toBeLessThan(submitted.indexOf("b2"));
  });

  it("lets others pass a batch of refused messages; those of their keys wait until somebody settles it", async () => {
    const { open, enqueue } = await scene();
    const narrow = open({ batch: 2, refusals: 1, onError: () => {} });
    const { submitted, client } = recorder((gid) => (gid.startsWith("bad") ? refused : accepted));
    for (const gid of ["bad1", "bad2", "bad3"]) await enqueue(gid, `key of ${gid}`);
    await enqueue("behind1", "key of bad1");
    await enqueue("behind2", "key of bad2");
    await enqueue("free", "another key");
    await narrow.relayOnce(client);
    expect(submitted).toEqual(["bad1", "bad2", "bad3", "free"]);
    const dead = await narrow.dead();
    expect(dead.map(({ gid }) => gid)).toEqual(["bad1", "bad2", "bad3"]);
    expect(dead[0]).toMatchObject({ to: "http://p/in", reason: expect.stringContaining("no such topic") });
    expect(await narrow.discard("bad1")).toBe(true);
    expect(await narrow.discard("free"), "what was submitted is not dead").toBe(false);
    expect(await narrow.revive("bad2")).toBe(true);
    expect(await narrow.revive("bad2"), "it is not dead any more").toBe(false);
    const repaired = recorder();
    await narrow.relayOnce(repaired.client);
    expect(repaired.submitted).toEqual(["bad2", "behind1", "behind2"]);
  });

  it("puts a refused message aside before it is dead, and tries it again when its pause is over", async () => {
    const { open, enqueue, hasten } = await scene();
    const patient = open({ batch: 1, onError: () => {} });
    const { submitted, client } = recorder((gid, times) => (gid === "aside" && times === 1 ? refused : accepted));
    await enqueue("aside");
    await enqueue("after it");
    await patient.relayOnce(client);
    expect(submitted).toEqual(["aside", "after it"]);
    expect([await patient.dead(), await patient.relayOnce(client)]).toEqual([[], 0]);
    await hasten("aside");
    expect(await patient.relayOnce(client)).toBe(1);
    expect(submitted).toEqual(["aside", "after it", "aside"]);
  });

  it("shares the work between relays without submitting anything twice", async () => {
    const { open, enqueue } = await scene();
    const { submitted, client } = recorder();
    for (let n = 0; n < 40; n++) await enqueue(`d${n}`, `key ${n % 4}`);
    const relays = [open({ batch: 7 }), open({ batch: 7 }), open({ batch: 7 })];
    for (let look = 0; look < 10; look++) await Promise.all(relays.map((relay) => relay.relayOnce(client)));
    expect([...submitted].sort()).toEqual(Array.from({ length: 40 }, (_, n) => `d${n}`).sort());
    for (const key of [0, 1, 2, 3]) {
      const numbers = submitted.map((gid) => Number(gid.slice(1))).filter((n) => n % 4 === key);
      expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    }
  });

  it("lets others enqueue while it waits for the coordinator", async () => {
    const { outbox, enqueue } = await scene();
    const busy: string[] = [];
    const endpoint: Endpoint = {
      address: "busy",
      async call(_operation, { gid }) {
        if (gid === "busy 1") await enqueue("busy 2", "the same key");
        busy.push(String(gid));
        return accepted;
      },
    };
    await enqueue("busy 1", "the same key");
    const client = createClient({ endpoints: [endpoint], retry: { attempts: 1 } });
    expect(await outbox.relayOnce(client)).toBe(2);
    expect(busy).toEqual(["busy 1", "busy 2"]);
  });

  it("goes on with what a relay had claimed that died, once the claim is over", async () => {
    const { outbox, enqueue, hasten } = await scene();
    let isAsked = () => {};
    const asked = new Promise<void>((resolve) => {
      isAsked = resolve;
    });
    const never: Endpoint = {
      address: "never",
      call() {
        isAsked();
        return new Promise(() => {});
      },
    };
    await enqueue("left 1", "left");
    await enqueue("left 2", "left");
    void outbox.relayOnce(createClient({ endpoints: [never] })).catch(() => {});
    await asked;
    const { submitted, client } = recorder();
    expect(await outbox.relayOnce(client), "its order is kept meanwhile").toBe(0);
    await hasten("left 1");
    expect(await outbox.relayOnce(client)).toBe(2);
    expect(submitted).toEqual(["left 1", "left 2"]);
  });

  it("refuses a second message of one gid, and cleans up what was submitted long ago", async () => {
    const { outbox, open, enqueue } = await scene();
    await enqueue("e1");
    await expect(enqueue("e1")).rejects.toThrow();
    await enqueue("e2");
    await outbox.relayOnce(recorder((gid) => (gid === "e2" ? new Error("lost") : accepted)).client);
    expect(await outbox.clean()).toBe(0);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await open({ keep: 0 }).clean(), "what waits is kept").toBe(1);
    const { submitted, client } = recorder();
    await outbox.relayOnce(client);
    expect(submitted).toEqual(["e2"]);
  });

  it("says how long a key and a target may be, and that bytes are no JSON", async () => {
    const { outbox, transaction, enqueue } = await scene();
    await expect(enqueue("long", "k".repeat(201))).rejects.toMatchObject({
      ...{ code: "DTX_INVALID_INPUT", message: expect.stringContaining("its key up to 200") },
    });
    const bytes = transaction((tx) => outbox.enqueue(tx, { to: "http://p/in", payload: new Uint8Array(2) }));
    await expect(bytes).rejects.toMatchObject({ code: "DTX_INVALID_INPUT" });
  });

  it("is relayed in the background until it is closed", async () => {
    const { open, enqueue } = await scene();
    const { submitted, client } = recorder();
    const relay = open({ interval: "20ms" }).start(client);
    await enqueue("f1");
    relay.wake();
    const deadline = Date.now() + 5_000;
    while (!submitted.includes("f1") && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5));
    await relay.close();
    expect(submitted).toEqual(["f1"]);
  });
}
