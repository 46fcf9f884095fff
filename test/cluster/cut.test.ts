/**
 * One of three nodes cut off from NATS, from the database, from both (reliability 9): lines that a test can cut stand
 * between each node and the servers.
 */
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { shardOf } from "../../src/core/shard.js";
import { whenAtWork } from "../chaos/faults.js";
import { available } from "../servers.js";
import { type Bank, openBank } from "./bank.js";
import { type Fleet, startFleet, until } from "./fleet.js";
import { judgeAll, startLoad, statusOf } from "./load.js";
import { type CutLine, startProxy } from "./proxy.js";

const isThere = (await available("mysql")) && (await available("nats"));

describe.runIf(isThere)("a node that is cut off", () => {
  let fleet: Fleet;
  let bank: Bank;
  const lines = new Map<string, { readonly mysql: CutLine; readonly nats: CutLine }>();
  let nth = 0;

  beforeAll(async () => {
    bank = await openBank(Math.random);
    fleet = await startFleet({
      names: ["a", "b", "c"],
      leaseMs: 3000,
      lines: async (name, servers) => {
        const line = { mysql: await startProxy(servers.mysql), nats: await startProxy(servers.nats) };
        lines.set(name, line);
        return { mysql: line.mysql.port, nats: line.nats.port };
      },
    });
  });
  afterAll(async () => {
    await fleet?.close();
    await bank?.close();
    for (const { mysql, nats } of lines.values()) await Promise.all([mysql.close(), nats.close()]);
  });

  const nodeOf = (name: string) => fleet.nodes.find((node) => node.name === name)!;

  /**
   * A transfer of a shard of `owner`, submitted at `at` as a client does: a refusal that says "again" is taken at its
   * word, once. Resolves to its HTTP status and what the answer said.
   */
  const submit = async (at: string, owner: string) => {
    const { owners } = await fleet.shares();
    let gid = "";
    do gid = `cut-${nth++}`;
    while (owners.get(shardOf(gid)) !== owner);
    const body = JSON.stringify({ ...bank.transfer(gid, 1), wait_result: true });
    const post = async () => {
      const answer = await fetch(`${nodeOf(at).http}/api/dtmsvr/submit`, { method: "POST", body });
      return { gid, status: answer.status, said: await answer.text(), again: answer.headers.get("retry-after") };
    };
    const first = await post();
    if (first.again === null) return first;
    process.stdout.write(`${at} asks ${owner}: ${first.status} ${first.said}\n`);
    await delay(Number(first.again) * 1000);
    return post();
  };

  /** Cuts while b works for clients of all nodes, and follows what was acknowledged to its end. */
  const underLoad = async (work: (busy: number) => Promise<void>) => {
    const load = startLoad(fleet, bank, 4, Math.random, `cut-load-${nth++}-`);
    try {
      const scene = { fleet, bank, load, leaseMs: 3000, random: Math.random };
      const busy = await whenAtWork(scene, nodeOf("b"));
      expect(busy).toBeGreaterThan(0);
      await work(busy);
      await until("20 transfers acknowledged", 30_000, async () => load.acknowledged.size > 20);
    } finally {
      await load.stop();
    }
    expect(await judgeAll(fleet, bank, load, 60_000)).toEqual([]);
  };

  it("15: from NATS alone: owners stay, requests go directly both ways", async () => {
    const before = [...(await fleet.shares()).owners];
    await underLoad(async (busy) => {
      lines.get("b")!.nats.cut();
      process.stdout.write(`cut off from NATS: ${busy} transfers at work\n`);
      for (const [at, owner] of [
        ["a", "b"],
        ["b", "a"],
        ["b", "b"],
        ["b", "c"],
        ["c", "b"],
      ] as const) {
        const { gid, status } = await submit(at, owner);
        expect(status, `${at} asks ${owner}`).toBe(200);
        expect(bank.judge(gid, "succeed")).toBe("");
      }
      expect([...(await fleet.shares()).owners]).toEqual(before);
      lines.get("b")!.nats.heal();
    });
  });

  for (const [words, both] of [
    ["16: from the database alone", false],
    ["from both", true],
  ] as const)
    it(`${words}: it stands still, the others take over, and it joins again when it can`, async () => {
      await underLoad(async (busy) => {
        lines.get("b")!.mysql.cut();
        if (both) lines.get("b")!.nats.cut();
        process.stdout.write(`cut off ${words}: ${busy} transfers at work\n`);
        await until("b has nothing left", 6000, async () => {
          const { owners, orphans } = await fleet.shares();
          return orphans === 0 && ![...owners.values()].includes("b");
        });
        expect((await fetch(`${nodeOf("b").http}/readyz`)).status).toBe(503);
        const { gid, status, said } = await submit("a", "c");
        expect(status, said).toBe(200);
        expect(await statusOf(nodeOf("c"), gid)).toBe("succeed");
        lines.get("b")!.mysql.heal();
        lines.get("b")!.nats.heal();
        await fleet.settled(60, 20_000);
      });
      const { status, said } = await submit("b", "b");
      expect(status, said).toBe(200);
      expect(nodeOf("b").pid).toBeDefined();
    });
});
