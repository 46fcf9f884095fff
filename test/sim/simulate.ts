/**
 * One run: a cluster, its clients and operators, faults for a while, healing, judgement. A function of its seed and of
 * the fault schedule, which is made from the seed unless it is given.
 */
import { createHash } from "node:crypto";
import { judge } from "./checks.js";
import { Client } from "./clients.js";
import { drawFaults, type Fault } from "./faults.js";
import { Random } from "./random.js";
import { startMs, World } from "./world.js";

export interface RunResult {
  readonly seed: number;
  readonly hash: string;
  readonly faults: readonly Fault[];
  readonly violations: readonly string[];
  readonly transactions: number;
  /** Finished as such. */
  readonly ends: { readonly succeed: number; readonly failed: number };
  readonly hits: ReadonlyMap<string, number>;
  readonly transitions: ReadonlyMap<string, number>;
  readonly steps: number;
  /** Only when asked for. */
  readonly story: readonly string[];
}

export interface RunOptions {
  readonly faults?: readonly Fault[];
  readonly story?: boolean;
  readonly transactions?: number;
}

/** Time with faults, and at most as much after it; milliseconds of the simulated world. */
const spanMs = 20_000;
const healMs = 900_000;

export async function simulate(seed: number, options: RunOptions = {}): Promise<RunResult> {
  const random = new Random(seed);
  const hash = createHash("sha256");
  const story: string[] = [];
  const world = new World(random, (line) => {
    hash.update(line);
    if (options.story) story.push(line);
  });
  const drawn = drawFaults(random.fork(), spanMs);
  const faults = options.faults ?? drawn;
  for (let i = 0; i < 3; i++) world.boot(`n${i}`);
  await world.scheduler.run(startMs + 100);
  for (const fault of faults) world.scheduler.after(fault.atMs, () => world.apply(fault));
  const clients = startClients(world, random, options.transactions ?? 40);
  const operators = random.fork();
  for (const { story: its } of clients) if (operators.chance(0.15)) operate(world, operators, its);
  await world.scheduler.run(startMs + spanMs);
  world.heal();
  const transitions = new Map<string, number>();
  await world.scheduler.run(startMs + spanMs + 12_000);
  for (const { story: its } of clients) void world.ask(operators, its.gid, { kind: "unpark" }, 6000);
  await world.scheduler.run(startMs + spanMs + healMs, () => world.finished);
  const judged = await Promise.all(clients.map(({ story: its }) => judge(world, its, transitions)));
  const heads = (await world.store.list({}, undefined, 10_000)).heads;
  return {
    seed,
    hash: hash.digest("hex").slice(0, 16),
    faults,
    violations: [...world.violations, ...world.services.wasted, ...judged.flat()],
    transactions: clients.length,
    ends: {
      succeed: heads.filter(({ status }) => status === "succeed").length,
      failed: heads.filter(({ status }) => status === "failed").length,
    },
    hits: new Map<string, number>([
      ...world.hits,
      ["callLost", world.services.lost],
      ["callDoubled", world.services.doubled],
    ]),
    transitions,
    steps: world.scheduler.steps,
    story,
  };
}

function startClients(world: World, random: Random, transactions: number): readonly Client[] {
  return Array.from({ length: transactions }, (_, i) => {
    const client = new Client(world, random.fork(), `t${i}`);
    world.scheduler.after(random.between(0, spanMs * 0.9), () => void client.run());
    return client;
  });
}

/** An operator stops, hastens or parks (and unparks) a transaction at some time. */
function operate(world: World, random: Random, story: Client["story"]): void {
  const atMs = random.between(500, spanMs);
  const ask = (request: Parameters<World["ask"]>[2]) => world.ask(random, story.gid, request, 6000);
  world.scheduler.after(atMs, () => {
    const deed = random.below(3);
    if (deed === 0) {
      story.forced = true;
      void ask({ kind: "forceStop" });
    } else if (deed === 1) void ask({ kind: "hasten", bulk: false });
    else {
      void ask({ kind: "park", by: "operator", reason: "looking" });
      const unpark = async (): Promise<void> => {
        const reply = await ask({ kind: "unpark" });
        if (reply === undefined || (reply.kind === "refused" && reply.code !== "NOT_FOUND"))
          world.scheduler.after(500, () => void unpark());
      };
      world.scheduler.after(random.between(100, 8000), () => void unpark());
    }
  });
}
