/**
 * One run: a cluster, its clients and operators, faults for a while, healing, judgement. A function of its seed and of
 * the fault schedule, which is made from the seed unless it is given.
 */

import type { Reply, Request } from "../../src/core/input.js";
import { shardOf } from "../../src/core/shard.js";
import type { EngineSettings } from "../../src/engine/services.js";
import { settings as engineDefaults } from "../engine/harness.js";
import { judge, judgeQueues, judgeRivals, judgeStore } from "./checks.js";
import { Client } from "./clients.js";
import { drawFaults, drawIsolations, type Fault, inOrder } from "./faults.js";
import { isFinal } from "./ledger.js";
import { Editor, operate } from "./operators.js";
import { Random } from "./random.js";
import { apply } from "./troubles.js";
import { startMs, World } from "./world.js";

export interface RunResult {
  readonly seed: number;
  readonly hash: string;
  readonly faults: readonly Fault[];
  readonly violations: readonly string[];
  readonly transactions: number;
  /** Of all transactions together. */
  readonly branches: number;
  readonly counts: ReadonlyMap<string, number>;
  /** Events of the scheduler. */
  readonly steps: number;
  /** Only when asked for. */
  readonly story: readonly string[];
}

export interface RunOptions {
  /** Instead of those of the seed. */
  readonly faults?: readonly Fault[];
  readonly story?: boolean;
  /** Only these of the seed's transactions, by number. */
  readonly only?: readonly number[];
  /** So many plain two-branch sagas instead of the seed's business: for measuring speed. */
  readonly plain?: number;
}

/** At most so long after the faults; milliseconds of the simulated world. */
const healMs = 900_000;

/** By then every answer that somebody waits for has come or is given up. */
const lastAnswersMs = 8000;

/** What nobody waits for any more may still be on its way to the store. */
const lateCommitsMs = 4000;

/** Until retention has looked at what is finished. */
const purgeWaitMs = 65_000;

/** Little room for calls and actors: much is held back, turned away, put to rest and brought back. */
const narrowness = {
  dispatch: { perOrigin: 2, perNode: 4, waitingPerTarget: 3, targets: 1000 },
  residentMax: 12,
} satisfies Partial<EngineSettings>;

/** What is drawn apart, so that the rest of a seed is as it was before: how long commits linger, who is isolated. */
const lingering = 0x10;
const isolating = 0x32;

/** So is whether nodes have their engines on threads of their own. */
const crewing = 0x80;

export async function simulate(seed: number, options: RunOptions = {}): Promise<RunResult> {
  const random = new Random(seed);
  const spanMs = options.plain === undefined ? random.pick([3000, 6000, 12_000, 20_000]) : 10_000;
  const purges = random.chance(0.1);
  const narrow = options.plain === undefined && random.chance(0.25);
  const lingerMs = new Random(seed ^ lingering).pick([0, 2, 40]);
  const engine = { flush: { ...engineDefaults.flush, lingerMs }, ...(narrow && narrowness) };
  const crews = options.plain === undefined ? drawCrews(seed) : undefined;
  const settings = { keepStory: options.story === true, journalMs: purges ? 5000 : 3_600_000, engine, crews };
  const world = new World(random, settings);
  const isolations = drawIsolations(new Random(seed ^ isolating), spanMs);
  const drawn = inOrder([...drawFaults(random.fork(), spanMs), ...isolations]);
  const faults = options.faults ?? drawn;
  const nodes = random.pick([1, 2, 3, 3, 3, 4]);
  for (let i = 0; i < nodes; i++) world.boot(`n${i}`);
  await world.scheduler.run(startMs + 100);
  for (const fault of faults) world.scheduler.after(fault.atMs, () => apply(world, fault));
  const editor = new Editor(world, random.fork(), "news");
  void editor.run(startMs + spanMs);
  const operators = random.fork();
  const clients = startClients(world, random.fork(), spanMs, options, (client) => {
    if (options.plain === undefined && operators.chance(0.2)) operate(world, operators.fork(), client.story);
  });
  await world.scheduler.run(startMs + spanMs);
  world.heal();
  sweep(world, operators);
  const done = () => world.finished && clients.every(({ story }) => story.ended);
  await world.scheduler.run(startMs + spanMs + healMs, done);
  await world.scheduler.run(world.scheduler.nowMs + (purges ? purgeWaitMs : lateCommitsMs));
  await world.scheduler.run(world.scheduler.nowMs + healMs, done);
  const asked = await askAgain(world, random.fork(), clients);
  const judged = clients.flatMap(({ story }) => judge(world, story));
  const stored = await judgeStore(world);
  await world.scheduler.run(world.scheduler.nowMs + lastAnswersMs);
  void world.serves();
  await world.scheduler.run(world.scheduler.nowMs + lastAnswersMs);
  await world.scheduler.run(world.scheduler.nowMs + healMs, () => world.finished);
  await world.scheduler.run(world.scheduler.nowMs + lastAnswersMs);
  return {
    seed,
    hash: world.trace.hash(),
    faults,
    violations: [
      ...new Set([...world.ledger.violations, ...world.violations, ...world.services.wasted, ...judged, ...asked]),
      ...stored,
      ...judgeQueues(world),
      ...judgeRivals(world),
    ],
    transactions: clients.length,
    branches: clients.reduce((sum, { story }) => sum + story.branches, 0),
    counts: world.coverage.counts,
    steps: world.scheduler.steps,
    story: world.trace.lines,
  };
}

/** Chance of its crews for one seed in three. */
function drawCrews(seed: number): Random | undefined {
  const random = new Random(seed ^ crewing);
  return random.chance(1 / 3) ? random : undefined;
}

/** An operator who lets parked transactions go on, until none is parked: a late request may still park one. */
function sweep(world: World, random: Random): void {
  for (const gid of world.ledger.unfinished)
    if (world.ledger.accounts.get(gid)!.parked) void world.ask(random, gid, { kind: "unpark" });
  world.scheduler.after(3000, () => sweep(world, random));
}

function startClients(
  world: World,
  random: Random,
  spanMs: number,
  { only, plain }: RunOptions,
  begun: (client: Client) => void,
): readonly Client[] {
  const count = plain ?? 5 + random.below(66);
  const crowded = plain === undefined && random.chance(0.3);
  return Array.from({ length: count }, (_, i) => i).flatMap((i) => {
    const its = random.fork();
    const atMs = random.between(0, spanMs * 0.9);
    if (only !== undefined && !only.includes(i)) return [];
    const client = new Client(world, its, crowded ? neighbour(`t${i}`) : `t${i}`, { plain: plain !== undefined });
    world.scheduler.after(atMs, () => {
      void client.run();
      begun(client);
    });
    return [client];
  });
}

/** A name like it in one of four shards, so that many transactions share them. */
function neighbour(name: string): string {
  for (let i = 0; ; i++) if (shardOf(`${name}.${i}`) % 64 === 0) return `${name}.${i}`;
}

/** S9 at the end: the same submit has the same answer, another one is refused; L3 beside what is poisoned. */
async function askAgain(world: World, random: Random, clients: readonly Client[]): Promise<readonly string[]> {
  const found: string[] = [];
  let waiting = 0;
  for (const { story } of clients) {
    const account = world.ledger.accounts.get(story.gid);
    const { submission } = story;
    const known = account?.digest !== undefined && isFinal(account) && !world.poisoned.has(story.gid);
    if (world.poisoned.size > 0 && known) world.coverage.count("checked: others finish beside a poisoned one");
    if (!known || submission === undefined || !random.chance(0.3)) continue;
    const other = random.chance(0.5);
    const sent = other ? { ...submission, digest: "another" } : submission;
    waiting++;
    const request: Request = { kind: "submit", submission: sent };
    const heard = (reply: Reply | undefined): void => {
      waiting--;
      const refused = reply?.kind === "refused" && reply.code === "REFUSED";
      const right = other || account.status === "failed" ? refused : reply?.kind === "accepted";
      world.coverage.count(other ? "checked: other content refused" : "checked: same submit, same answer");
      if (right) return;
      found.push(`S9: ${story.gid} (${story.type}) is '${account.status}', asked again: ${JSON.stringify(reply)}`);
    };
    const ask = (tries: number): void =>
      void world.ask(random, story.gid, request, 6000, undefined, !other).then((reply) => {
        const transient = reply === undefined || (reply.kind === "refused" && reply.code === "UNAVAILABLE");
        if (transient && tries > 1) world.scheduler.after(2000, () => ask(tries - 1));
        else heard(reply);
      });
    ask(5);
  }
  await world.scheduler.run(world.scheduler.nowMs + 60_000, () => waiting === 0);
  return found;
}
