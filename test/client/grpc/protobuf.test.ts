// A TypeScript initiator and gRPC services that speak protobuf: payloads arrive byte for byte whatever way the
// transaction took to the coordinator, and the initiator gets what was answered.

import * as grpc from "@grpc/grpc-js";
import protobuf from "protobufjs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type MemoryTx, memoryBarrier } from "../../../src/client/barrier/memory.js";
import {
  grpcCalls,
  grpcEndpoint,
  grpcMethod,
  grpcStep,
  grpcTccStep,
  participantMethod,
} from "../../../src/client/grpc/index.js";
import { type Client, createClient, type Endpoint, Failure, workflow } from "../../../src/client/index.js";
import { loadConfig } from "../../../src/config/config.js";
import { startEmbedded } from "../../../src/embedded/embedded.js";
import { startNode } from "../../../src/node.js";
import { until } from "../e2e/suite.js";

const { root } = protobuf.parse(`syntax = "proto3"; package bank;
  message Move { string account = 1; sint32 amount = 2; bytes note = 3; }
  message Left { sint32 amount = 1; bytes note = 2; }`);

interface Move {
  readonly account: string;
  readonly amount: number;
  readonly note: Uint8Array;
}
interface Left {
  readonly amount: number;
  readonly note: Uint8Array;
}

const codec = <T>(name: string) => {
  const type = root.lookupType(name);
  return {
    write: (message: T) => Buffer.from(type.encode(type.create(message as object)).finish()),
    read: (bytes: Buffer) => type.toObject(type.decode(bytes), { defaults: true, bytes: Buffer }) as T,
  };
};
const [move, left] = [codec<Move>("bank.Move"), codec<Left>("bank.Left")];

const method = (name: string) => ({
  ...{ path: `/bank.Bank/${name}`, requestStream: false, responseStream: false },
  ...{ requestSerialize: move.write, requestDeserialize: move.read },
  ...{ responseSerialize: left.write, responseDeserialize: left.read },
});
/** As a code generator would make it. */
const Bank = {
  add: method("Add"),
  takeBack: method("TakeBack"),
  hold: method("Hold"),
  keep: method("Keep"),
  release: method("Release"),
};

const db = memoryBarrier();
const balance = (account: string) => Number(db.values.get(account) ?? 0);
const notes: Uint8Array[] = [];
const change = async (tx: MemoryTx, { account, amount, note }: Move, sign: 1 | -1): Promise<Left> => {
  notes.push(note);
  await tx.update(account, (now) => {
    if (sign > 0 && Number(now ?? 0) + amount < 0) throw new Failure(`${account} has only ${now ?? 0}`);
    return Number(now ?? 0) + sign * amount;
  });
  return { amount: Number(tx.get(account)), note };
};
const nothing: Left = { amount: 0, note: new Uint8Array() };
const handle = (sign: 1 | -1) =>
  participantMethod<Move, Left>((delivery, message) => db.run(delivery, (tx) => change(tx, message, sign)), nothing);
const keep = participantMethod<Move, Left>((delivery) => db.run(delivery, async () => {}), nothing);

/** No text in any encoding, and the words that DTM looks for in texts. */
const note = Buffer.concat([Buffer.from([0xff, 0x00, 0x80]), Buffer.from("FAILURE ONGOING")]);

describe("a client whose participants speak protobuf", () => {
  const server = new grpc.Server();
  let address = "";
  const ends: (() => Promise<unknown>)[] = [];
  const endpoints: Record<string, () => Endpoint | string> = {};

  beforeAll(async () => {
    const service = {
      ...{ add: handle(1), takeBack: handle(-1), hold: handle(1), keep, release: handle(-1) },
    };
    server.addService(Bank, service);
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      ),
    );
    address = `127.0.0.1:${port}`;
    const flags = { HttpPort: "0", GrpcPort: "0", "Store.Url": "memory:", LogLevel: "error", RetryInterval: "1" };
    const node = await startNode(loadConfig({ environment: {}, flags, readFile: () => "" }).config);
    const embedded = await startEmbedded({ store: "memory:", retryIntervalSeconds: 1 });
    endpoints.gRPC = () => grpcEndpoint(node.addresses.grpc ?? "");
    endpoints.HTTP = () => node.addresses.http;
    endpoints["function calls"] = () => embedded.endpoint;
    ends.push(
      () => node.close(1_000),
      () => embedded.close(100),
    );
  });
  afterAll(async () => {
    server.forceShutdown();
    for (const end of ends) await end();
  });

  describe.each(["gRPC", "HTTP", "function calls"])("and whose coordinator is asked by %s", (transport) => {
    let client: Client;
    beforeAll(() => {
      client = createClient({ endpoints: [endpoints[transport]!()], participants: [grpcCalls()] });
      notes.length = 0;
    });
    afterAll(() => client.close());

    it("has a saga's steps done, and undone when one refuses", async () => {
      const account = `saga ${transport}`;
      const add = grpcStep(address, { action: Bank.add, compensate: Bank.takeBack });
      const good = await client.saga({ wait: "10s" }).step(add, { account, amount: 7, note }).submit();
      expect([good.status, balance(account)]).toEqual(["succeeded", 7]);
      const bad = await client
        .saga({ wait: "10s" })
        .step(add, { account, amount: 1, note })
        .step(add, { account: "poor", amount: -1, note })
        .submit();
      expect(bad).toMatchObject({ status: "failed", reason: expect.stringContaining("poor has only 0") });
      expect(balance(account)).toBe(7);
      expect(notes.length).toBeGreaterThan(3);
      for (const one of notes) expect([...one]).toEqual([...note]);
    });

    it("gets a try's answer as a message, whatever words are in it", async () => {
      const account = `tcc ${transport}`;
      const hold = grpcTccStep(address, { try: Bank.hold, confirm: Bank.keep, cancel: Bank.release });
      const kept = await client.tcc((t) => t.call(hold, { account, amount: 5, note }));
      expect([kept.amount, [...kept.note]]).toEqual([5, [...note]]);
      const given = client.tcc(async (t) => {
        await t.call(hold, { account, amount: 2, note });
        throw new Failure("changed my mind");
      });
      await expect(given).rejects.toThrow("changed my mind");
      await until(
        () => balance(account) === 5,
        () => balance(account),
      );
      await expect(client.tcc((t) => t.call(hold, { account, amount: -50, note }))).rejects.toThrow(Failure);
    });

    it("delivers messages, and bytes that were written by hand", async () => {
      const account = `msg ${transport}`;
      const target = grpcMethod(address, Bank.add);
      const bytes = move.write({ account, amount: 2, note });
      await client.msg().to(target, { account, amount: 1, note }).to(target.url, bytes).submit();
      await until(
        () => balance(account) === 3,
        () => balance(account),
      );
    });

    it("calls methods within a workflow's steps", async () => {
      const account = `flow ${transport}`;
      const pay = workflow("pay", async (flow) => {
        const { amount } = await flow.step("add", (scope) =>
          scope.call(grpcMethod(address, Bank.add), { account, amount: 4, note }),
        );
        return amount;
      });
      const flows = client.workflows([pay], { callbackUrl: "http://127.0.0.1:9/none" });
      expect(await flows.execute(pay)).toBe(4);
    });
  });

  it("says what an address looks like", () => {
    expect(() => grpcMethod("http://bank:5000", Bank.add)).toThrow(/not the address of a gRPC service/);
  });
});
