/**
 * The protocols say and store the same on a cluster of three processes: one script over HTTP, JSON-RPC, gRPC and NATS,
 * each step asked of another node. The waits for a result outlive the owner over each of them.
 */
import fc from "fast-check";
import { connect, JSONCodec, type NatsConnection } from "nats";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { shardOf } from "../../src/core/shard.js";
import { connectGrpc, type Participants, startParticipants } from "../grpc/node.js";
import {
  anyScript,
  type Doors,
  type Name,
  rareScripts,
  Scripts,
  type Step,
  scripted,
  workflowScript,
} from "../grpc/script.js";
import { available } from "../servers.js";
import { type Fleet, startFleet, until } from "./fleet.js";

const isThere = (await available("mysql")) && (await available("nats"));
const json = JSONCodec<Record<string, unknown>>();

describe.runIf(isThere)("HTTP, JSON-RPC, gRPC and NATS on a cluster", () => {
  let fleet: Fleet;
  let busi: Participants;
  let nc: NatsConnection;
  let clients: readonly ReturnType<typeof connectGrpc>[];
  let scripts: Scripts;
  let turn = 0;

  beforeAll(async () => {
    [fleet, busi] = await Promise.all([startFleet({ names: ["a", "b", "c"], leaseMs: 3000 }), startParticipants()]);
    nc = await connect({ servers: fleet.nats.url.replace("nats://", "") });
    clients = fleet.nodes.map(({ grpc }) => connectGrpc(grpc));
    scripts = new Scripts(
      doorsOf(() => turn++ % 3),
      busi,
    );
  });
  afterAll(async () => {
    for (const client of clients ?? []) client.close();
    await nc?.close();
    await fleet?.close();
    await busi?.close();
  });

  /** Doors of the node that `which` names, by its place; NATS chooses one itself. */
  const doorsOf = (which: () => number): Required<Doors> => ({
    async ask(path, body) {
      const response = await fetch(
        fleet.nodes[which()]!.http + path,
        body && { method: "POST", body: JSON.stringify(body) },
      );
      return { status: response.status, json: (await response.json()) as Record<string, unknown> };
    },
    call: (...args) => clients[which()]!.call(...args),
    async nats(operation, fields) {
      const reply = await nc.request(`tandem.api.${operation}`, json.encode(fields as never), { timeout: 10_000 });
      return { status: Number(reply.headers?.get("Status")), json: json.decode(reply.data) };
    },
  });

  const all: readonly Name[] = ["http", "json-rpc", "grpc", "nats"];
  for (const [name, script, meanings] of scripted)
    it(`say and store the same of ${name}`, async () => {
      const names = meanings.includes("large") ? (["http", "grpc"] as const) : all;
      expect(await scripts.compare(script, names)).toEqual(meanings);
    });

  it("say and store the same of workflows and topics, where they have them", async () => {
    const [script, meanings] = workflowScript;
    expect(await scripts.compare(script, ["http", "grpc", "nats"])).toEqual(meanings);
  });

  it("say and store the same of any script", async () => {
    const seen = new Set<string>();
    await fc.assert(
      fc.asyncProperty(anyScript, async (script) => {
        for (const meaning of await scripts.compare(script, all)) seen.add(meaning);
      }),
      { numRuns: 25, examples: rareScripts.map((script): [readonly Step[]] => [script]) },
    );
    expect([...seen]).toEqual(expect.arrayContaining(["later", "no", "ok"]));
  });

  it("hold wait_result over the death of the owner, and tell the end that came of it", async () => {
    const victim = fleet.nodes[2]!;
    const { owners } = await fleet.shares();
    const used = new Set<string>();
    const gidOfVictim = () => {
      let gid = "";
      for (let n = 0; gid === "" || owners.get(shardOf(gid)) !== victim.name || used.has(gid); n++) gid = `dies-${n}`;
      used.add(gid);
      return gid;
    };
    const doors = doorsOf(() => 0);
    const own = new Scripts(doors, busi);
    const step: Step = { operation: "submit", type: "saga", actions: ["slow"] };
    const held = (["http", "json-rpc", "grpc"] as const).map((name) => own.say(name, step, gidOfVictim()));
    /** NATS chooses who is asked: whose request the victim itself had taken gets no reply, and asks again. */
    const overNats = Array.from({ length: 10 }, async () => {
      const gid = gidOfVictim();
      for (let asked = 1; ; asked++) {
        const said = await own.say("nats", step, gid).catch(() => undefined);
        if (said !== undefined) return { ...said, asked };
      }
    });
    const called = () => new Set(busi.received.filter(({ gid }) => used.has(gid)).map(({ gid }) => gid)).size;
    await until("all are on the wire", 10_000, async () => called() === used.size);
    victim.signal("SIGKILL");
    await victim.gone();
    for (const { meaning, words } of await Promise.all(held)) expect(`${meaning} ${words}`).toBe("ok ");
    const told = await Promise.all(overNats);
    expect(new Set(told.map(({ meaning }) => meaning))).toEqual(new Set(["ok"]));
    expect(told.filter(({ asked }) => asked === 1).length).toBeGreaterThan(0);
    for (const gid of used)
      expect((await doors.ask(`/api/dtmsvr/query?gid=${gid}`)).json).toMatchObject({
        transaction: { status: "succeed" },
      });
    await victim.start();
    await fleet.settled(60, 20_000);
  });
});
