// The client and participants over a real NATS, with a node of a cluster on MariaDB behind it.

import { connect, type NatsConnection } from "nats";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startAnyNode } from "../../../cluster/node.js";
import { type Client, createClient } from "../../../src/client/index.js";
import { natsCalls, natsEndpoint, type Serving, serveRoutes } from "../../../src/client/nats/index.js";
import { loadConfig } from "../../../src/config/config.js";
import { available, makeDatabase, startMariadb, startNats } from "../../servers.js";
import { bankSteps, participantConformance } from "../e2e/participants.js";
import { add } from "../e2e/service.js";
import { clientSuite } from "../e2e/suite.js";

const here = (await available("nats")) && (await available("mysql"));
let nodes = 0;

/** A node with its NATS and database. `bus` is for clients. */
async function start() {
  const [nats, mysql] = [await startNats(), await startMariadb()];
  const database = await makeDatabase(mysql);
  const prefix = `sdk-${process.pid}-${nodes++}`;
  const flags = {
    ...{ HttpPort: "0", GrpcPort: "0", "Store.Url": database.url, LogLevel: "error", RetryInterval: "1" },
    Threads: "1", // a thread runs what is built, and here the source runs
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

const steps = bankSteps();
const { db, hold, balance } = steps;

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
      serving = await serveRoutes(connection, base, steps.routes);
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

    participantConformance(steps, () => ({ client, base: at }));

    it("may be told of any gid", async () => {
      const gid = `g ü % ${client.newGid()}`;
      const saga = client.saga({ gid, wait: "10s" }).step(steps.credit.at(at), { account: "any", amount: 7 });
      expect([(await saga.submit()).status, balance("any")]).toEqual(["succeeded", 7]);
    });

    it("answer a repeat with success, and call a missing id by its name", async () => {
      await db.transaction((tx) => add(tx, "r", 10));
      const body = '{"account":"r","amount":4}';
      expect(await call("try", "g;ü %", body)).toMatchObject({ status: 200, text: '{"left":6}' });
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
