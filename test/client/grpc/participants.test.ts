// Participants that are gRPC services, called by our coordinator and by the client itself.

import * as grpc from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { addRoutes, grpcCalls, grpcEndpoint, participantMethod } from "../../../src/client/grpc/index.js";
import { type Client, createClient, workflow } from "../../../src/client/index.js";
import { loadConfig } from "../../../src/config/config.js";
import { startNode } from "../../../src/node.js";
import { bankSteps, participantConformance } from "../e2e/participants.js";
import { add } from "../e2e/service.js";
import { until } from "../e2e/suite.js";

const steps = bankSteps();
const { db, credit, hold, balance } = steps;

/** A method with messages of its own: four bytes of an amount. */
const own = participantMethod<number, { readonly total: number }>(
  (delivery, amount) =>
    db.run(delivery, async (tx) => ({ total: await add(tx, `own ${delivery.branch.gid}`, amount) })),
  { total: -1 },
);
const ownPath = "/own.Own/Add";

async function listen(server: grpc.Server): Promise<string> {
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  return `127.0.0.1:${port}`;
}

const callOwn = (address: string, op: string, amount: number, gid: string) => {
  const client = new grpc.Client(address, grpc.credentials.createInsecure());
  const metadata = new grpc.Metadata();
  const ids = { "dtm-gid": gid, "dtm-trans_type": "saga", "dtm-branch_id": "01", "dtm-op": op };
  for (const [key, value] of Object.entries(ids)) if (value !== "") metadata.set(key, value);
  return new Promise<{ code: number; details?: string; total?: number }>((resolve) =>
    client.makeUnaryRequest(
      ownPath,
      (value: number) => Buffer.from(String(value)),
      (bytes: Buffer) => ({ total: Number(bytes.toString()) }),
      amount,
      metadata,
      (error, reply) => {
        client.close();
        resolve(error === null ? { code: 0, ...reply } : { code: error.code, details: error.details });
      },
    ),
  );
};

describe("participants behind gRPC", () => {
  const server = new grpc.Server();
  let address = "";
  let client: Client;
  let stopNode = async () => {};
  let flows: ReturnType<Client["workflows"]>;
  const base = () => `grpc://${address}/bank.Bank`;
  let died = false;
  const once = workflow("once", async (flow, amount: number) => {
    await flow.step("credit", (scope) => scope.call(credit.at(base()).action, { account: flow.gid, amount }));
    if (died) return "resumed";
    died = true;
    throw new Error("the process dies here");
  });

  beforeAll(async () => {
    const flags = { HttpPort: "0", GrpcPort: "0", "Store.Url": "memory:", LogLevel: "error", RetryInterval: "1" };
    const node = await startNode(loadConfig({ environment: {}, flags, readFile: () => "" }).config);
    stopNode = () => node.close(1_000);
    addRoutes(server, "bank.Bank", steps.routes);
    server.register(
      ownPath,
      own,
      ({ total }) => Buffer.from(String(total)),
      (bytes) => Number(bytes.toString()),
      "unary",
    );
    const handle: ReturnType<Client["workflows"]>["route"]["handle"] = (incoming) => flows.route.handle(incoming);
    addRoutes(server, "workflow.Workflow", [{ path: "/Execute", handle }]);
    address = await listen(server);
    client = createClient({
      endpoints: [grpcEndpoint(node.addresses.grpc ?? "")],
      participants: [grpcCalls()],
      checkBackUrl: `${base()}/check`,
    });
    flows = client.workflows([once], { callbackUrl: `grpc://${address}/workflow.Workflow/Execute` });
  });
  afterAll(async () => {
    await client.close();
    server.forceShutdown();
    await stopNode();
  });

  participantConformance(steps, () => ({ client, base: base() }));

  it("cannot be told of a gid that gRPC has no characters for, which is said before they are called", async () => {
    const trying = client.tcc({ gid: `é-${client.newGid()}` }, (t) =>
      t.call(hold.at(base()), { account: "t", amount: 1 }),
    );
    await expect(trying).rejects.toMatchObject({ code: "DTX_INVALID_INPUT", hint: expect.stringContaining("ASCII") });
  });

  it("are called back for a workflow that was interrupted, as DTM's Workflow service", async () => {
    const gid = client.newGid();
    await expect(flows.execute(once, { gid, retryInterval: "1s" }, 3)).rejects.toThrow("dies here");
    await until(
      async () => (await client.query(gid))?.status === "succeeded",
      () => client.query(gid),
    );
    expect(balance(gid)).toBe(3);
  });

  it("may have messages of their own; a repeat is answered with the empty one", async () => {
    const gid = client.newGid();
    expect(await callOwn(address, "action", 5, gid)).toEqual({ code: 0, total: 5 });
    expect(await callOwn(address, "action", 5, gid)).toEqual({ code: 0, total: -1 });
    expect(await callOwn(address, "action", -9, `${gid}x`)).toMatchObject({
      code: 10,
      details: expect.stringMatching(/FAILURE$/),
    });
  });

  it("say which id is missing, with INVALID_ARGUMENT", async () => {
    expect(await callOwn(address, "", 5, "g")).toMatchObject({ code: 3, details: expect.stringContaining("no op") });
  });
});

describe("a client over gRPC", () => {
  it("refuses a concurrent message, for which the protocol has no field", async () => {
    const client = createClient({ endpoints: [grpcEndpoint("127.0.0.1:1")] });
    await expect(client.msg({ concurrent: true }).to("http://h/a").submit()).rejects.toThrow(
      /no field for a concurrent/,
    );
    await client.close();
  });

  it("says whom it asked when nobody is there", async () => {
    const client = createClient({ endpoints: [grpcEndpoint("127.0.0.1:1")], retry: { attempts: 2 } });
    await expect(client.query("g")).rejects.toMatchObject({
      code: "DTX_UNREACHABLE",
      message: expect.stringContaining("127.0.0.1:1"),
    });
    await client.close();
  });

  it("takes host and port only", () => {
    expect(() => grpcEndpoint("http://127.0.0.1:36790")).toThrow(/not a gRPC address/);
  });
});
