// Runs a transaction through everything that can go wrong on the way: every single fault at every exchange, then
// random sets of faults. What must hold is said by the scenario; a failure is reduced to the fewest faults and told as
// a story.

import type { Client } from "../client/client.js";
import { messageOf } from "../client/errors.js";
import type { Route } from "../client/participant/route.js";
import type { ExchangePoint, Fault, Plan } from "./network.js";
import { createWorld } from "./world.js";

/** How a run ended for its initiator. */
export type Ended =
  | { readonly kind: "resolved"; readonly value: unknown }
  | { readonly kind: "rejected"; readonly error: unknown }
  | { readonly kind: "died" };

/** Fresh participants with fresh data, for one run. */
export interface Stage {
  /** Served at `participantUrl`; a check-back at `/check`. May grow while `run` registers workflows. */
  readonly routes: readonly Route[];
  /** Starts the global transaction, as the application does. */
  run(client: Client): Promise<unknown>;
  /**
   * Throws if what is there now is not all or nothing. Asked when every transaction is final and no request is under
   * way.
   */
  invariant(ended: Ended): void | Promise<void>;
}

/** How much is tried. */
export interface AtomicOptions {
  /** Runs with several random faults, after all single ones. Default 100. */
  readonly randomRuns?: number;
  /** Start of the random choices; printed with a failure. Default 1. */
  readonly seed?: number;
}

/** What was tried. */
export interface AtomicReport {
  readonly runs: number;
  /** Exchanges of the run without faults. */
  readonly exchanges: number;
  /** Faults that took place, by kind. */
  readonly faults: Readonly<Record<string, number>>;
}

/** The invariant did not hold, or the transaction never ended. The message tells the story. */
export class AtomicityError extends Error {
  override readonly name = "AtomicityError";
  /** Each line one exchange, in order. */
  readonly story: readonly string[];

  constructor(message: string, story: readonly string[], cause: unknown) {
    super(message, { cause });
    this.story = story;
  }
}

type Setup = () => Stage | Promise<Stage>;

interface Run {
  readonly points: readonly ExchangePoint[];
  readonly story: readonly string[];
  readonly problem: { readonly error: unknown } | undefined;
}

/** Faults in one random run. */
const faultsMax = 4;

/**
 * Resolves when every run kept the invariant; rejects with `AtomicityError` for the first that did not, reduced to as
 * few faults as still break it. `setup` is called once per run.
 */
export async function expectAtomic(setup: Setup, options: AtomicOptions = {}): Promise<AtomicReport> {
  const { randomRuns = 100, seed = 1 } = options;
  const faults: Record<string, number> = {};
  let runs = 0;
  const attempt = async (plan: Plan) => {
    runs++;
    const run = await play(setup, plan);
    for (const [point, fault] of plan) if (point < run.points.length) faults[fault] = (faults[fault] ?? 0) + 1;
    if (run.problem !== undefined) throw await told(setup, plan, run, seed);
    return run;
  };
  const calm = await attempt(new Map());
  for (const [number, point] of calm.points.entries()) {
    for (const fault of point.faults) await attempt(new Map([[number, fault]]));
  }
  const random = generator(seed);
  for (let count = 0; count < randomRuns; count++) await attempt(randomPlan(calm.points, random));
  return { runs, exchanges: calm.points.length, faults };
}

async function play(setup: Setup, plan: Plan): Promise<Run> {
  const stage = await setup();
  const world = createWorld(() => stage.routes, plan);
  const { network } = world;
  let problem: Run["problem"];
  try {
    const work = stage.run(world.client).then(
      (value): Ended => ({ kind: "resolved", value }),
      (error: unknown): Ended => ({ kind: "rejected", error }),
    );
    const ended = await world.drive(work);
    await world.settle();
    await stage.invariant(network.initiatorDied ? { kind: "died" } : ended);
  } catch (error) {
    problem = { error };
  }
  await world.close().catch(() => undefined);
  return { points: network.points, story: network.story, problem };
}

/** Leaves out one fault after the other, as long as the rest still breaks the invariant. */
async function told(setup: Setup, plan: Plan, run: Run, seed: number): Promise<AtomicityError> {
  let [least, worst] = [plan, run];
  for (let reduced = true; reduced; ) {
    reduced = false;
    for (const number of least.keys()) {
      const fewer = new Map([...least].filter(([other]) => other !== number));
      const again = await play(setup, fewer);
      if (again.problem === undefined) continue;
      [least, worst, reduced] = [fewer, again, true];
      break;
    }
  }
  const faults =
    [...least].map(([number, fault]) => `${fault} (exchange ${number + 1})`).join(", ") || "no fault at all";
  const story = shown(worst.story.map((line, index) => `  ${index + 1}. ${line}`)).join("\n");
  const { error } = worst.problem ?? { error: undefined };
  const message = `not atomic with ${faults}: ${messageOf(error)}
${story}
  (seed ${seed})`;
  return new AtomicityError(message, worst.story, error);
}

/** Lines of a story that its error's message has at most, and how many of those are its last. */
const [linesMax, lastLines] = [60, 10];

/** A call that is repeated for ever makes a story of thousands of lines: its beginning and its end say it all. */
function shown(lines: readonly string[]): readonly string[] {
  if (lines.length <= linesMax) return lines;
  const first = linesMax - lastLines - 1;
  const left = lines.length - first - lastLines;
  return [
    ...lines.slice(0, first),
    `  … ${left} lines like these, see the error's story …`,
    ...lines.slice(-lastLines),
  ];
}

/**
 * Faults that a later exchange than those of the calm run would need are placed by luck as well: retries make more of
 * them.
 */
function randomPlan(points: readonly ExchangePoint[], random: () => number): Plan {
  const plan = new Map<number, Fault>();
  const count = 2 + Math.floor(random() * (faultsMax - 1));
  for (let made = 0; made < count; made++) {
    const number = Math.floor(random() * (points.length + 4));
    const { faults } = points[Math.min(number, points.length - 1)]!;
    plan.set(number, faults[Math.floor(random() * faults.length)]!);
  }
  return plan;
}

/** mulberry32: small, seeded, good enough to choose faults. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
