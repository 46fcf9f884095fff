/**
 * Isolation of participants: limits that are never passed, order, breakers, and no lost wake-ups, under random loads.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Dispatcher, type DispatchLimits, type Ticket } from "../../src/engine/dispatcher.js";
import type { Answer, Call, Caller } from "../../src/ports/caller.js";
import { settle, type VirtualClock, virtualClock } from "./harness.js";

const limits: DispatchLimits = { perOrigin: 8, perNode: 20, waitingPerTarget: 50, targets: 30 };

interface OnWire {
  readonly call: Call;
  readonly answer: (answer: Answer) => void;
}

/** A dispatcher whose calls are answered by the test; counts what is on the wire by node, origin and target. */
class Bench {
  readonly clock: VirtualClock = virtualClock();
  readonly wire: OnWire[] = [];
  readonly sent: string[] = [];
  readonly answered: string[] = [];
  readonly blocked: string[] = [];
  readonly broken: string[] = [];
  leaseMs = Number.POSITIVE_INFINITY;
  readonly dispatcher: Dispatcher;
  readonly #limits: DispatchLimits;

  constructor(over: Partial<DispatchLimits> = {}) {
    this.#limits = { ...limits, ...over };
    const caller: Caller = {
      call: (call) =>
        new Promise((resolve) => {
          this.sent.push(call.gid);
          this.wire.push({ call, answer: resolve });
          this.#check();
        }),
      close: async () => {},
    };
    const observer = {
      finished: () => {},
      called: () => {},
      flushed: () => {},
      lateAnswer: () => {},
      breaker: () => {},
      stuck: () => {},
    };
    const ownership = { epochOf: () => 1, remainingMs: () => this.leaseMs, lost: () => {} };
    this.dispatcher = new Dispatcher(caller, this.clock, observer, ownership, this.#limits);
  }

  submit(gid: string, url: string): Ticket | number {
    const call = { gid, url, payload: Buffer.from("{}") } as Partial<Call> as Call;
    return this.dispatcher.submit(call, targetOf(url), {
      done: ({ outcome }) => void this.answered.push(`${gid} ${outcome}`),
      blocked: () => void this.blocked.push(gid),
      mayWait: true,
    });
  }

  async answer(place: number, outcome: Answer["outcome"], isWell?: true): Promise<void> {
    const [one] = this.wire.splice(place % this.wire.length, 1);
    one?.answer({ outcome, detail: outcome, ...(isWell && { isWell }) });
    await settle();
  }

  /** What is on the wire to URLs that begin so. */
  on(prefix: string): number {
    return this.wire.filter(({ call }) => call.url.startsWith(prefix)).length;
  }

  #check(): void {
    const { perNode, perOrigin } = this.#limits;
    if (this.wire.length > perNode) this.broken.push(`node ${this.wire.length}`);
    for (const { call } of this.wire) {
      const { origin, target } = targetOf(call.url);
      if (this.on(`${origin}/`) > perOrigin) this.broken.push(`${origin} ${this.on(`${origin}/`)}`);
      if (this.on(target) > Math.ceil(perOrigin * 0.75)) this.broken.push(`${target} ${this.on(target)}`);
    }
  }
}

function targetOf(url: string) {
  return { origin: url.split("/").slice(0, 3).join("/"), target: url };
}

const urls = ["http://a/1", "http://a/2", "http://b/1", "http://c/1"];

type Step =
  | { readonly kind: "submit"; readonly url: string }
  | { readonly kind: "answer"; readonly place: number; readonly outcome: Answer["outcome"] }
  /** All calls on the wire to a target end without a clear word, again and again. */
  | { readonly kind: "silence"; readonly url: string }
  | { readonly kind: "withdraw"; readonly which: number }
  | { readonly kind: "pass"; readonly ms: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ kind: fc.constant("submit" as const), url: fc.constantFrom(...urls) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("answer" as const),
      place: fc.nat({ max: 40 }),
      outcome: fc.constantFrom<Answer["outcome"]>("success", "unknown", "unknown", "failure"),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("silence" as const), url: fc.constantFrom(...urls) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("withdraw" as const), which: fc.nat({ max: 200 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("pass" as const), ms: fc.constantFrom(10, 1000, 40_000) }) },
);

describe("the dispatcher", () => {
  it("never passes a limit, keeps the order of each target, and forgets nobody", async () => {
    const met = { held: 0, opened: 0, withdrawn: 0 };
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 40, maxLength: 250, size: "max" }), async (steps) => {
        const bench = new Bench();
        const tickets: { gid: string; ticket: Ticket }[] = [];
        const withdrawn = new Set<string>();
        let gids = 0;
        for (const what of steps) {
          if (what.kind === "submit") {
            const gid = `${what.url}#${gids++}`;
            const ticket = bench.submit(gid, what.url);
            if (typeof ticket === "object") tickets.push({ gid, ticket });
          } else if (what.kind === "answer") {
            if (bench.wire.length > 0) await bench.answer(what.place, what.outcome);
          } else if (what.kind === "silence") {
            for (let i = 0; i < 12; i++) {
              const place = bench.wire.findIndex(({ call }) => call.url === what.url);
              if (place >= 0) await bench.answer(place, "unknown");
            }
          } else if (what.kind === "withdraw") {
            const held = tickets.filter(({ ticket }) => ticket.state === "held");
            const one = held[what.which % Math.max(1, held.length)];
            if (one === undefined) continue;
            one.ticket.withdraw();
            withdrawn.add(one.gid);
          } else await bench.clock.advance(what.ms);
          if (bench.dispatcher.waiting > 0) met.held++;
          if (bench.dispatcher.list().some(({ breaker }) => breaker !== "closed")) met.opened++;
        }
        met.withdrawn += withdrawn.size;
        while (bench.wire.length > 0 || bench.dispatcher.waiting > 0) {
          if (bench.wire.length > 0) await bench.answer(0, "success");
          else await bench.clock.advance(1000);
          if (bench.clock.monotonicMs() > 1_000_000)
            throw new Error(`stuck: ${JSON.stringify(bench.dispatcher.list())}`);
        }
        expect(bench.broken).toEqual([]);
        const kept = tickets.map(({ gid }) => gid).filter((gid) => !withdrawn.has(gid));
        expect([...bench.sent].sort()).toEqual([...kept].sort());
        for (const url of urls) {
          const of = (gid: string) => gid.startsWith(`${url}#`);
          expect(bench.sent.filter(of)).toEqual(kept.filter(of));
        }
        expect(bench.answered.length).toBe(kept.length);
        expect([bench.dispatcher.inFlight, bench.dispatcher.waiting]).toEqual([0, 0]);
      }),
      { numRuns: 100 },
    );
    expect(Math.min(...Object.values(met))).toBeGreaterThan(10);
  });

  it("leaves a hanging path's neighbours a quarter of their origin's places", async () => {
    const bench = new Bench();
    for (let i = 0; i < 40; i++) bench.submit(`hang${i}`, "http://a/hang");
    expect(bench.on("http://a/hang")).toBe(6);
    bench.submit("x", "http://a/well");
    bench.submit("y", "http://a/well");
    expect(bench.on("http://a/well")).toBe(2);
  });

  it("gives a node's free places to every origin that waits, however hungry the others are", async () => {
    const bench = new Bench({ perNode: 8 });
    for (let i = 0; i < 40; i++) for (const origin of ["a", "b"]) bench.submit(`${origin}${i}`, `http://${origin}/`);
    bench.submit("late", "http://late/");
    for (let i = 0; i < 3; i++) await bench.answer(0, "success");
    expect(bench.sent).toContain("late");
  });

  it("sends a single probe to a target that is away, wakes the rest by its answer, in order and not all at once", async () => {
    const bench = new Bench();
    for (let i = 0; i < 30; i++) bench.submit(`g${i}`, "http://a/1");
    for (let i = 0; i < 10; i++) await bench.answer(0, "unknown");
    while (bench.wire.length > 0) await bench.answer(0, "unknown");
    const before = bench.sent.length;
    expect(bench.blocked).toEqual(Array.from({ length: 30 - before }, (_, i) => `g${before + i}`));
    await bench.clock.advance(900);
    expect(bench.sent.length).toBe(before);
    await bench.clock.advance(200);
    expect(bench.sent.length).toBe(before + 1);
    await bench.clock.advance(60_000);
    expect(bench.sent.length).toBe(before + 1); // the probe is still on the wire
    await bench.answer(0, "success");
    expect(bench.wire.length).toBe(4);
    await bench.answer(0, "success");
    expect(bench.wire.length).toBe(5);
    expect(bench.sent).toEqual(Array.from({ length: bench.sent.length }, (_, i) => `g${i}`));
  });

  it("opens no breaker for a target that answers in good order, and closes an open one at such an answer", async () => {
    const bench = new Bench();
    for (let i = 0; i < 30; i++) {
      bench.submit(`g${i}`, "http://a/missing");
      await bench.answer(0, "unknown", true);
    }
    expect(bench.dispatcher.list()).toMatchObject([{ breaker: "closed", unknownsInRow: 0, lastError: "unknown" }]);
    for (let i = 0; i < 10; i++) {
      bench.submit(`h${i}`, "http://a/missing");
      await bench.answer(0, "unknown");
    }
    bench.submit("held", "http://a/missing");
    expect(bench.dispatcher.list()).toMatchObject([{ breaker: "open", waiting: 1 }]);
    await bench.clock.advance(1100);
    await bench.answer(0, "unknown", true);
    expect(bench.dispatcher.list()).toMatchObject([{ breaker: "closed", waiting: 0 }]);
  });

  it("gives those who find the queue full a time each, in the order in which they came, and keeps its length", () => {
    const bench = new Bench();
    const given = Array.from({ length: 80 }, (_, i) => bench.submit(`g${i}`, "http://a/1"));
    const times = given.filter((ticket) => typeof ticket === "number");
    expect(bench.dispatcher.waiting).toBe(50);
    expect(times.length).toBe(80 - 50 - 6);
    expect(times.every((atMs, i) => i === 0 || atMs > times[i - 1]!)).toBe(true);
    expect(times[0]).toBe(bench.clock.nowMs() + 5000);
  });

  it("remembers a bounded number of targets, and those with calls whatever happens", async () => {
    const bench = new Bench({ perNode: 5000 });
    bench.submit("busy", "http://busy/1");
    for (let i = 0; i < 500; i++) {
      bench.submit(`g${i}`, `http://a/${i}`);
      await bench.answer(1, "unknown");
    }
    const known = bench.dispatcher.list();
    expect(known.length).toBeLessThanOrEqual(30);
    expect(known.some(({ target }) => target === "http://busy/1")).toBe(true);
    expect(bench.answered.length).toBe(500);
  });

  it("starts no call with too little of the lease left, and goes on by itself when it was renewed", async () => {
    const bench = new Bench();
    bench.leaseMs = 300;
    bench.submit("g", "http://a/1");
    await bench.clock.advance(5000);
    expect(bench.sent).toEqual([]);
    bench.leaseMs = 3000;
    await bench.clock.advance(200);
    expect(bench.sent).toEqual(["g"]);
  });

  it("looks seldom at a call whose probe is due while its origin is full", async () => {
    const bench = new Bench();
    for (let i = 0; i < 10; i++) bench.submit(`g${i}`, "http://a/1");
    while (bench.answered.length < 10) await bench.answer(0, "unknown");
    for (let i = 0; i < 16; i++) bench.submit(`h${i}`, i < 8 ? "http://a/2" : "http://a/3");
    bench.submit("held", "http://a/1");
    let looks = 0;
    const admits = bench.clock.after;
    bench.clock.after = (delayMs, task) => {
      looks++;
      return admits(delayMs, task);
    };
    await bench.clock.advance(10_000);
    expect(bench.sent).not.toContain("held");
    expect(looks).toBeGreaterThan(10);
    expect(looks).toBeLessThan(200);
  });

  it("takes a caller that breaks its contract for a participant that gave no clear word", async () => {
    const bench = new Bench();
    const caller: Caller = { call: () => Promise.reject(new Error("a bug")), close: async () => {} };
    const observer = {
      finished: () => {},
      called: () => {},
      flushed: () => {},
      lateAnswer: () => {},
      breaker: () => {},
      stuck: () => {},
    };
    const ownership = { epochOf: () => 1, remainingMs: () => 1e9, lost: () => {} };
    const dispatcher = new Dispatcher(caller, bench.clock, observer, ownership, limits);
    const seen: Answer[] = [];
    const target = { origin: "http://a", target: "http://a/1" };
    dispatcher.submit({ gid: "g" } as Call, target, {
      done: (answer) => void seen.push(answer),
      blocked: () => {},
      mayWait: true,
    });
    await settle();
    expect(seen).toEqual([{ outcome: "unknown", detail: "the caller failed: Error: a bug" }]);
    expect(dispatcher.inFlight).toBe(0);
  });

  it("starts nothing after stop, and leaves what is on the wire alone", async () => {
    const bench = new Bench();
    for (let i = 0; i < 10; i++) bench.submit(`g${i}`, "http://a/1");
    bench.dispatcher.stop();
    for (let i = 0; i < 6; i++) await bench.answer(0, "success");
    bench.submit("late", "http://a/1");
    await bench.clock.advance(60_000);
    expect(bench.sent.length).toBe(6);
    expect(bench.answered.length).toBe(6);
  });
});
