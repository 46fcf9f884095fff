/**
 * Crash and race scenarios of several nodes, on virtual time. A name begins with the number of its row in the table of
 * scenarios.
 */
import { describe, expect, it } from "vitest";
import type { Submission } from "../../src/core/input.js";
import { shardOf } from "../../src/core/shard.js";
import { JoinRefused, type Sight } from "../../src/ports/leases.js";
import { StoreUnavailable } from "../../src/ports/store.js";
import { saga } from "../engine/harness.js";
import {
  ask,
  type Cluster,
  cluster,
  expectOneWriter,
  gidOf,
  meanwhile,
  owned,
  ownedByAll,
  settled,
  submit,
  until,
} from "./members.js";

const one = (url = "http://p.test/x") => submit(saga([url]));

async function statusOf(c: Cluster, at: string, gid: string): Promise<string | undefined> {
  const reply = await ask(c, at, gid, { kind: "query" });
  return reply.kind === "transaction" ? reply.transaction?.status : `${reply.kind} ${JSON.stringify(reply)}`;
}

async function ends(c: Cluster, at: string, gid: string, status: string, atMostMs = 60_000): Promise<void> {
  for (let ms = 0; ms < atMostMs; ms += 200) {
    if ((await statusOf(c, at, gid)) === status) return;
    await c.clock.advance(200);
  }
  throw new Error(`${gid} is ${await statusOf(c, at, gid)}, not ${status}: ${c.log.join("; ")}`);
}

describe("a node that stops, dies or comes back", () => {
  it("9, 37: a process stopped for longer than its lease writes nothing when it goes on, drops its shards and rejoins", async () => {
    const c = await settled(["a", "b"]);
    const gid = gidOf(c, "b");
    c.participants.scripts.set("http://p.test/x", (_, nth) => {
      if (nth === 0) c.stop("b");
      return "success";
    });
    expect(await ask(c, "a", gid, one())).toMatchObject({ kind: "accepted" });
    await until(c, "a owns everything", () => c.at("a").keeper.owned.size === 256);
    const before = c.commits.length;
    c.go("b");
    await ends(c, "a", gid, "succeed");
    await until(c, "b has its share again", () => c.at("b").keeper.owned.size > 60);
    expect(c.log.filter((line) => line === "b fenced")).toHaveLength(1);
    expect(c.commits.slice(before).filter(({ node, epoch }) => node === "b" && epoch < 2)).toEqual([]);
    expectOneWriter(c);
  });

  it("9: a commit that was under way when its node was fenced is refused by the store", async () => {
    const c = await settled(["a", "b"]);
    const gid = gidOf(c, "b");
    c.commitDelayMs.set("b", 6000);
    const waiting = c.at("b").coordinator.handle(gid, one());
    await c.clock.advance(10);
    c.storeCut.add("b");
    await until(c, "a owns everything", () => c.at("a").keeper.owned.size === 256, 5000);
    c.storeCut.delete("b");
    await meanwhile(c, waiting);
    c.commitDelayMs.clear();
    expect(c.commits.filter(({ node }) => node === "b")).toEqual([]);
    expect(await ask(c, "b", gid, one())).toMatchObject({ kind: "accepted" });
    await ends(c, "a", gid, "succeed");
    expectOneWriter(c);
  });

  it("11, 25: a call that a stopped owner had decided lands late, and its success is ignored", async () => {
    const c = await settled(["a", "b"]);
    const gid = gidOf(c, "b");
    const first = "http://p.test/first";
    c.participants.scripts.set("http://p.test/second", () => "failure");
    const locate = c.participants.locate.bind(c.participants);
    c.participants.locate = (protocol, url) => {
      if (url === first && c.participants.of(gid).length === 0) c.stop("b"); // decided, not yet on the wire
      return locate(protocol, url);
    };
    void c.at("b").coordinator.handle(gid, submit(saga([first, "http://p.test/second"])));
    await until(c, "a owns everything", () => c.at("a").keeper.owned.size === 256);
    await ends(c, "a", gid, "failed");
    const byA = c.participants.of(gid);
    expect(byA).toEqual(["action 01", "action 02", "compensate 02", "compensate 01"]);
    c.go("b");
    await c.clock.advance(3000);
    expect(await statusOf(c, "b", gid)).toBe("failed");
    expect(c.participants.of(gid)).toEqual([...byA, "action 01"]);
    expectOneWriter(c);
  });

  it("12: of two nodes that see a lease run out one fences, and every shard gets one owner", async () => {
    const c = await settled(["a", "b", "c"]);
    const won: string[] = [];
    c.after = (node, method, result) => {
      if (method === "fence" && result === true) won.push(node);
      return result;
    };
    c.kill("c");
    await until(c, "all shards are served", () => ownedByAll(c) === 256, 3600);
    expect(won).toHaveLength(1);
    for (const shard of c.at("a").keeper.owned.keys()) expect(c.at("b").keeper.owned.has(shard)).toBe(false);
  });

  it("13: a node that dies right after its claim is followed by another", async () => {
    const c = await settled(["a", "b", "c"]);
    c.after = (node, method, result) => {
      if (node === "b" && method === "claim" && (result as unknown[]).length > 0) c.kill("b");
      return result;
    };
    c.kill("c");
    await until(c, "a owns everything", () => c.at("a").keeper.owned.size === 256, 12_000);
    expect(c.members.has("b")).toBe(false);
  });

  it("14: a process restarted under its name inside its lease has its shards again at once", async () => {
    const c = await settled(["a", "b"]);
    const share = c.at("b").keeper.owned.size;
    const gid = gidOf(c, "b");
    c.participants.scripts.set("http://p.test/x", (_, nth) => (nth === 0 ? new Promise(() => {}) : "success"));
    await ask(c, "a", gid, one());
    c.kill("b");
    await c.join("b");
    expect(c.at("b").keeper.owned.size).toBe(share);
    await ends(c, "a", gid, "succeed");
    expect(c.log.filter((line) => line.includes("peer_dead"))).toEqual([]);
    expectOneWriter(c);
  });

  it("14: a process whose name has been taken by another ends and never fights back", async () => {
    const c = await settled(["a", "b"]);
    c.stop("b");
    const old = c.at("b");
    await c.join("b");
    const fresh = c.at("b");
    expect(fresh.keeper.incarnation).toBe(old.keeper.incarnation + 1);
    await c.clock.advance(1000);
    expect(fresh.keeper.owned.size).toBeGreaterThan(60);
    expect(c.log.filter((line) => line.includes("fell"))).toEqual([]);
  });

  it("14: two processes of one name: the older one falls as usurped", async () => {
    const c = await settled(["a"]);
    const old = c.at("a");
    await c.join("a");
    await c.clock.advance(2000);
    expect(c.log).toContain("a fell: usurped");
    expect(old.keeper.owned.size).toBe(0);
    expect(c.at("a").keeper.owned.size).toBe(256);
  });

  it("takes no incarnation of its own for another's while it joins again, also when the answer of the join is lost", async () => {
    const c = await settled(["a", "b"]);
    let lost = 0;
    c.after = (node, method, result) => {
      if (node === "b" && method === "join" && lost++ < 3) throw new StoreUnavailable("the answer is lost");
      return result;
    };
    c.stop("b");
    await until(c, "a owns everything", () => c.at("a").keeper.owned.size === 256);
    c.go("b");
    await until(c, "b has found itself fenced", () => c.log.includes("b fenced"));
    await until(c, "b has its share again", () => c.at("b").keeper.owned.size > 60);
    expect(lost).toBeGreaterThan(3);
    expect(c.log.filter((line) => line.includes("fell"))).toEqual([]);
  });

  it("ends a process that may not join again because the others write a format that it does not know", async () => {
    const c = await settled(["a", "b"]);
    c.after = (node, method, result) => {
      if (node === "b" && method === "join") throw new JoinRefused("the nodes of this database write format 2");
      return result;
    };
    c.stop("b");
    await until(c, "a owns everything", () => c.at("a").keeper.owned.size === 256);
    c.go("b");
    await until(c, "b has ended", () => c.log.includes("b fell: outdated"));
    await c.clock.advance(10_000);
    expect(c.at("a").keeper.owned.size).toBe(256);
    expectOneWriter(c);
  });

  it("fences nobody when all processes were paused together", async () => {
    const c = await settled(["a", "b", "c"]);
    const before = owned(c);
    for (const name of ["a", "b", "c"]) c.stop(name);
    await c.clock.advance(10_000);
    for (const name of ["a", "b", "c"]) c.go(name);
    await c.clock.advance(5000);
    expect(owned(c)).toEqual(before);
    expect(c.log.filter((line) => line.includes("peer_dead"))).toEqual([]);
  });

  it("18: a store that shows an older epoch than before has lost commits, and its node ends", async () => {
    const c = await settled(["a"]);
    c.after = (_node, method, result) => {
      if (method !== "renew") return result;
      const sight = result as Sight;
      return { ...sight, shards: sight.shards.map((row) => ({ ...row, epoch: 0, owner: "" })) };
    };
    await c.clock.advance(1500);
    expect(c.log).toContain("a fell: regressed");
  });
});

describe("a network or a clock that misbehaves", () => {
  it("15: nodes that do not hear one another keep their shards and go on with them", async () => {
    const c = await settled(["a", "b"]);
    const before = owned(c);
    c.cut.add("a b");
    await ask(c, "a", gidOf(c, "a"), one());
    await ask(c, "b", gidOf(c, "b"), one());
    await ends(c, "a", gidOf(c, "a"), "succeed");
    await ends(c, "b", gidOf(c, "b"), "succeed");
    await c.clock.advance(10_000);
    expect(owned(c)).toEqual(before);
    expect(await ask(c, "a", gidOf(c, "b", 1), one())).toMatchObject({ code: "UNAVAILABLE", retryAfterS: 1 });
  });

  it("16: a node cut off from the store starts no call after its own deadline, and others take over", async () => {
    const c = await settled(["a", "b"]);
    const gid = gidOf(c, "b");
    const onlyB = c.at("b");
    c.participants.scripts.set("http://p.test/x", () => "ongoing");
    await ask(c, "b", gid, submit(saga(["http://p.test/x"], { retryIntervalS: 1 })));
    c.storeCut.add("b");
    c.cut.add("a b");
    await c.clock.advance(3001);
    expect(onlyB.keeper.suspended).toBe(true);
    expect(onlyB.engine.stats().callsInFlight).toBe(0);
    expect(await ask(c, "b", gidOf(c, "b", 1), { kind: "query" })).toMatchObject({ code: "UNAVAILABLE" });
    await until(c, "a owns everything", () => c.at("a").keeper.owned.size === 256, 1000);
    c.participants.scripts.set("http://p.test/x", () => "success");
    await ends(c, "a", gid, "succeed");
    c.storeCut.delete("b");
    c.cut.clear();
    await until(c, "b has its share again", () => c.at("b").keeper.owned.size > 60);
    expectOneWriter(c);
  });

  it("16: what is asked elsewhere for a node that is cut off from the store waits for its follower", async () => {
    const c = await settled(["a", "b"]);
    c.storeCut.add("b");
    await until(c, "b stands still", () => c.at("b").keeper.suspended, 4000);
    expect(c.at("a").keeper.owned.size).toBeLessThan(256);
    expect(await ask(c, "a", gidOf(c, "b"), one())).toMatchObject({ kind: "accepted" });
    expect(c.at("a").keeper.owned.size).toBe(256);
    expectOneWriter(c);
  });

  it("19: wall clocks an hour wrong, or jumping, change neither leases nor the time of a retry", async () => {
    const c = cluster();
    let errorMs = 3_600_000;
    await c.join("a", { wallErrorMs: () => -errorMs });
    await c.join("b", { wallErrorMs: () => errorMs });
    await c.clock.advance(9000);
    const gid = gidOf(c, "b");
    c.participants.scripts.set("http://p.test/x", (_, nth) => (nth === 0 ? "ongoing" : "success"));
    await ask(c, "b", gid, one());
    errorMs = 7_200_000;
    await c.clock.advance(1000);
    expect(c.log.filter((line) => line.includes("peer_dead") || line.includes("suspended"))).toEqual([]);
    c.kill("b");
    await ends(c, "a", gid, "succeed", 14_000);
  });

  it("19: a jump of the store's clock fences nobody", async () => {
    const c = await settled(["a", "b"]);
    const before = owned(c);
    c.storeAheadMs = 3_600_000;
    await c.clock.advance(10_000);
    expect(owned(c)).toEqual(before);
    expect(c.log.filter((line) => line.includes("peer_dead"))).toEqual([]);
  });

  it("20: a doubled request makes one transaction, and both answers are equal", async () => {
    const c = await settled(["a", "b"]);
    c.weather = () => [1, 3, 40];
    const gid = gidOf(c, "b");
    expect(await ask(c, "a", gid, one())).toMatchObject({ kind: "accepted" });
    expect(await ask(c, "a", gid, one())).toMatchObject({ kind: "accepted" });
    await ends(c, "a", gid, "succeed");
    expect(c.participants.of(gid)).toEqual(["action 01"]);
  });

  it("21: when the reply is lost the same request is asked again and answered as the first", async () => {
    const c = await settled(["a", "b"]);
    let lost = 0;
    c.weather = (from) => (from === "b" && lost++ < 1 ? [] : [1]);
    const gid = gidOf(c, "b");
    expect(await ask(c, "a", gid, one())).toMatchObject({ kind: "accepted" });
    expect(lost).toBeGreaterThan(1);
    await ends(c, "a", gid, "succeed");
    expect(c.participants.of(gid)).toEqual(["action 01"]);
  });

  it("22: a registerBranch that arrives after the submit is refused and changes nothing", async () => {
    const c = await settled(["a", "b"]);
    const gid = gidOf(c, "b");
    const tcc: Submission = { ...saga([]), type: "tcc", digest: "tcc" };
    const branch = (branchId: string) =>
      ({
        kind: "registerBranch",
        registration: {
          type: "tcc",
          branchId,
          ops: [
            { op: "cancel", url: "http://p.test/cancel", status: "prepared" },
            { op: "confirm", url: "http://p.test/confirm", status: "prepared" },
          ],
          payload: Buffer.from("{}"),
          executorId: undefined,
        },
      }) as const;
    await ask(c, "a", gid, { kind: "prepare", submission: tcc });
    await ask(c, "a", gid, branch("01"));
    await ask(c, "a", gid, submit(tcc));
    expect(await ask(c, "a", gid, branch("02"))).toMatchObject({ kind: "refused", code: "REFUSED" });
    await ends(c, "a", gid, "succeed");
    expect(c.participants.of(gid)).toEqual(["confirm 01"]);
  });

  it("23: a node with a wrong picture of the owners is told so, looks and finds the right one", async () => {
    const c = await settled(["a", "b", "c"]);
    const gid = gidOf(c, "b");
    c.at("a").view.learn([{ shard: shardOf(gid), epoch: 1_000_000, owner: "c", incarnation: 1 }]);
    expect(await ask(c, "a", gid, one())).toMatchObject({ kind: "accepted" });
    await ends(c, "c", gid, "succeed");
    expect(c.participants.of(gid)).toEqual(["action 01"]);
  });

  it("24: a request for a shard that nobody can own waits a bounded time, then is refused", async () => {
    const c = await settled(["a", "b"]);
    const gid = gidOf(c, "b");
    c.kill("b");
    c.storeCut.add("a");
    const startedMs = c.clock.nowMs();
    expect(await ask(c, "a", gid, one())).toMatchObject({ code: "UNAVAILABLE", retryAfterS: 1 });
    const tookMs = c.clock.nowMs() - startedMs;
    expect(tookMs).toBeGreaterThan(3900);
    expect(tookMs).toBeLessThan(6000);
  });

  it("loses and doubles no transaction when messages are lost, doubled, late and out of order", async () => {
    const c = await settled(["a", "b", "c"]);
    let seed = 7;
    const random = () => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed / 2_147_483_647;
    };
    let lost = 0;
    let doubled = 0;
    c.weather = () => {
      const luck = random();
      if (luck < 0.25) lost++;
      else if (luck < 0.5) doubled++;
      return luck < 0.25 ? [] : luck < 0.5 ? [random() * 300, random() * 300] : [random() * 50];
    };
    const names = ["a", "b", "c"];
    for (let i = 0; i < 60; i++) {
      for (let tries = 0; ; tries++) {
        const reply = await ask(c, names[i % 3]!, `m${i}`, submit(saga([`http://p.test/${i}`], { waitResult: true })));
        if (reply.kind === "accepted") break;
        expect(reply).toMatchObject({ code: "UNAVAILABLE" });
        expect(tries).toBeLessThan(5);
      }
      expect(c.participants.of(`m${i}`)).toEqual(["action 01"]);
    }
    expect(lost).toBeGreaterThan(20);
    expect(doubled).toBeGreaterThan(20);
    expectOneWriter(c);
  });
});
