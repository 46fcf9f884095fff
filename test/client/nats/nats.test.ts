// The client and participants over a real NATS, with a node of a cluster on MariaDB behind it.

import { connect, type NatsConnection } from "nats";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startAnyNode } from "../../../cluster/node.js";
import { type MemoryTx, memoryBarrier } from "../../../src/client/barrier/memory.js";
import {
  type Client,
  checkBack,
  createClient,
  defineReceiver,
  defineStep,
  defineTccStep,
  Failure,
} from "../../../src/client/index.js";
import { natsCalls, natsEndpoint, type Serving, serveRoutes } from "../../../src/client/nats/index.js";
import { loadConfig } from "../../../src/config/config.js";
import { available, makeDatabase, startMariadb, startNats } from "../../servers.js";
import { add, type Transfer } from "../e2e/service.js";
import { clientSuite, until } from "../e2e/suite.js";

const here = (await available("nats")) && (await available("mysql"));
let nodes = 0;

/** A node with its NATS and database. `bus` is for clients. */
async function start() {
  const [nats, mysql] = [await startNats(), await startMariadb()];
  const database = await makeDatabase(mysql);
  const prefix = `sdk-${process.pid}-${nodes++}`;
  const flags = {
    ...{ HttpPort: "0", GrpcPort: "0", "Store.Url": database.url, LogLevel: "error", RetryInterval: "1" },
    ...{ "Cluster.Url": nats.url, "Cluster.Node": "n1", "Cluster.Prefix": prefix },
  };
  const node = await startAnyNode(loadConfig({ environment: {}, flags, readFile: () => "" }).config);
  const bus = await connect({ servers: nats.url });
  return {
    address: node.addresses.http,
    prefix,
    bus,
    async stop() {
      await bus.close();
      await node.close(1_000);
      await database.drop();
      await Promise.all([nats.stop(), mysql.stop()]);
    },
  };
}

const db = memoryBarrier();
const balance = (account: string) => Number(db.values.get(account) ?? 0);
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

describe.runIf(here)("NATS", () => {
  clientSuite("a client", async () => {
    const node = await start();
    return { ...node, endpoints: [natsEndpoint(node.bus, { prefix: node.prefix })] };
  });

  describe("participants", () => {
    let node: Awaited<ReturnType<typeof start>>;
    let connection: NatsConnection;
    let serving: Serving;
    let client: Client;
    const base = `bank-${process.pid}`;
    const at = `nats://${base}`;
    const call = (op: string, gid: string, body: string) =>
      natsCalls(connection).call(
        { url: hold.at(at).try, branch: { gid, transType: "tcc", branchId: "01", op }, body },
        AbortSignal.timeout(5_000),
      );

    beforeAll(async () => {
      node = await start();
      connection = node.bus;
      const routes = [...credit.routes, ...hold.routes, ...receive.routes, checkBack("/check", db)];
      serving = await serveRoutes(connection, base, routes);
      client = createClient({
        endpoints: [natsEndpoint(connection, { prefix: node.prefix })],
        participants: [natsCalls(connection)],
        checkBackUrl: `${at}.check`,
      });
    });
    afterAll(async () => {
      await serving?.stop();
      await node?.stop();
    });

    it("take a saga's steps, and undo them when one refuses", async () => {
      const gid = `g ü % ${client.newGid()}`;
      const step = credit.at(at);
      const good = await client.saga({ gid, wait: "10s" }).step(step, { account: "a", amount: 7 }).submit();
      expect([good.status, balance("a")]).toEqual(["succeeded", 7]);
      const bad = await client
        .saga({ wait: "10s" })
        .step(step, { account: "a", amount: 1 })
        .step(step, { account: "poor", amount: -1 })
        .submit();
      expect(bad).toMatchObject({ status: "failed", reason: expect.stringContaining("poor has only 0") });
      expect(balance("a")).toBe(7);
    });

    it("are tried by the client, and give their value or their refusal", async () => {
      await db.transaction((tx) => add(tx, "t", 10));
      const trying = (amount: number) => client.tcc((t) => t.call(hold.at(at), { account: "t", amount }));
      expect(await trying(4)).toEqual({ left: 6 });
      const refused = await trying(50).catch((error: unknown) => error);
      expect(refused).toBeInstanceOf(Failure);
      expect(refused).toMatchObject({ details: { left: 6 } });
    });

    it("receive messages and answer the check-back", async () => {
      const message = client.msg().to(receive.at(at), { account: "m", amount: 5 });
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

    it("answer a repeat with success, and call a missing id by its name", async () => {
      await db.transaction((tx) => add(tx, "r", 10));
      const body = '{"account":"r","amount":4}';
      expect(await call("try", "g;ü %", body)).toEqual({ status: 200, text: '{"left":6}' });
      expect(await call("try", "g;ü %", body)).toMatchObject({ status: 200 });
      expect(balance("r")).toBe(6);
      expect(await call("", "g2", "{}")).toMatchObject({ status: 400, text: expect.stringContaining("no op") });
    });

    it("that are not there are said to be unreachable at once", async () => {
      const away = client.tcc((t) => t.call(hold.at(`${at}-nobody`), { account: "a", amount: 1 }));
      await expect(away).rejects.toMatchObject({ code: "DTX_UNREACHABLE", message: expect.stringContaining("nobody") });
    });
  });
});
