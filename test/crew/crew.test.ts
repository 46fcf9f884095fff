/**
 * Several engines behind the face of one, on virtual time: what the node's main thread and its engines owe each other.
 */
import { describe, expect, it } from "vitest";
import { type Order, type Report, Talk } from "../../cluster/crew/messages.js";
import type { Reply } from "../../src/core/input.js";
import { shardOf } from "../../src/core/shard.js";
import { saga } from "../engine/harness.js";
import { allShards, type CrewNode, crewNode, engines, gidOf, meanwhile } from "./node.js";

const url = "http://a.test/pay";
const [even, odd] = [gidOf(0), gidOf(1)];

const submit = (waitResult = false) => ({ kind: "submit", submission: saga([url], { waitResult }) }) as const;

async function working(): Promise<CrewNode> {
  const node = await crewNode();
  node.own(allShards, 1);
  await node.clock.advance(10);
  return node;
}

async function statusOf(node: CrewNode, gid: string): Promise<string | undefined> {
  const reply = await meanwhile(node, node.crew.handle(gid, { kind: "query" }));
  return reply.kind === "transaction" ? reply.transaction?.status : reply.kind === "refused" ? reply.code : reply.kind;
}

/** A call that is answered when the test says so. */
function answersLater(node: CrewNode): () => void {
  let answer = () => {};
  node.participants.script = () =>
    new Promise((resolve) => {
      answer = () => resolve({ outcome: "success", detail: "" });
    });
  return () => answer();
}

describe("a request", () => {
  it("is carried out by the engine of its shard, and answered with what that says", async () => {
    const node = await working();
    for (const gid of [even, odd]) {
      expect(await meanwhile(node, node.crew.handle(gid, submit()))).toMatchObject({ kind: "accepted" });
      await node.clock.advance(100);
      expect(await statusOf(node, gid)).toBe("succeed");
    }
    expect(node.participants.of(even)).toEqual(["action 01"]);
    expect(new Set(node.commits)).toEqual(new Set([`0 ${shardOf(even)}`, `1 ${shardOf(odd)}`]));
    const stranger = await meanwhile(node, node.crew.stored("nobody"));
    expect(stranger).toEqual({ kind: "transaction", transaction: undefined });
  });

  it("is told to ask elsewhere until the engine has been told of its shard", async () => {
    const node = await crewNode();
    node.delayMs = 20;
    expect(await meanwhile(node, node.crew.handle(even, submit()))).toMatchObject({ code: "NOT_OWNER" });
    node.own(allShards, 1);
    const asked = node.crew.handle(even, submit()); // overtakes nothing that was said before
    expect(await meanwhile(node, asked)).toMatchObject({ kind: "accepted" });
  });

  it("brings its payload to the participant byte by byte", async () => {
    const node = await working();
    const payload = new Uint8Array([0, 255, 195, 40, 10]);
    const steps = [{ action: url, compensate: "", payload }];
    await meanwhile(node, node.crew.handle(odd, { kind: "submit", submission: { ...saga([]), steps } }));
    await node.clock.advance(100);
    expect([...node.participants.calls[0]!.payload!]).toEqual([...payload]);
  });

  it("that meets a bug is answered, and the engine goes on", async () => {
    const node = await working();
    const talk = new Talk<Order, Report>(node.channels[0]!, (task) => task(), node.clock);
    const heard: Report[] = [];
    talk.hear((report) => heard.push(report));
    talk.say({ kind: "request", id: 77, gid: null as unknown as string, request: submit(), cancellable: false });
    await node.clock.advance(10);
    expect(heard).toMatchObject([
      { kind: "log", level: "error", event: "request_failed" },
      { kind: "reply", id: 77, reply: { kind: "refused", code: "INTERNAL" } },
    ]);
  });

  it("is not waited for by the engine any more when its caller has left", async () => {
    const node = await working();
    answersLater(node);
    const leaves = new AbortController();
    const early = new AbortController();
    early.abort();
    const asked = node.crew.handle(even, submit(true), leaves.signal);
    await node.clock.advance(1000);
    const waited: Reply[] = [];
    void asked.then((reply) => waited.push(reply));
    await node.clock.advance(1000);
    expect(waited).toEqual([]);
    leaves.abort();
    await node.clock.advance(10);
    expect(waited).toHaveLength(1);
    const gone = await meanwhile(node, node.crew.handle(odd, submit(true), early.signal), 1000);
    expect(gone.kind).toBe("refused");
    expect(await statusOf(node, even)).toBe("submitted"); // what was accepted goes on
  });
});

describe("shards", () => {
  it("that are gained bring back their transactions", async () => {
    const node = await working();
    answersLater(node);
    await meanwhile(node, node.crew.handle(even, submit()));
    node.keeper.epochs.clear();
    node.crew.lost(new Set(allShards));
    await node.clock.advance(100);
    node.participants.script = undefined;
    node.own(allShards, 2);
    await node.clock.advance(1000);
    expect(await statusOf(node, even)).toBe("succeed");
  });

  it("that are lost end the work on them at once, and those who wait are told to ask again", async () => {
    const node = await working();
    answersLater(node);
    const asked = [even, odd].map((gid) => node.crew.handle(gid, submit(true)));
    await node.clock.advance(50);
    node.crew.lost(new Set([shardOf(even)]));
    expect(await meanwhile(node, asked[0]!)).toMatchObject({ kind: "refused", code: "UNAVAILABLE" });
    expect(await statusOf(node, even)).toBe("NOT_OWNER");
    expect(await statusOf(node, odd)).toBe("submitted");
  });

  it("are drained when every engine has drained its part", async () => {
    const node = await working();
    const answer = answersLater(node);
    await meanwhile(node, node.crew.handle(odd, submit()));
    await node.clock.advance(10);
    let drained = false;
    void node.crew.drain(new Set([shardOf(even), shardOf(odd)]), 5000).then(() => {
      drained = true;
    });
    await node.clock.advance(1000);
    expect(drained).toBe(false);
    answer();
    await node.clock.advance(1000);
    expect(drained).toBe(true);
    expect(await statusOf(node, odd)).toBe("NOT_OWNER"); // shut until it is lost
    await meanwhile(node, node.crew.drain(new Set(), 5000), 10);
  });

  it("that the store refuses are given up, and the keeper hears of it", async () => {
    const node = await working();
    const shard = shardOf(even);
    node.own([shard], 2); // the store and the keeper, and then somebody else
    await node.clock.advance(10);
    node.keeper.epochs.set(shard, 2);
    const other = new Map([[shard, 3]]);
    node.store.commit = async (batch) => batch.map((c) => ((other.get(c.shard) ?? 1) === c.epoch ? "ok" : "fenced"));
    expect(await meanwhile(node, node.crew.handle(even, submit()))).toMatchObject({ code: "NOT_OWNER" });
    expect(node.keeper.told).toEqual([`lost ${shard} at 2`]);
  });

  it("that the store refused and the keeper has raised meanwhile bring back their transactions", async () => {
    const node = await working();
    const shard = shardOf(even);
    answersLater(node);
    await meanwhile(node, node.crew.handle(even, submit()));
    await node.clock.advance(20);
    const commit = node.store.commit.bind(node.store);
    node.store.commit = async (batch) => batch.map(() => "fenced");
    await meanwhile(node, node.crew.handle(even, { kind: "park", by: "o", reason: "" }));
    expect(node.keeper.told).toEqual([`lost ${shard} at 1`]);
    node.store.commit = commit;
    node.participants.script = undefined;
    node.keeper.epochs.set(shard, 2);
    node.own([shard], 2);
    await node.clock.advance(5000);
    expect(await statusOf(node, even)).toBe("succeed");
  });

  it("whose epochs an engine has raised itself are told to the keeper, and stay in use", async () => {
    const node = await working();
    const shard = shardOf(odd);
    node.writers[1]!.bumped([{ shard, epoch: 2, owner: "n", incarnation: 1 }]);
    node.crew.raised(); // the keeper knows of 1 only
    await node.clock.advance(10);
    expect(node.keeper.told).toEqual([`bumped ${shard} to 2`]);
    const seen: number[] = [];
    node.store.commit = async (batch) => batch.map(({ epoch }) => (seen.push(epoch) > 0 ? "ok" : "fenced"));
    await meanwhile(node, node.crew.handle(odd, submit()));
    expect(seen[0]).toBe(2);
  });

  it("of an earlier incarnation are not worked on under the lease of the next one", async () => {
    const node = await working();
    const answer = answersLater(node);
    await meanwhile(node, node.crew.handle(even, submit()));
    await node.clock.advance(50);
    const sent = node.commits.length;
    node.delayMs = 300; // that they are lost is on its way
    node.crew.leased(Number.NEGATIVE_INFINITY);
    node.keeper.epochs.clear();
    node.crew.lost(new Set(allShards));
    node.keeper.incarnation = 2;
    node.crew.leased(node.clock.monotonicMs() + 3000);
    answer();
    await node.clock.advance(200);
    expect(node.commits).toHaveLength(sent);
    await node.clock.advance(2000);
    expect(node.writers.map((writer) => writer.incarnation())).toEqual([2, 2]);
  });
});

describe("the lease", () => {
  it("is known to every engine without a message: nothing is called or written when it is over", async () => {
    const node = await working();
    const answer = answersLater(node);
    await meanwhile(node, node.crew.handle(even, submit()));
    await node.clock.advance(50);
    node.crew.leased(Number.NEGATIVE_INFINITY);
    const [sent, calls] = [node.commits.length, node.participants.calls.length];
    answer();
    const refused = await meanwhile(node, node.crew.handle(odd, submit()));
    expect(refused).toMatchObject({ kind: "refused", code: "UNAVAILABLE" });
    await node.clock.advance(500);
    expect(node.commits).toHaveLength(sent);
    expect(node.participants.calls).toHaveLength(calls);
    node.participants.script = undefined;
    node.crew.leased(node.clock.monotonicMs() + 3_600_000);
    await node.clock.advance(2000);
    expect(await statusOf(node, even)).toBe("succeed");
    expect(await meanwhile(node, node.crew.handle(odd, submit()))).toMatchObject({ kind: "accepted" });
  });

  it("comes with the format in which is written, and the store's time is that of the keeper", async () => {
    const node = await working();
    expect(node.shared.format).toBe(2);
    node.crew.ahead(5_000_000);
    await meanwhile(node, node.crew.handle(even, submit()));
    const [stored] = await node.store.load([even]);
    expect(stored?.tx.createdAtMs).toBeGreaterThanOrEqual(5_000_000);
    expect(stored?.tx.createdAtMs).toBeLessThan(5_001_000);
  });
});

describe("connections", () => {
  it("write when the node has noted them, or are told why they may not", async () => {
    const node = await working();
    node.unwelcome.add(8);
    const welcome = node.writers[0]!.enlist(7);
    const unwelcome = expect(node.writers[1]!.enlist(8)).rejects.toThrow("connection 8 is not welcome");
    await meanwhile(node, welcome);
    await meanwhile(node, unwelcome);
    node.writers[0]!.dismiss(7);
    await node.clock.advance(10);
    expect(node.enlisted).toEqual(["+7", "+8", "-7"]);
  });

  it("that have met a store of the past bring the node down", async () => {
    const node = await working();
    node.writers[1]!.regressed("gid g1");
    await node.clock.advance(10);
    expect(node.keeper.told).toEqual(["regressed gid g1"]);
  });
});

describe("the end", () => {
  it("leaves nobody without an answer: who still waits is told to ask again", async () => {
    const node = await working();
    answersLater(node);
    const asked = [even, odd].map((gid) => node.crew.handle(gid, submit(true)));
    await node.clock.advance(50);
    node.store.load = () => new Promise(() => {});
    const reading = node.crew.stored(even);
    const closed = node.crew.close(100);
    const late = node.crew.handle(gidOf(0, 5), submit());
    await meanwhile(node, closed);
    const replies = await meanwhile(node, Promise.all([...asked, reading, late, node.crew.handle(odd, submit())]), 10);
    for (const reply of replies) expect(reply).toMatchObject({ kind: "refused", code: "UNAVAILABLE" });
    expect(await meanwhile(node, node.crew.stored(odd), 10)).toMatchObject({ code: "UNAVAILABLE" });
    expect(await meanwhile(node, Promise.resolve(node.crew.targets.list()), 10)).toEqual([]);
  });

  it("is over when the calls on the wire are, and what they brought is durable", async () => {
    const node = await working();
    const answer = answersLater(node);
    await meanwhile(node, node.crew.handle(odd, submit()));
    await node.clock.advance(10);
    let closed = false;
    void node.crew.close(5000).then(() => {
      closed = true;
    });
    await node.clock.advance(1000);
    expect(closed).toBe(false);
    answer();
    await node.clock.advance(1000);
    expect(closed).toBe(true);
    expect((await node.store.load([odd]))[0]?.tx.status).toBe("succeed");
  });
});

describe("an engine that hangs", () => {
  it("is not waited for for ever: the end says so, and comes", async () => {
    const node = await working();
    node.delayMs = 3_600_000; // nothing that is said arrives
    let closed = false;
    void node.crew.close(100).then(() => {
      closed = true;
    });
    await node.clock.advance(15_000);
    expect(closed).toBe(false);
    await node.clock.advance(200);
    expect(closed).toBe(true);
    expect(node.heard.some((line) => line.startsWith("error engines_hang"))).toBe(true);
  });
});

describe("what is seen of a crew", () => {
  it("are the sums of its engines, recovering until each of them has begun", async () => {
    const node = await working();
    expect(node.crew.stats().recovering).toBe(true);
    node.crew.start();
    await node.clock.advance(500);
    expect(node.crew.stats().recovering).toBe(false);
    answersLater(node);
    for (const gid of [even, odd, gidOf(1, 1)]) await meanwhile(node, node.crew.handle(gid, submit()));
    await node.clock.advance(200);
    expect(node.crew.stats()).toMatchObject({ resident: 3, callsInFlight: 3 });
    const targets = await meanwhile(node, Promise.resolve(node.crew.targets.list()));
    expect(targets).toHaveLength(1);
    expect(targets[0]).toMatchObject({ target: url, inFlight: 3 });
  });

  it("is told to log and observer as one engine would tell it", async () => {
    const node = await working();
    node.crew.start();
    await node.clock.advance(10);
    node.participants.script = () => ({ outcome: "success", detail: "done" });
    await meanwhile(node, node.crew.handle(even, submit()));
    node.participants.script = () => "unknown";
    await meanwhile(node, node.crew.handle(odd, submit()));
    await node.clock.advance(120_000);
    for (const words of [
      ...[`called ${even} action ${url} success done`, "finished saga succeed", "flushed 1"],
      ...[`called ${odd} action ${url} unknown unknown`, `stuck ${odd}`],
    ])
      expect(node.heard).toContain(words);
    expect(node.heard).toContain("engine 0 calls from n:1");
    expect(engines).toBe(2);
  });

  it("are lines of the log with their fields", async () => {
    const node = await working();
    node.store.faults.refusedGids.add(odd);
    await meanwhile(node, node.crew.handle(odd, submit()));
    await node.clock.advance(10);
    expect(node.heard.filter((line) => line.startsWith("error commit_refused"))).toHaveLength(1);
    expect(node.heard).toContain(`error transaction_isolated {"gid":"${odd}"}`);
  });
});
