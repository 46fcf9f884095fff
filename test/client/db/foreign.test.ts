// DTM's Go and Python clients and our barrier on one table (on Redis, one set of keys): each compensates, repeats and
// suspends what the other did for the same branch; and all of them take part in one global transaction.
import { createServer } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  barrierFrom,
  type Client,
  checkBack,
  createClient,
  type Delivery,
  Failure,
  isDuplicated,
  type Route,
  route,
} from "../../../src/client/index.js";
import { tandemRoutes } from "../../../src/client/participant/express.js";
import { type Embedded, startEmbedded } from "../../../src/embedded/embedded.js";
import { available } from "../../servers.js";
import { listen, stop } from "../e2e/service.js";
import { until } from "../e2e/suite.js";
import { buildable, type ForeignParticipant, foreigners } from "../foreign/participants.js";
import { type SharedStore, type StoreKind, storeKinds, type Who } from "../foreign/stores.js";

const here = await buildable();
const hasStore = new Map<StoreKind, boolean>();
for (const one of storeKinds) hasStore.set(one, await available(one.kind));

const built = new Map<Who, ForeignParticipant>();

beforeAll(async () => {
  await Promise.all(here.map(async ({ who, build }) => built.set(who, await build())));
}, 300_000);

afterAll(async () => {
  for (const one of built.values()) await one.remove();
});

const pairs = [
  ["saga", "action", "compensate"],
  ["tcc", "try", "cancel"],
] as const;
const message = { trans_type: "msg", branch_id: "00", op: "msg" } as const;

/** A kind of database; the one in use is there inside of the tests. */
interface Ground {
  readonly store: StoreKind;
  shared: SharedStore;
}

const deliver = ({ store, shared }: Ground, who: Who, type: string, gid: string, branchId: string, op: string) =>
  built.get(who)!.deliver({ kind: store.kind, port: shared.port }, type, gid, branchId, op);

const kindOf = async ({ shared }: Ground, delivery: Delivery) => (await shared.handle(delivery)).kind;

/** What is expected of `effects`. */
const did = ({ store }: Ground, ...list: readonly string[]) => (store.keepsOrder ? list : [...list].sort());

/** Our barrier and one other client, delivery by delivery. */
function besideTests(ground: Ground, who: "go" | "python"): void {
  const their = (type: string, gid: string, op: string) => deliver(ground, who, type, gid, "01", op);
  const our = (type: string, gid: string, op: string) =>
    kindOf(ground, barrierFrom({ gid, trans_type: type, branch_id: "01", op }));
  const effects = (gid: string) => ground.shared.effects(gid);

  it.each(pairs)("%s: we undo what it did, once, and it does not do it again", async (type, origin, undo) => {
    const gid = `${who}-first-${type}`;
    await their(type, gid, origin);
    expect(await our(type, gid, origin)).toBe("duplicate");
    expect(await our(type, gid, undo)).toBe("executed");
    await their(type, gid, undo);
    await their(type, gid, origin);
    expect(await effects(gid)).toEqual(did(ground, `${who} ${origin}`, `ours ${undo}`));
  });

  it.each(pairs)("%s: it undoes what we did, once, and we do not do it again", async (type, origin, undo) => {
    const gid = `${who}-second-${type}`;
    expect(await our(type, gid, origin)).toBe("executed");
    await their(type, gid, origin);
    await their(type, gid, undo);
    expect(await our(type, gid, undo)).toBe("duplicate");
    expect(await our(type, gid, origin)).toBe("duplicate");
    expect(await effects(gid)).toEqual(did(ground, `ours ${origin}`, `${who} ${undo}`));
  });

  it.each(pairs)("%s: what either undid before it was done stays undone for both", async (type, origin, undo) => {
    const [byThem, byUs] = [`${who}-null-${type}`, `${who}-null-by-us-${type}`];
    await their(type, byThem, undo);
    expect(await our(type, byThem, origin)).toBe("suspended");
    expect(await our(type, byUs, undo)).toBe("null-compensation");
    await their(type, byUs, origin);
    expect([await effects(byThem), await effects(byUs)]).toEqual([[], []]);
  });

  it("msg: each learns in a check-back what the other's local transaction came to, for good", async () => {
    const [theirs, ours, never, late] = ["theirs", "ours", "never", "late"].map((one) => `${who}-msg-${one}`);
    const check = (gid: string) => deliver(ground, who, "msg", gid, "00", "check");
    const local = (gid: string) => kindOf(ground, barrierFrom({ gid, ...message }));
    const isTold = (gid: string) => local(gid).catch((error: unknown) => isDuplicated(error));
    await deliver(ground, who, "msg", theirs!, "00", "msg");
    expect(await ground.shared.queryPrepared(barrierFrom({ gid: theirs!, ...message }))).toBe("committed");
    expect(await isTold(theirs!)).toBe(true);
    expect(await local(ours!)).toBe("executed");
    await check(ours!);
    await expect(check(never!)).rejects.toThrow(/FAILURE/);
    expect(await isTold(never!)).toBe(true);
    expect(await ground.shared.queryPrepared(barrierFrom({ gid: late!, ...message }))).toBe("rolled-back");
    await expect(deliver(ground, who, "msg", late!, "00", "msg")).rejects.toThrow(/DUPLICATED|duplicate/);
    const all = await Promise.all([theirs!, ours!, never!, late!].map(effects));
    expect(all).toEqual([[`${who} msg`], ["ours msg"], [], []]);
  });
}

/** Every branch is handled by one client, and its repeat, confirmation or compensation by the next one. */
interface Circle {
  readonly whos: readonly Who[];
  next(who: Who): Who;
}

function circleOf({ whos }: StoreKind): Circle {
  const order = (["go", "ours", "python"] as const).filter((who) => whos.includes(who));
  return { whos: order, next: (who) => order[(order.indexOf(who) + 1) % order.length]! };
}

function routesOf(ground: Ground, { whos, next }: Circle): readonly Route[] {
  const handle = async (who: Who, delivery: Delivery) => {
    const { transType, gid, branchId, op } = delivery.branch;
    if (who === "ours") await ground.shared.handle(delivery);
    else await deliver(ground, who, transType, gid, branchId, op);
  };
  /** Every delivery comes twice: the second must do nothing, whoever handled the first. */
  const twice = (who: Who) =>
    route(`/${who}`, async (delivery) => {
      await handle(who, delivery);
      await handle(next(who), barrierFrom({ ...delivery.branch }));
    });
  return [
    ...whos.map(twice),
    route("/refuse", () => {
      throw new Failure("no");
    }),
    checkBack("/check", { queryPrepared: (delivery) => ground.shared.queryPrepared(delivery) }),
  ];
}

const patient = { wait: "60s", requestTimeout: "30s" } as const;

/** All clients in one global transaction; `setting` is there inside of the tests. */
function togetherTests(ground: Ground, setting: { readonly client: Client; readonly url: string }): void {
  const { whos, next } = circleOf(ground.store);
  const all = (op: string) => whos.map((who) => `${who} ${op}`);
  /** In reverse order of branches, each by the one after it. */
  const after = (op: string) => whos.toReversed().map((who) => `${next(who)} ${op}`);
  const ending = async (gid: string, ...wanted: readonly string[]) => {
    const isOver = async () => (await setting.client.query(gid))?.status !== "pending";
    await until(isOver, () => ground.shared.effects(gid));
    expect(await ground.shared.effects(gid)).toEqual(did(ground, ...wanted));
  };

  const sagaOf = ({ client, url } = setting) => {
    const saga = client.saga(patient);
    for (const who of whos) saga.step({ action: `${url}/${who}`, compensate: `${url}/${next(who)}` });
    return saga;
  };

  it("is done once by each as a saga", async () => {
    const saga = sagaOf();
    expect((await saga.submit()).status).toBe("succeeded");
    expect(await ground.shared.effects(saga.gid)).toEqual(did(ground, ...all("action")));
  });

  it("is undone as a saga, each step by another client than did it", async () => {
    const saga = sagaOf().step({ action: `${setting.url}/refuse`, compensate: "" });
    expect((await saga.submit()).status).toBe("failed");
    expect(await ground.shared.effects(saga.gid)).toEqual(did(ground, ...all("action"), ...after("compensate")));
  });

  const tccOf = (gid: string, refuses: boolean, { client, url } = setting) =>
    client.tcc({ gid, ...patient, timeoutToFail: "5m" }, async (tcc) => {
      for (const who of whos) {
        const [one, other] = [`${url}/${who}`, `${url}/${next(who)}`];
        await tcc.call({ try: one, confirm: other, cancel: other }, undefined);
      }
      if (refuses) throw new Failure("changed my mind");
    });

  it("is confirmed as a tcc, each branch by another client than tried it", async () => {
    const gid = setting.client.newGid();
    await tccOf(gid, false);
    await ending(gid, ...all("try"), ...after("confirm"));
  });

  it("is cancelled as a tcc, each branch by another client than tried it", async () => {
    const gid = setting.client.newGid();
    await expect(tccOf(gid, true)).rejects.toThrow("changed my mind");
    await ending(gid, ...all("try"), ...after("cancel"));
  });

  it("goes out as a message if and only if Go's local transaction committed, as our check-back says", async () => {
    const send = (commits: boolean, { client, url } = setting) => {
      const letter = client.msg({ requestTimeout: "30s" });
      for (const who of whos) letter.to(`${url}/${who}`);
      const sent = letter.doAndSubmit(async ({ branch: { transType, gid, branchId, op } }) => {
        if (commits) await deliver(ground, "go", transType, gid, branchId, op);
        throw new Error("the connection was lost");
      });
      return sent.catch((error: { outcome?: string }) => `${letter.gid} ${error.outcome}`);
    };
    const [committed = "", ended] = String(await send(true)).split(" ");
    expect(ended).toBe("submitted");
    await ending(committed, "go msg", ...all("action"));
    const [lost = "", other] = String(await send(false)).split(" ");
    expect(other).toBe("aborted");
    await expect(deliver(ground, "go", "msg", lost, "00", "msg")).rejects.toThrow(/DUPLICATED/);
    expect(await ground.shared.effects(lost)).toEqual([]);
  });
}

/** A coordinator and the participants of one database. */
function together(ground: Ground): void {
  describe("one transaction with participants of all clients", () => {
    const http = createServer((request, response) => tandemRoutes(routes)(request, response));
    const routes = routesOf(ground, circleOf(ground.store));
    const setting = {} as { client: Client; url: string };
    let coordinator: Embedded;
    beforeAll(async () => {
      coordinator = await startEmbedded({ store: "memory:", retryIntervalSeconds: 1 });
      setting.url = await listen(http);
      const checkBackUrl = `${setting.url}/check`;
      setting.client = createClient({ endpoints: [coordinator.endpoint], callTimeout: "30s", checkBackUrl });
    });
    afterAll(async () => {
      await stop(http);
      await coordinator?.close(100);
    });
    togetherTests(ground, setting);
  });
}

describe.each(storeKinds)("on one $name", (store) => {
  describe.runIf(hasStore.get(store) === true)("that is here", () => {
    const ground = { store } as Ground;
    beforeAll(async () => {
      ground.shared = await store.open();
    });
    afterAll(() => ground.shared?.close());

    const others = foreigners.filter(({ who }) => store.whos.includes(who));
    describe.each(others)("our barrier beside $name", (foreign) => {
      describe.runIf(here.includes(foreign))("that is built", () => besideTests(ground, foreign.who));
    });
    describe.runIf(here.length === foreigners.length)("with all clients", () => together(ground));
  });
});
