// The barrier on MongoDB through the real driver: against a server given by TANDEM_TEST_MONGODB_URL (a replica set),
// and always against the stand-in of `server.ts`, which can also lose commits.
import { type ClientSession, MongoClient, ObjectId } from "mongodb";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { barrierFrom } from "../../../src/client/barrier/delivery.js";
import { type MongoBarrier, mongoBarrier } from "../../../src/client/barrier/mongodb.js";
import { BarrierError, isOngoing } from "../../../src/client/errors.js";
import { type Adapter, adapterConformance } from "../barrier/adapter.js";
import { barrierConformance } from "../barrier/conformance.js";
import { rememberConformance } from "../barrier/remember.js";
import type { Effect, World } from "../barrier/world.js";
import { type CommitFault, type MongoServer, startMongo } from "./server.js";

const name = `tandem_test_${process.pid}`;
const collection = `${name}.barrier`;
const realUrl = process.env.TANDEM_TEST_MONGODB_URL;
if (realUrl === undefined)
  process.stderr.write("SKIPPED: barrier on a real MongoDB, TANDEM_TEST_MONGODB_URL is not set\n");

interface EffectDocument extends Effect {
  readonly gid: string;
}

function mongoWorld(client: MongoClient, guard: MongoBarrier): World<ClientSession> {
  const effects = client.db(name).collection<EffectDocument>("effects");
  const rows = client.db(name).collection("barrier");
  return {
    guard,
    async apply(session, gid, effect) {
      await effects.insertOne({ gid, ...effect }, { session });
    },
    async effects(gid) {
      const found = await effects.find({ gid }).toArray();
      return found.map(({ branchId, op, call }) => ({ branchId, op, call }));
    },
    async rows(gid) {
      const found = await rows.find({ gid }).toArray();
      return found.map(({ branch_id, op, barrier_id, reason }) => ({
        ...{ branchId: String(branch_id), op: String(op) },
        ...{ barrierId: String(barrier_id), reason: String(reason) },
      }));
    },
  };
}

/** The rules of every adapter on MongoDB. */
const adapterOf = (client: MongoClient, guard: MongoBarrier, world: World<ClientSession>): Adapter<ClientSession> => ({
  guard,
  impatient: mongoBarrier(client, { collection, lockTimeout: "1s" }),
  lost: mongoBarrier(client, { collection: `${name}.nowhere` }),
  async begin() {
    const tx = client.startSession();
    tx.startTransaction();
    return {
      tx,
      commit: () => tx.commitTransaction().finally(() => tx.endSession()),
      rollback: () => tx.abortTransaction().finally(() => tx.endSession()),
    };
  },
  rows: (gid) => world.rows(gid),
  async age(gid) {
    const rows = client.db(name).collection("barrier");
    const found = await rows.find({ gid }).toArray();
    await rows.deleteMany({ _id: { $in: found.map(({ _id }) => _id) } });
    const old = Math.floor(Date.now() / 1_000) - 8 * 86_400;
    await rows.insertMany(found.map((row) => ({ ...row, _id: ObjectId.createFromTime(old) })));
  },
});

const open = (url: string) => new MongoClient(url, { serverApi: "1", retryWrites: false, retryReads: false });
const action = (gid: string) => barrierFrom({ gid, trans_type: "saga", branch_id: "01", op: "action" });

describe.runIf(realUrl !== undefined)("barrier on a real MongoDB", () => {
  let client: MongoClient;
  let guard: MongoBarrier;
  let world: World<ClientSession>;
  beforeAll(async () => {
    client = new MongoClient(realUrl!);
    guard = mongoBarrier(client, { collection });
    await guard.migrate();
    world = mongoWorld(client, guard);
  });
  afterAll(async () => {
    await client?.db(name).dropDatabase();
    await client?.close();
  });
  barrierConformance(() => world, { traces: 100, pauseMsMax: 8 });

  adapterConformance(() => adapterOf(client, guard, world));
  describe("that remembers", () => rememberConformance(() => mongoBarrier(client, { collection, remember: true })));
});

describe("barrier on the stand-in for MongoDB", () => {
  let server: MongoServer;
  let client: MongoClient;
  let guard: MongoBarrier;
  let world: World<ClientSession>;
  beforeAll(async () => {
    server = await startMongo();
    client = open(server.url);
    guard = mongoBarrier(client, { collection });
    await guard.migrate();
    await guard.migrate();
    world = mongoWorld(client, guard);
  });
  afterAll(async () => {
    await client?.close();
    await server?.close();
  });

  barrierConformance(() => world, { traces: 100, pauseMsMax: 8 });
  adapterConformance(() => adapterOf(client, guard, world));
  describe("that remembers", () => rememberConformance(() => mongoBarrier(client, { collection, remember: true })));

  const charge = (gid: string) =>
    guard.run(action(gid), (session) => world.apply(session, gid, { branchId: "01", op: "action", call: 1 }));

  it("commits again when the server did not say whether it had, and takes effect once", async () => {
    for (const fault of ["request lost", "answer lost"] as const satisfies readonly CommitFault[]) {
      server.commitFaults.push(fault, fault);
      expect((await charge(fault)).kind).toBe("executed");
      expect(await world.effects(fault)).toHaveLength(1);
      expect((await charge(fault)).kind).toBe("duplicate");
    }
  });

  it("gives up a commit that stays in doubt, and the next delivery knows", async () => {
    server.commitFaults.push("answer lost", "answer lost", "answer lost", "answer lost");
    await expect(charge("doubt")).rejects.toThrow(/not known whether/);
    expect((await charge("doubt")).kind).toBe("duplicate");
    expect(await world.effects("doubt")).toHaveLength(1);
  });

  it("answers ongoing when the commit is refused for another transaction's sake, without any effect", async () => {
    server.commitFaults.push("conflict");
    await expect(charge("lost").catch((error: unknown) => isOngoing(error))).resolves.toBe(true);
    expect(await world.effects("lost")).toHaveLength(0);
    expect((await charge("lost")).kind).toBe("executed");
  });

  it("tries three more times against an open transaction, then answers ongoing; business runs once", async () => {
    let finish = () => {};
    const held = new Promise<void>((resolve) => {
      finish = resolve;
    });
    let inside = () => {};
    const started = new Promise<void>((resolve) => {
      inside = resolve;
    });
    const slow = guard.run(action("held"), async () => {
      inside();
      await held;
    });
    await started;
    const before = server.commands.filter((command) => command === "update").length;
    await expect(charge("held").catch((error: unknown) => isOngoing(error))).resolves.toBe(true);
    expect(server.commands.filter((command) => command === "update").length - before).toBe(4);
    finish();
    expect((await slow).kind).toBe("executed");
    expect(await world.effects("held")).toHaveLength(0);
  });

  it("answers ongoing to a transaction whose snapshot is too old, whichever error the server gives", async () => {
    for (const gid of ["old snapshot 1", "old snapshot 2"]) {
      const session = client.startSession();
      session.startTransaction();
      await client.db(name).collection("effects").findOne({ gid }, { session });
      await charge(gid);
      const late = guard.within(session, action(gid), async () => 1);
      await expect(late.catch((error: unknown) => isOngoing(error))).resolves.toBe(true);
      await session.endSession();
    }
  });

  it("answers a check-back ongoing while the local transaction is open longer than its patience", async () => {
    const hasty = mongoBarrier(client, { collection, lockTimeout: 30 });
    const message = { gid: "open", trans_type: "msg", branch_id: "00", op: "msg" };
    await guard.run(barrierFrom(message), async () => {
      await expect(hasty.queryPrepared(message).catch((error: unknown) => isOngoing(error))).resolves.toBe(true);
    });
    expect(await hasty.queryPrepared(message)).toBe("committed");
  });

  it("refuses a session in which no transaction is open", async () => {
    const session = client.startSession();
    await expect(guard.within(session, action("own"), async () => 1)).rejects.toThrow(/no transaction is open/);
    await session.endSession();
  });

  it("refuses a collection without the unique index, which would guard nothing", async () => {
    const unguarded = mongoBarrier(client, { collection: `${name}.elsewhere` });
    const refused = unguarded.run(action("none"), async () => 1);
    await expect(refused).rejects.toThrow(BarrierError);
    await expect(unguarded.run(action("none"), async () => 1)).rejects.toMatchObject({ hint: /migrate\(\)/ });
    expect(() => mongoBarrier(client, { collection: "barrier" })).toThrow(/database and collection/);
  });

  it("says that a server without replica set has no transactions", async () => {
    const alone = await startMongo({ replicaSet: false });
    const lonely = open(alone.url);
    const there = mongoBarrier(lonely, { collection });
    await there.migrate();
    await expect(there.run(action("alone"), async () => 1)).rejects.toMatchObject({ hint: /replica set/ });
    await lonely.close();
    await alone.close();
  });

  it("deletes rows by the age of their id, and leaves ids of other kinds alone", async () => {
    const rows = client.db(name).collection<{ _id: ObjectId | string; gid: string }>("barrier");
    const daysAgo = (days: number) => ObjectId.createFromTime(Math.floor(Date.now() / 1_000) - days * 86_400);
    await rows.insertMany([
      { _id: daysAgo(9), gid: "9 days" },
      { _id: daysAgo(6), gid: "6 days" },
      { _id: "0", gid: "foreign" },
    ]);
    expect(await guard.clean()).toBe(1);
    expect(await rows.find({ gid: { $in: ["9 days", "6 days", "foreign"] } }).toArray()).toHaveLength(2);
  });
});
