/**
 * Three real processes with a real database and NATS: any node takes any call, a node that dies is followed, one that
 * is paused writes nothing, outages are survived. Small; `npm run chaos` is the full size.
 */
import { setTimeout as delay } from "node:timers/promises";
import { connect, headers, JSONCodec, type NatsConnection } from "nats";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { shardOf } from "../../src/core/shard.js";
import { type Hit, kill, restartMysql, restartNats, rollingRestart, type Scene, stop } from "../chaos/faults.js";
import { available } from "../servers.js";
import { openBank } from "./bank.js";
import { type Fleet, startFleet, until } from "./fleet.js";
import { judgeAll, type Load, startLoad, statusOf } from "./load.js";
import { type Witness, watchCommits } from "./witness.js";

const isThere = (await available("mysql")) && (await available("nats"));

describe.runIf(isThere)("a cluster of three processes", () => {
  let fleet: Fleet;
  let bank: Awaited<ReturnType<typeof openBank>>;
  let nc: NatsConnection;
  let witness: Witness;

  beforeAll(async () => {
    fleet = await startFleet({ names: ["a", "b", "c"], leaseMs: 3000 });
    witness = await watchCommits(fleet.database.url);
    bank = await openBank(Math.random);
    nc = await connect({ servers: fleet.nats.url.replace("nats://", ""), maxReconnectAttempts: -1 });
  });
  afterAll(async () => {
    await nc?.close();
    await fleet?.close();
    await bank?.close();
  });

  /** Prints what a fault has hit; one that hit nobody at work would prove nothing. */
  const say = (fault: string, hit: Hit): Hit => {
    process.stdout.write(`${fault}: ${hit.atWork} transfers at work, ${hit.takenOver} shards taken over\n`);
    expect(hit.atWork).toBeGreaterThan(0);
    return hit;
  };
  let nth = 0;
  const withLoad = async (work: (scene: Scene) => Promise<void>) => {
    const load: Load = startLoad(fleet, bank, 6, Math.random, `load-${nth++}-`);
    try {
      await work({ fleet, bank, load, leaseMs: 3000, random: Math.random });
      await until("20 transfers acknowledged", 30_000, async () => load.acknowledged.size > 20);
    } finally {
      await load.stop();
    }
    expect(await judgeAll(fleet, bank, load, 60_000)).toEqual([]);
    const { rows, astray } = await witness.tell();
    expect(rows).toBeGreaterThan(load.acknowledged.size);
    expect(astray).toEqual([]);
  };

  it("takes any call at any node, holds wait_result, and tells the end everywhere", async () => {
    for (let i = 0; i < 9; i++) {
      const node = fleet.nodes[i % 3]!;
      const body = { ...bank.transfer(`any-${i}`, 6 * i + 1), wait_result: true };
      const answer = await fetch(`${node.http}/api/dtmsvr/submit`, { method: "POST", body: JSON.stringify(body) });
      expect(await answer.json()).toEqual({ dtm_result: "SUCCESS" });
      for (const other of fleet.nodes) expect(await statusOf(other, `any-${i}`)).toBe("succeed");
      expect(bank.judge(`any-${i}`, "succeed")).toBe("");
    }
  });

  it("shows nodes, owners, epochs and leases", async () => {
    const answer = await fetch(`${fleet.nodes[1]!.http}/api/v1/cluster`);
    const cluster = (await answer.json()) as {
      node: string;
      nodes: { node: string; state: string; shards: number; lease_ms: number }[];
      shards: { shard: number; owner: string; epoch: number }[];
      misplaced: unknown[];
    };
    expect(cluster.node).toBe("b");
    expect(cluster.nodes.map(({ node, state }) => `${node} ${state}`)).toEqual(["a live", "b live", "c live"]);
    expect(cluster.nodes.reduce((sum, { shards }) => sum + shards, 0)).toBe(256);
    expect(cluster.shards).toHaveLength(256);
    for (const { epoch } of cluster.shards) expect(epoch).toBeGreaterThan(0);
  });

  it("counts lease, shards, nodes and what changed owners for those who watch", async () => {
    const node = fleet.nodes[0]!;
    const read = async () => {
      const text = await (await fetch(`${node.http}/api/metrics`)).text();
      const value = (name: string) =>
        Number(
          text
            .split("\n")
            .find((line) => line.startsWith(`${name} `))
            ?.split(" ")[1],
        );
      return value;
    };
    const { owners } = await fleet.shares();
    const value = await read();
    expect(value("tandem_shards_owned")).toBe([...owners.values()].filter((owner) => owner === node.name).length);
    expect(value("tandem_lease_seconds")).toBeGreaterThan(0);
    expect(value("tandem_lease_seconds")).toBeLessThanOrEqual(3);
    expect(value('tandem_nodes{state="live"}')).toBe(3);
    expect(value('tandem_nodes{state="late"}')).toBe(0);
    expect(value("tandem_shards_without_owner")).toBe(0);
    expect(value("tandem_nats_connected")).toBe(1);
    expect(value('tandem_cluster_events_total{event="joined"}')).toBe(1);
    expect(value('tandem_cluster_events_total{event="fenced"}')).toBe(0);
    for (const name of ["tandem_requests_elsewhere", "tandem_requests_without_owner", "tandem_kills_denied_total"])
      expect(value(name), name).toBe(0);
    expect(value("tandem_messages_troubled_total")).toBeGreaterThanOrEqual(0);
  });

  it("speaks NATS request-reply, in JSON and msgpack, and is found as a micro-service", async () => {
    const { pack, unpack } = await import("msgpackr");
    const json = JSONCodec<Record<string, unknown>>();
    const ask = async (operation: string, body: Record<string, unknown>) => {
      const reply = await nc.request(`tandem.api.${operation}`, json.encode(body), { timeout: 10_000 });
      return { status: reply.headers?.get("Status"), body: json.decode(reply.data) };
    };
    const { body } = await ask("newGid", {});
    const gid = String(body.gid);
    const submitted = await ask("submit", { ...bank.transfer(gid, 1), wait_result: true });
    expect(submitted).toEqual({ status: "200", body: { dtm_result: "SUCCESS" } });
    expect((await ask("query", { gid })).body.transaction).toMatchObject({ gid, status: "succeed" });
    const packed = headers();
    packed.set("Content-Type", "application/msgpack");
    const options = { headers: packed, timeout: 10_000 };
    const other = await nc.request("tandem.api.submit", pack(bank.transfer(`${gid}-p`, 1)), options);
    expect(other.headers?.get("Content-Type")).toBe("application/msgpack");
    expect(unpack(other.data)).toEqual({ dtm_result: "SUCCESS" });
    const refused = await nc.request("tandem.api.abort", json.encode({ gid, trans_type: "saga" }), { timeout: 10_000 });
    expect(refused.headers?.get("Status")).toBe("409");
    expect(refused.headers?.get("Nats-Service-Error-Code")).toBe("409");
    expect(json.decode(refused.data)).toMatchObject({ dtm_result: "FAILURE" });
    for (const bad of [Buffer.from("{"), Buffer.from("[]"), Buffer.alloc(0), Buffer.from("{}")]) {
      const reply = await nc.request("tandem.api.submit", bad, { timeout: 10_000 });
      expect(reply.headers?.get("Status")).toBe("400");
    }
    const nodes = new Set<string>();
    for await (const { id, name } of await nc.services.client().ping("tandem")) nodes.add(`${name} ${id}`);
    expect(nodes.size).toBe(3);
    let errors = 0;
    for await (const { endpoints = [] } of await nc.services.client().stats("tandem")) {
      expect(endpoints.map(({ subject }) => subject)).toContain("tandem.api.submit");
      for (const { num_errors } of endpoints) errors += num_errors;
    }
    expect(errors).toBeGreaterThanOrEqual(5);
  });

  it("carries what is larger than a message of NATS by HTTP, and says so where there is no other way", async () => {
    const { owners } = await fleet.shares();
    for (const [i, node] of fleet.nodes.entries()) {
      let gid = "";
      for (let n = 0; owners.get(shardOf(gid)) === node.name || gid === ""; n++) gid = `large-${i}-${n}`;
      const transfer = bank.transfer(gid, 1);
      const body = JSON.stringify({
        ...transfer,
        payloads: ["x", "y"].map((c) => c.repeat(900_000)),
        wait_result: true,
      });
      const answer = await fetch(`${node.http}/api/dtmsvr/submit`, { method: "POST", body });
      expect(await answer.json()).toEqual({ dtm_result: "SUCCESS" });
      expect(await statusOf(node, gid)).toBe("succeed");
      const reply = await nc.request("tandem.api.query", Buffer.from(JSON.stringify({ gid })), { timeout: 10_000 });
      expect(reply.headers?.get("Status")).toBe("413");
    }
  });

  it("calls participants over NATS, and refuses subjects that are none", async () => {
    const calls: string[] = [];
    const answers: Record<string, [status: string, body: string]> = {
      "pay.ok": ["200", ""],
      "pay.words": ["", "it is a FAILURE"],
      "pay.refuse": ["409", "no"],
    };
    for (const [subject, [status, text]] of Object.entries(answers))
      nc.subscribe(subject, {
        callback: (_, message) => {
          const told = ["gid", "trans_type", "branch_id", "op"].map((name) => message.headers?.get(name)).join(" ");
          calls.push(`${subject} ${told} ${Buffer.from(message.data)}`);
          const head = headers();
          if (status !== "") head.set("Status", status);
          message.respond(Buffer.from(text), { headers: head });
        },
      });
    const submit = async (gid: string, action: string) => {
      const steps = [{ action, compensate: "nats://pay.ok" }];
      const body = { gid, trans_type: "saga", steps, payloads: ['{"n":1}'], wait_result: true, retry_interval: 1 };
      return fetch(`${fleet.nodes[0]!.http}/api/dtmsvr/submit`, { method: "POST", body: JSON.stringify(body) });
    };
    expect((await submit("nats-1", "nats://pay.ok")).status).toBe(200);
    expect(calls).toEqual(['pay.ok nats-1 saga 01 action {"n":1}']);
    expect((await submit("nats-2", "nats://pay.refuse")).status).toBe(409);
    expect((await submit("nats-3", "nats://pay.words")).status).toBe(409);
    expect((await submit("nats-4", "nats://nobody.there")).status).toBe(425);
    for (const bad of ["a..b", "a.*", ">", "$SRV.PING", "_INBOX.x", "tandem.api.submit", "a b", ""])
      expect((await submit(`nats-bad-${bad}`, `nats://${bad}`)).status, bad).toBe(400);
  });

  it("4, 5: keeps every promise when an owner is killed, and serves its shards again within the lease and half a second", async () => {
    await withLoad(async (scene) => {
      const hit = say("kill -9", await kill(scene));
      expect(hit.takenOver).toBeGreaterThan(40);
      expect(hit.servedMs).toBeLessThan(3000 + 1500); // the half second, and what a busy machine adds; chaos counts
    });
  });

  it("9, 37: keeps every promise when a process is stopped for longer than its lease", async () => {
    await withLoad(async (scene) => {
      const hit = say("SIGSTOP", await stop(scene));
      expect(hit.takenOver).toBeGreaterThan(40);
    });
  });

  it("15, 17: goes on without NATS, and without the database for longer than the lease, and fences nobody", async () => {
    await withLoad(async (scene) => {
      say("NATS restart", await restartNats(scene));
      say("MariaDB restart", await restartMysql({ ...scene, random: () => 0.9 }));
    });
    expect(fleet.nodes.map(({ pid }) => pid === undefined)).toEqual([false, false, false]);
  });

  it("32, 34: restarts node by node without a request that one retry does not hide", async () => {
    await withLoad(async (scene) => {
      expect(await rollingRestart(scene)).toBe(0);
    });
  });

  it("14: ends a process whose name another one takes, with code 4", async () => {
    const [a] = fleet.nodes;
    const twin = a!.twin();
    await twin.start();
    await until("the older one ends", 10_000, async () => a!.pid === undefined);
    expect(a!.ended).toBe("4");
    twin.signal("SIGTERM");
    await twin.gone();
    expect(twin.ended).toBe("0");
    await a!.start();
    await fleet.settled(60, 15_000);
    await delay(100);
  });
});
