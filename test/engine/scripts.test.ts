/**
 * Random scripts, faults of the store and deaths at every commit: what was acknowledged is durable (S1), what is called
 * was intended durably (S5), nothing is called after the end (S8), and everything that was accepted ends (L1).
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Request, Submission } from "../../src/core/input.js";
import { isFinal, type Outcome } from "../../src/core/transaction.js";
import type { CommitFault } from "../../src/store/memory/memory.js";
import { bytes } from "../core/submissions.js";
import { saga, type World } from "./harness.js";
import { breaches, type Death, type Life, live, recover, sentFor, type Wire } from "./life.js";

interface Story {
  readonly gids: readonly Tale[];
  readonly outcomes: readonly Outcome[];
  readonly delaysMs: readonly number[];
  readonly deaths: readonly Death[];
  readonly faults: readonly CommitFault[];
  readonly passesMs: readonly number[];
}

interface Tale {
  readonly kind: "saga" | "tcc commit" | "tcc abort" | "msg" | "msg prepared";
  readonly steps: number;
  readonly retryLimit: number | undefined;
  readonly concurrent: boolean;
}

const tale: fc.Arbitrary<Tale> = fc.record({
  kind: fc.constantFrom("saga", "saga", "saga", "tcc commit", "tcc abort", "msg", "msg prepared"),
  steps: fc.integer({ min: 1, max: 3 }),
  retryLimit: fc.constantFrom(undefined, 1, 2),
  concurrent: fc.boolean(),
});

const death: fc.Arbitrary<Death> = fc.record({ commit: fc.integer({ min: 1, max: 8 }), written: fc.boolean() });

const story: fc.Arbitrary<Story> = fc.record({
  gids: fc.array(tale, { minLength: 1, maxLength: 5 }),
  outcomes: fc.array(fc.constantFrom<Outcome>("success", "success", "success", "failure", "unknown", "ongoing"), {
    minLength: 1,
    maxLength: 10,
  }),
  delaysMs: fc.array(fc.constantFrom(0, 5, 40, 2500), { minLength: 1, maxLength: 4 }),
  deaths: fc.array(death, { maxLength: 6 }),
  faults: fc.array(fc.constantFrom<CommitFault>("unavailable", "doubtWritten", "doubtLost"), { maxLength: 3 }),
  passesMs: fc.array(fc.constantFrom(1, 30, 3000, 12_000, 61_000), { minLength: 7, maxLength: 7 }),
});

const url = (gid: string, step: number) => `http://${gid}.test/${step}`;

/** The requests of a client, each to be sent when the one before it was accepted. */
function requestsOf(gid: string, { kind, steps, retryLimit, concurrent }: Tale): readonly Request[] {
  const urls = Array.from({ length: steps }, (_, i) => url(gid, i));
  const submission: Submission = {
    ...saga(urls, { retryLimit, concurrent }, concurrent && kind === "saga" ? '{"concurrent":true}' : ""),
    queryPrepared: kind === "msg prepared" ? url(gid, 9) : "",
  };
  if (kind === "saga") return [{ kind: "submit", submission }];
  if (kind === "msg") return [{ kind: "submit", submission: { ...submission, type: "msg" } }];
  if (kind === "msg prepared") return [{ kind: "prepare", submission: { ...submission, type: "msg" } }];
  const tcc: Submission = { ...submission, type: "tcc", steps: [] };
  const branches = urls.map((base, i): Request => {
    const ops = (["cancel", "confirm"] as const).map((op) => ({
      op,
      url: `${base}/${op}`,
      status: "prepared" as const,
    }));
    const registration = {
      type: "tcc" as const,
      branchId: `0${i + 1}`,
      ops,
      payload: bytes("{}"),
      executorId: undefined,
    };
    return { kind: "registerBranch", registration };
  });
  const end: Request =
    kind === "tcc commit"
      ? { kind: "submit", submission: tcc }
      : { kind: "abort", type: "tcc", reason: "", waitResult: false };
  return [{ kind: "prepare", submission: tcc }, ...branches, end];
}

interface Client {
  readonly gid: string;
  readonly left: Request[];
  asking: boolean;
  accepted: number;
}

/** Sends what each client has left to say; a dead engine never answers, so the next life is asked the same again. */
function ask(life: Life, clients: readonly Client[], unkept: string[]): void {
  for (const client of clients) {
    const next = client.left[0];
    if (next === undefined || client.asking) continue;
    client.asking = true;
    void life.world.ask(client.gid, next).then(async (reply) => {
      if (life.dead) return;
      client.asking = false;
      if (reply.kind === "refused" && reply.retryAfterS !== undefined) return;
      client.left.shift();
      if (reply.kind !== "accepted") return;
      client.accepted++;
      const [stored] = await life.world.store.load([client.gid]);
      if (stored === undefined) unkept.push(`${client.gid} ${next.kind}: accepted and not stored`);
    });
  }
}

function script({ world }: Life, told: Story): void {
  const { participants, clock } = world;
  let calls = 0;
  participants.script = () => {
    const outcome = told.outcomes[calls % told.outcomes.length]!;
    const delayMs = told.delaysMs[calls++ % told.delaysMs.length]!;
    return new Promise((resolve) => void clock.after(delayMs, () => resolve({ outcome, detail: outcome })));
  };
}

async function play(told: Story, wire: Wire, unkept: string[]): Promise<{ world: World; clients: readonly Client[] }> {
  const clients = told.gids.map((one, i): Client => {
    const gid = `g${i}`;
    return { gid, left: [...requestsOf(gid, one)], asking: false, accepted: 0 };
  });
  let life = live(wire, told.deaths[0]);
  script(life, told);
  life.world.store.faults.nextCommits.push(...told.faults);
  for (const [i, ms] of told.passesMs.entries()) {
    ask(life, clients, unkept);
    await life.world.clock.advance(ms);
    if (!life.dead) continue;
    for (const client of clients) client.asking = false;
    life = live(wire, told.deaths[i + 1], life.world);
    life.world.engine.start();
  }
  life.kill();
  const last = live(wire, undefined, life.world);
  recover(last.world.participants);
  last.world.engine.start();
  for (const client of clients) client.asking = false;
  for (let round = 0; round < 40; round++) {
    ask(last, clients, unkept);
    await last.world.clock.advance(20_000);
  }
  return { world: last.world, clients };
}

describe("whatever participants, the store and the process do", () => {
  it("acknowledges only what is durable, calls only what is intended durably, and ends everything", async () => {
    const met = { failed: 0, succeed: 0, calls: 0 };
    await fc.assert(
      fc.asyncProperty(story, async (told) => {
        const wire: Wire = { placed: [] };
        const unkept: string[] = [];
        const { world, clients } = await play(told, wire, unkept);
        expect(breaches(wire)).toEqual([]);
        expect(unkept).toEqual([]);
        met.calls += wire.placed.length;
        for (const { gid, accepted } of clients) {
          const [stored] = await world.store.load([gid]);
          if (stored === undefined) {
            expect(accepted).toBe(0);
            continue;
          }
          const { tx } = stored;
          expect(`${gid} ${isFinal(tx)} ${tx.status}`).toBe(`${gid} true ${tx.status}`);
          met[tx.status as "failed" | "succeed"]++;
          const sent = sentFor(wire, gid);
          const undone = (op: string) => sent.includes(op.replace("action", "compensate"));
          if (tx.type === "saga" && tx.status === "failed")
            expect(sent.filter((op) => op.startsWith("action") && !undone(op))).toEqual([]);
          if (tx.status === "succeed")
            expect(tx.ops.filter(({ op, status }) => forward.has(op) && status !== "succeed")).toEqual([]);
        }
        expect(world.engine.stats()).toMatchObject({ resident: 0, commitsQueued: 0, callsInFlight: 0, timers: 0 });
      }),
      { numRuns: 150 },
    );
    expect(Math.min(met.failed, met.succeed)).toBeGreaterThan(30);
    expect(met.calls).toBeGreaterThan(500);
  });
});

const forward = new Set(["action", "confirm"]);
