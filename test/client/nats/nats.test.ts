// The client and participants over a real NATS. The coordinator's side of the bus is a bridge to its HTTP API, which
// says what the bus says: a status and a JSON object.

import { connect, headers, type NatsConnection } from "nats";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type MemoryTx, memoryBarrier } from "../../../src/client/barrier/memory.js";
import { httpEndpoint } from "../../../src/client/http.js";
import { createClient, defineTccStep, Failure, type Operation } from "../../../src/client/index.js";
import { natsCalls, natsEndpoint, type Serving, serveRoutes } from "../../../src/client/nats/index.js";
import { loadConfig } from "../../../src/config/config.js";
import { startNode } from "../../../src/node.js";
import { available, startNats } from "../../servers.js";
import { add, type Transfer } from "../e2e/service.js";
import { clientSuite } from "../e2e/suite.js";

const prefix = "bridge-test";

/** Puts a coordinator's HTTP API onto the bus. */
function bridge(connection: NatsConnection, address: string): void {
  const http = httpEndpoint(address);
  connection.subscribe(`${prefix}.api.*`, {
    async callback(_error, message) {
      const operation = message.subject.split(".").at(-1) as Operation;
      const answer = await http.call(operation, message.json(), AbortSignal.timeout(30_000));
      const said = headers();
      said.set("Status", String(answer.status));
      message.respond(JSON.stringify(answer.body), { headers: said });
    },
  });
}

describe.runIf(await available("nats"))("NATS", () => {
  clientSuite("a client", async () => {
    const flags = { HttpPort: "0", GrpcPort: "0", "Store.Url": "memory:", LogLevel: "error" };
    const node = await startNode(loadConfig({ environment: {}, flags, readFile: () => "" }).config);
    const server = await startNats();
    const [ours, theirs] = [await connect({ servers: server.url }), await connect({ servers: server.url })];
    bridge(theirs, node.addresses.http);
    await theirs.flush();
    return {
      address: node.addresses.http,
      endpoints: [natsEndpoint(ours, { prefix })],
      async stop() {
        await Promise.all([ours.close(), theirs.close()]);
        await node.close(1_000);
        await server.stop();
      },
    };
  });

  describe("participants", () => {
    const db = memoryBarrier();
    let connection: NatsConnection;
    let serving: Serving;
    let stopServer = async () => {};
    const hold = defineTccStep<MemoryTx, { readonly left: number }, Transfer>({
      path: "/hold",
      guard: db,
      try: async (tx, { account, amount }) => ({ left: await add(tx, account, -amount) }),
      confirm: async () => {},
      cancel: async () => {},
    });
    const call = (op: string, gid: string, body: string) =>
      natsCalls(connection).call(
        {
          url: hold.at("nats://bank-test").try,
          branch: { gid, transType: "tcc", branchId: "01", op },
          body,
        },
        AbortSignal.timeout(5_000),
      );

    beforeAll(async () => {
      const server = await startNats();
      stopServer = () => server.stop();
      connection = await connect({ servers: server.url });
      serving = await serveRoutes(connection, "bank-test", hold.routes);
      await db.transaction((tx) => add(tx, "a", 10));
    });
    afterAll(async () => {
      await serving?.stop();
      await connection?.close();
      await stopServer();
    });

    it("answer a call with their value, and its repeat with success", async () => {
      const body = '{"account":"a","amount":4}';
      expect(await call("try", "g;ü %", body)).toEqual({ status: 200, text: '{"left":6}' });
      expect(await call("try", "g;ü %", body)).toMatchObject({ status: 200 });
      expect(db.values.get("a")).toBe(6);
    });

    it("refuse with 409, and call a missing id by its name", async () => {
      expect(await call("try", "refused", '{"account":"a","amount":40}')).toMatchObject({ status: 409 });
      const answer = await call("", "g2", "{}");
      expect(answer).toMatchObject({ status: 400, text: expect.stringContaining("no op") });
    });

    it("are tried by a client, whose error is the participant's refusal", async () => {
      const endpoint = {
        address: "scripted",
        call: async () => ({ status: 200, body: { dtm_result: "SUCCESS", transaction: { status: "succeed" } } }),
      };
      const client = createClient({ endpoints: [endpoint], participants: [natsCalls(connection)] });
      const trying = (amount: number) =>
        client.tcc((t) => t.call(hold.at("nats://bank-test"), { account: "a", amount }));
      expect(await trying(1)).toEqual({ left: 5 });
      await expect(trying(50)).rejects.toBeInstanceOf(Failure);
    });

    it("that are not there are said to be unreachable at once", async () => {
      const endpoint = { address: "scripted", call: async () => ({ status: 200, body: {} }) };
      const client = createClient({ endpoints: [endpoint], participants: [natsCalls(connection)] });
      const away = client.tcc((t) => t.call(hold.at("nats://nobody-test"), { account: "a", amount: 1 }));
      await expect(away).rejects.toMatchObject({
        code: "DTX_UNREACHABLE",
        message: expect.stringContaining("nobody-test"),
      });
    });
  });
});
