/**
 * `npm run chaos`: a cluster of three real processes, a real database and NATS, under load, through faults of every
 * kind; then everything that was acknowledged is followed to its end and the bank is counted. Prints what was hit and
 * fails below its floors: a run without faults at work is no proof. `--help` lists the numbers; `--together` is the
 * other campaign, in which all faults strike at once.
 */
import { parseArgs } from "node:util";
import { openBank } from "../cluster/bank.js";
import { type Fleet, startFleet } from "../cluster/fleet.js";
import { judgeAll, startLoad } from "../cluster/load.js";
import { type Testimony, watchCommits } from "../cluster/witness.js";
import { type Hit, kill, restartMysql, restartNats, rollingRestart, type Scene, stop } from "./faults.js";
import { together } from "./together.js";

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "50" },
    stops: { type: "string", default: "50" },
    nats: { type: "string", default: "10" },
    mysql: { type: "string", default: "10" },
    rolling: { type: "string", default: "2" },
    lease: { type: "string", default: "3000" },
    clients: { type: "string", default: "16" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    together: { type: "boolean", default: false },
    minutes: { type: "string", default: "15" },
    help: { type: "boolean", default: false },
  },
});

if (values.help) {
  process.stdout.write(
    "npm run chaos -- [--kills N] [--stops N] [--nats N] [--mysql N] [--rolling N] [--lease MS] [--clients N] [--seed N]\n" +
      "npm run chaos -- --together [--minutes N] [--lease MS] [--clients N] [--seed N]: all faults at once, all patterns\n",
  );
  process.exit(0);
}

/** Park and Miller's: the order of faults repeats with the seed, the moments in which they hit do not. */
function dice(seed: number): () => number {
  let state = (seed % 2_147_483_646) + 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

type Kind = "kill -9" | "SIGSTOP" | "NATS restart" | "MariaDB restart";

const faults: Readonly<Record<Kind, (scene: Scene) => Promise<Hit>>> = {
  "kill -9": kill,
  SIGSTOP: stop,
  "NATS restart": restartNats,
  "MariaDB restart": restartMysql,
};

async function campaign(scene: Scene, plan: Kind[]): Promise<ReadonlyMap<Kind, readonly Hit[]>> {
  const hits = new Map<Kind, Hit[]>();
  while (plan.length > 0) {
    const [kind] = plan.splice(Math.floor(scene.random() * plan.length), 1) as [Kind];
    const hit = await faults[kind](scene);
    hits.set(kind, [...(hits.get(kind) ?? []), hit]);
    process.stdout.write(
      `${kind}: at work ${hit.atWork}, taken over ${hit.takenOver}, served after ${Math.round(hit.servedMs)} ms\n`,
    );
  }
  return hits;
}

function sayFigures(kind: Kind, hits: readonly Hit[], leaseMs: number): readonly string[] {
  const times = hits.map(({ servedMs }) => servedMs).sort((a, b) => a - b);
  const busy = hits.filter(({ atWork }) => atWork > 0).length;
  const shards = hits.reduce((sum, { takenOver }) => sum + takenOver, 0);
  const [p50, max] = [times[times.length >> 1] ?? 0, times.at(-1) ?? 0].map(Math.round);
  process.stdout.write(
    `${kind}: ${hits.length}, ${busy} hit a node at work, ${shards} shards taken over, served after p50 ${p50} ms, max ${max} ms\n`,
  );
  const floor = Math.floor(hits.length * 0.6);
  const isDeath = kind === "kill -9" || kind === "SIGSTOP";
  const late = isDeath ? times.filter((ms) => ms > leaseMs + 500).length : 0;
  return [
    ...(busy < floor
      ? [`${kind}: only ${busy} of ${hits.length} hit a node at work, at least ${floor} are needed`]
      : []),
    ...(late > 0 ? [`${kind}: ${late} times it took longer than the lease and 500 ms`] : []),
  ];
}

function complaintsOf({ rows, astray }: Testimony, transfers: number): readonly string[] {
  process.stdout.write(
    `${rows} journal rows seen by the witness, ${astray.length} by a node that did not own the shard\n`,
  );
  const blind = rows < transfers ? [`the witness saw ${rows} journal rows of ${transfers} transfers`] : [];
  return [...blind, ...astray.map((row) => `S2: ${row}`)];
}

async function run(fleet: Fleet): Promise<readonly string[]> {
  const random = dice(Number(values.seed));
  const leaseMs = Number(values.lease);
  const bank = await openBank(random);
  const witness = await watchCommits(fleet.database.url);
  const load = startLoad(fleet, bank, Number(values.clients), random);
  const scene: Scene = { fleet, bank, load, leaseMs, random };
  const counts: Readonly<Record<Kind, number>> = {
    "kill -9": Number(values.kills),
    SIGSTOP: Number(values.stops),
    "NATS restart": Number(values.nats),
    "MariaDB restart": Number(values.mysql),
  };
  const plan = (Object.entries(counts) as [Kind, number][]).flatMap(([kind, count]) => Array<Kind>(count).fill(kind));
  const hits = await campaign(scene, plan);
  const complaints: string[] = [];
  for (let i = 0; i < Number(values.rolling); i++) {
    const stubborn = await rollingRestart(scene);
    process.stdout.write(`rolling restart: ${load.retries} requests retried, ${stubborn} more than once\n`);
    if (stubborn > 0) complaints.push(`rolling restart: ${stubborn} requests needed more than one retry`);
  }
  await load.stop();
  for (const [kind, of] of hits) complaints.push(...sayFigures(kind, of, leaseMs));
  complaints.push(...(await judgeAll(fleet, bank, load, 120_000)));
  complaints.push(...complaintsOf(await witness.tell(), load.acknowledged.size));
  const dead = fleet.nodes.filter(({ pid }) => pid === undefined).map(({ name, ended }) => `${name} (${ended})`);
  if (dead.length > 0) complaints.push(`nodes that are gone: ${dead.join(", ")}`);
  process.stdout.write(
    `${load.acknowledged.size} transfers acknowledged, ${bank.calls} calls, bank ${bank.total()} of ${bank.expectedTotal}\n`,
  );
  await bank.close();
  return complaints;
}

/** One fault after the other. */
async function oneByOne(): Promise<readonly string[]> {
  const fleet = await startFleet({ names: ["a", "b", "c"], leaseMs: Number(values.lease) });
  try {
    return await run(fleet);
  } catch (error) {
    process.stdout.write(`logs: ${fleet.nodes.map(({ log }) => log).join(" ")}\n`);
    throw error;
  } finally {
    await fleet.close();
  }
}

function allAtOnce(): Promise<readonly string[]> {
  const { minutes, clients, lease, seed } = values;
  const say = (line: string) => void process.stdout.write(`${line}\n`);
  const random = dice(Number(seed));
  return together({ minutes: Number(minutes), clients: Number(clients), leaseMs: Number(lease), random, say });
}

process.stdout.write(`seed ${values.seed}, lease ${values.lease} ms\n`);
const complaints = await (values.together ? allAtOnce() : oneByOne()).catch((error: unknown) => [
  error instanceof Error ? (error.stack ?? error.message) : String(error),
]);
for (const complaint of complaints.slice(0, 50)) process.stdout.write(`VIOLATION ${complaint}\n`);
process.stdout.write(complaints.length === 0 ? "chaos: 0 violations\n" : `chaos: ${complaints.length} violations\n`);
process.exit(complaints.length === 0 ? 0 : 1);
