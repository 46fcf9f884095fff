/**
 * What a crew is made of, piece by piece: tenure, sums, the limits dealt out, the talk between threads, shared memory.
 */
import { describe, expect, it } from "vitest";
import { type Channel, Talk } from "../../cluster/crew/messages.js";
import { partOf } from "../../cluster/crew/part.js";
import { Shared } from "../../cluster/crew/shared.js";
import { joinStats, joinTargets, noStats } from "../../cluster/crew/sums.js";
import { Tenure } from "../../cluster/crew/tenure.js";
import type { EngineStats, TargetState } from "../../src/ports/targets.js";
import { settings, virtualClock } from "../engine/harness.js";

function tenure(nowMs = 0) {
  const fenced: string[] = [];
  const shared = new Shared(Shared.make());
  const own = new Tenure(shared, { monotonicMs: () => nowMs }, (shard, epoch) => fenced.push(`${shard} at ${epoch}`));
  return { own, shared, fenced };
}

describe("the tenure of an engine", () => {
  it("raises an epoch, and never lowers it: the engine may be ahead of the keeper", () => {
    const { own } = tenure();
    own.take([[1, 5]]);
    own.take([[1, 7]]);
    own.take([[1, 6]]);
    expect(own.epochOf(1)).toBe(7);
    expect(own.epochOf(2)).toBeUndefined();
  });

  it("gives up what the store refuses, and says so once", () => {
    const { own, fenced } = tenure();
    own.take([[1, 5]]);
    own.lost(1, 4);
    expect(own.epochOf(1)).toBe(5);
    own.lost(1, 5);
    own.lost(1, 5);
    expect(own.epochOf(1)).toBeUndefined();
    expect(fenced).toEqual(["1 at 5"]);
  });

  it("does not take up again what the store has refused, and says so to a keeper that still believes in it", () => {
    const { own, fenced } = tenure();
    own.take([[1, 5]]);
    own.lost(1, 5);
    own.take([[1, 5]]);
    expect(own.epochOf(1)).toBeUndefined();
    expect(fenced).toEqual(["1 at 5", "1 at 5"]);
    own.take([[1, 6]]);
    expect(own.epochOf(1)).toBe(6);
  });

  it("does not take up again what it was told to give up: commits under that epoch may be on their way", () => {
    const { own, fenced } = tenure();
    own.take([[1, 5]]);
    own.bumped([{ shard: 1, epoch: 6, owner: "a", incarnation: 1 }]);
    own.drop([1, 2]);
    expect(own.take([[1, 6]])).toBe(false);
    expect(own.epochOf(1)).toBeUndefined();
    expect(fenced).toEqual(["1 at 6"]);
    expect(own.take([[1, 7]])).toBe(true);
    expect(own.epochOf(1)).toBe(7);
  });

  it("tells what is new to it from what has only risen", () => {
    const { own } = tenure();
    expect(own.take([[1, 5]])).toBe(true);
    expect(own.take([[1, 6]])).toBe(false);
    own.lost(1, 6);
    expect(own.take([[1, 7]])).toBe(true);
    expect(own.take([])).toBe(false);
  });

  it("takes bumped epochs of shards that it holds, and of no others", () => {
    const { own } = tenure();
    own.take([[1, 5]]);
    own.bumped([
      { shard: 1, epoch: 6, owner: "a", incarnation: 1 },
      { shard: 2, epoch: 9, owner: "a", incarnation: 1 },
    ]);
    expect(own.epochOf(1)).toBe(6);
    expect(own.epochOf(2)).toBeUndefined();
  });

  it("lasts as long as the lease in shared memory, if that is one of its own incarnation", () => {
    const { own, shared } = tenure(1000);
    expect(own.remainingMs()).toBe(Number.NEGATIVE_INFINITY);
    own.incarnation = shared.incarnation = 1;
    shared.leaseUntilMs = 1500;
    expect(own.remainingMs()).toBe(500);
    shared.incarnation = 2;
    shared.leaseUntilMs = 4000;
    expect(own.remainingMs()).toBe(Number.NEGATIVE_INFINITY);
    own.incarnation = 2;
    expect(own.remainingMs()).toBe(3000);
  });
});

describe("the figures of several engines", () => {
  const busy: EngineStats = {
    ...{ resident: 1, residentBytes: 20, commitsQueued: 3, callsInFlight: 4, callsWaiting: 5, timers: 6 },
    ...{ overloaded: false, swamped: false, storeUnavailableMs: undefined, recovering: false },
  };

  it("are added up, and one engine's trouble is the node's", () => {
    const troubled = { ...busy, overloaded: true, swamped: true, storeUnavailableMs: 70 };
    expect(joinStats([busy, troubled, { ...busy, storeUnavailableMs: 900 }])).toEqual({
      ...{ resident: 3, residentBytes: 60, commitsQueued: 9, callsInFlight: 12, callsWaiting: 15, timers: 18 },
      ...{ overloaded: true, swamped: true, storeUnavailableMs: 900, recovering: false },
    });
    expect(joinStats([busy, busy])).toMatchObject({ overloaded: false, swamped: false, storeUnavailableMs: undefined });
  });

  it("say that the node is recovering until every engine has spoken", () => {
    expect(joinStats([busy, noStats]).recovering).toBe(true);
  });

  it("have one entry for a participant that several call: the worst that is known of it", () => {
    const target: TargetState = {
      ...{ origin: "http://a", target: "http://a/x", breaker: "closed", inFlight: 1, waiting: 2 },
      ...{ openUntilMs: undefined, unknownsInRow: 0, lastError: "" },
    };
    const open = { ...target, breaker: "open", unknownsInRow: 9, lastError: "refused" } as const;
    const probing = { ...target, breaker: "probing", unknownsInRow: 3 } as const;
    const other = { ...target, target: "http://a/y" };
    const joined = joinTargets([[target, other], [open], [probing]]);
    expect(joined.map((one) => one.target)).toEqual(["http://a/x", "http://a/y"]);
    expect(joined[0]).toMatchObject({ breaker: "open", unknownsInRow: 9, lastError: "refused" });
    expect(joined[0]).toMatchObject({ inFlight: 3, waiting: 6 });
    expect(joinTargets([[open], [target]])[0]).toMatchObject({ breaker: "open" });
    expect(joinTargets([[], []])).toEqual([]);
  });
});

describe("the part of one engine", () => {
  const limitsOf = ({ dispatch, ...rest }: typeof settings) => [
    ...[rest.residentMax, rest.residentBytesMax, rest.activeMax, rest.queuedBytesMax],
    ...[dispatch.perOrigin, dispatch.perNode, dispatch.waitingPerTarget],
  ];

  it.each([1, 2, 3, 4, 7])("is such that all %i together keep to the node's limits, and use them up", (engines) => {
    const whole = limitsOf(settings);
    const parts = Array.from({ length: engines }, (_, engine) => limitsOf(partOf(settings, engine, engines)));
    const sums = whole.map((_, i) => parts.reduce((sum, part) => sum + part[i]!, 0));
    expect(sums).toEqual(whole);
  });

  it("is never nothing: each engine can do at least one thing at a time", () => {
    const narrow = { ...settings, residentMax: 2, dispatch: { ...settings.dispatch, perOrigin: 1 } };
    for (const engine of [0, 1, 2]) {
      const part = partOf(narrow, engine, 3);
      expect(part.residentMax).toBe(1);
      expect(part.dispatch.perOrigin).toBe(1);
    }
  });

  it("has the removal of what is finished in the first engine only, and all else in each", () => {
    expect(partOf(settings, 0, 3).retention).toEqual(settings.retention);
    expect(partOf(settings, 1, 3).retention).toBeUndefined();
    const { defaults, flush, waitResultMs } = partOf(settings, 2, 3);
    expect({ defaults, flush, waitResultMs }).toEqual({
      ...{ defaults: settings.defaults, flush: settings.flush, waitResultMs: settings.waitResultMs },
    });
  });
});

describe("the talk between threads", () => {
  interface Said {
    readonly n: number;
    readonly payload?: Uint8Array;
    readonly absent?: undefined;
  }

  function pair() {
    const sent: Uint8Array[] = [];
    const tasks: (() => void)[] = [];
    let handler: (bytes: Uint8Array) => void = () => {};
    const channel: Channel = {
      send: (bytes) => {
        sent.push(bytes);
        handler(bytes);
      },
      receive: (its) => {
        handler = its;
      },
    };
    const turn = () => {
      for (const task of tasks.splice(0)) task();
    };
    const clock = virtualClock();
    return { sent, turn, clock, talk: new Talk<Said, Said>(channel, (task) => tasks.push(task), clock) };
  }

  it("brings everything in order, and what is said in one turn in one message", () => {
    const { sent, turn, talk } = pair();
    const heard: number[] = [];
    talk.hear(({ n }) => heard.push(n));
    for (let n = 0; n < 5; n++) talk.say({ n });
    expect(sent).toHaveLength(0);
    turn();
    expect(sent).toHaveLength(1);
    talk.say({ n: 5 });
    turn();
    turn();
    expect(sent).toHaveLength(2);
    expect(heard).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it("takes what is only mentioned along with what is said next, in order", async () => {
    const { sent, turn, clock, talk } = pair();
    const heard: number[] = [];
    talk.hear(({ n }) => heard.push(n));
    talk.mention({ n: 0 });
    turn();
    expect(sent).toHaveLength(0);
    talk.say({ n: 1 });
    talk.mention({ n: 2 });
    turn();
    await clock.advance(1000);
    expect(heard).toEqual([0, 1, 2]);
    expect(sent).toHaveLength(1);
  });

  it("brings what is only mentioned all the same when nothing else is said, or when it is much", async () => {
    const { sent, turn, clock, talk } = pair();
    const heard: number[] = [];
    talk.hear(({ n }) => heard.push(n));
    talk.mention({ n: 0 });
    await clock.advance(60);
    expect(heard).toEqual([0]);
    for (let n = 1; n <= 300; n++) talk.mention({ n });
    turn();
    expect(heard).toHaveLength(301);
    await clock.advance(60);
    expect(sent).toHaveLength(2);
  });

  it("does not lose what is said while something is heard", () => {
    const { turn, talk } = pair();
    const heard: number[] = [];
    talk.hear(({ n }) => {
      heard.push(n);
      if (n < 3) talk.say({ n: n + 1 });
    });
    talk.say({ n: 0 });
    for (let i = 0; i < 5; i++) turn();
    expect(heard).toEqual([0, 1, 2, 3]);
  });

  it("brings bytes as they are, as copies that nobody else writes to", () => {
    const { sent, turn, talk } = pair();
    const heard: Said[] = [];
    talk.hear((message) => heard.push(message));
    const payload = new Uint8Array([0, 255, 128, 10]);
    talk.say({ n: 1, payload, absent: undefined });
    turn();
    payload.fill(7);
    sent[0]!.fill(9);
    expect([...heard[0]!.payload!]).toEqual([0, 255, 128, 10]);
    expect(heard[0]!.payload).toBeInstanceOf(Uint8Array);
    expect(heard[0]!.absent).toBeUndefined();
  });

  it("sends bytes that are a buffer of their own, since they are given away", () => {
    const { sent, turn, talk } = pair();
    talk.say({ n: 1 });
    turn();
    talk.say({ n: 2 });
    turn();
    for (const bytes of sent) expect(bytes.byteLength).toBe(bytes.buffer.byteLength);
    expect(sent[0]!.buffer).not.toBe(sent[1]!.buffer);
  });
});

describe("the memory that threads share", () => {
  it("knows nothing at first: no lease, no time, no format", () => {
    const shared = new Shared(Shared.make());
    expect(shared.leaseUntilMs).toBe(Number.NEGATIVE_INFINITY);
    expect(shared.aheadMs).toBeUndefined();
    expect(shared.format).toBe(0);
    expect(shared.incarnation).toBe(0);
  });

  it("shows to all at once what one writes", () => {
    const memory = Shared.make();
    const [here, there] = [new Shared(memory), new Shared(memory)];
    here.leaseUntilMs = 1234.5678;
    here.aheadMs = -98_765_432_101.25;
    here.format = 3;
    here.incarnation = 1_790_000_000;
    expect(there.leaseUntilMs).toBe(1234.567); // never later than was said
    expect(there.aheadMs).toBe(-98_765_432_101.25);
    expect(there.format).toBe(3);
    expect(there.incarnation).toBe(1_790_000_000);
    expect(new Shared(Shared.make()).format).toBe(0);
  });

  it("takes what is no time for the end of the lease", () => {
    const shared = new Shared(Shared.make());
    for (const never of [Number.NEGATIVE_INFINITY, Number.NaN, Number.POSITIVE_INFINITY]) {
      shared.leaseUntilMs = 5;
      shared.leaseUntilMs = never;
      expect(shared.leaseUntilMs).toBe(Number.NEGATIVE_INFINITY);
    }
    shared.aheadMs = 7;
    shared.aheadMs = undefined;
    expect(shared.aheadMs).toBeUndefined();
    shared.aheadMs = 0;
    expect(shared.aheadMs).toBe(0);
  });
});
