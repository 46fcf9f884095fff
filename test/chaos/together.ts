/**
 * All faults at once: kill -9, SIGTERM, SIGSTOP, restarts of NATS and of both databases, nodes cut off from NATS, from
 * the database and from each other, each striking by itself for so many minutes while money moves through all patterns.
 * Then everything is healed, every transfer is followed to its end and the bank is counted.
 */
import { setTimeout as delay } from "node:timers/promises";
import { createConnection, type RowDataPacket } from "mysql2/promise";
import { createClient } from "../../src/client/index.js";
import { type Fleet, startFleet } from "../cluster/fleet.js";
import { statusOf } from "../cluster/load.js";
import { startProxy } from "../cluster/proxy.js";
import { type Counter, carryOut, draw, type End, judgeTransfer, moving, patterns, type Transfer } from "./transfers.js";
import { type Lines, startTroubles, type Troubles, troubleKinds } from "./troubles.js";
import { openVault, xaBranch } from "./vault.js";

/** How long and how much. */
export interface Together {
  readonly minutes: number;
  readonly clients: number;
  readonly leaseMs: number;
  readonly random: () => number;
  /** Told lines for people. */
  say(line: string): void;
}

/** From so many minutes on everything must have been met: each fault at work, each end of each pattern. */
const longMinutes = 2;

/** Longest wait for the end of everything once all faults are over. */
const endWithinMs = 180_000;

/** Runs it; resolves to complaints, none when everything is right. */
export async function together(options: Together): Promise<readonly string[]> {
  const { random, leaseMs, say } = options;
  const notes = new Map<string, number>();
  const note = (text: string) => void notes.set(text, (notes.get(text) ?? 0) + 1);
  const vault = await openVault(random, note);
  const lines = new Map<string, Lines>();
  const fleet = await startFleet({
    ...{ names: ["a", "b", "c"], leaseMs },
    lines: async (name, { mysql, nats, node }) => {
      const host = "127.0.0.2"; // where the others find a line to the node instead of the node itself
      const line = { mysql: await startProxy(mysql), nats: await startProxy(nats) };
      lines.set(name, { ...line, node: await startProxy(node, { host, port: node }) });
      return { mysql: line.mysql.port, nats: line.nats.port, host };
    },
  });
  const endpoints = fleet.nodes.map(({ http }) => http);
  const { fetch, storyOf } = recorder();
  const client = createClient({ endpoints, checkBackUrl: vault.steps.check, callTimeout: "3s", fetch });
  const flow = moving(vault, random);
  const flows = client.workflows([flow], { callbackUrl: vault.steps.workflow, lease: "3s" });
  vault.mount([flows.route, xaBranch(vault, client)]);
  const relay = vault.outbox.start(client);
  const atWork = () => vault.atWork;
  const troubles = startTroubles({ fleet, lines, bank: vault.server, random, atWork, asked: new Set() });
  const counter: Counter = { client, vault, flows, random, note };
  try {
    const transfers = await transferFor(options, counter, flow, troubles);
    say("no more faults: everything is healed");
    await troubles.stop();
    await fleet.settled(60, 60_000);
    const found = await judge(counter, transfers, options);
    const complaints = await Promise.all(found.map((text) => explained(text, fleet, storyOf)));
    return [...complaints, ...sayTroubles(options, troubles, say), ...sayNotes(notes, say)];
  } catch (error) {
    say(`logs: ${fleet.nodes.map(({ log }) => log).join(" ")}`);
    throw error;
  } finally {
    await relay.close();
    await flows.close();
    await client.close();
    await fleet.close();
    for (const { mysql, nats, node } of lines.values()) await Promise.all([mysql.close(), nats.close(), node.close()]);
    await vault.close();
  }
}

/** A fetch that remembers what was asked about each gid and what was answered: a complaint is told with its story. */
function recorder() {
  const stories = new Map<string, string[]>();
  const since = () => `${new Date().toISOString().slice(11, 23)}`;
  const fetch = async (url: string, init: RequestInit): Promise<Response> => {
    const gid = /all-\d+/.exec(`${url} ${String(init.body ?? "")}`)?.[0] ?? "";
    const lines = stories.get(gid) ?? [];
    stories.set(gid, lines);
    const asked = `${since()} ${url.slice(0, 90)}`;
    try {
      const answer = await globalThis.fetch(url, init);
      const text = await answer.clone().text();
      lines.push(`${asked} → ${since()} ${answer.status} ${text.slice(0, 160)}`);
      return answer;
    } catch (error) {
      lines.push(`${asked} → ${since()} ${String(error)}`);
      throw error;
    }
  };
  return { fetch, storyOf: (gid: string) => stories.get(gid) ?? [] };
}

/** A complaint with what was asked and answered about its transfer, and what the database holds of it. */
async function explained(
  complaint: string,
  fleet: Fleet,
  storyOf: (gid: string) => readonly string[],
): Promise<string> {
  const gid = /all-\d+/.exec(complaint)?.[0];
  if (gid === undefined) return complaint;
  const asked = await createConnection({ uri: fleet.database.url });
  try {
    const [heads] = await asked.query<RowDataPacket[]>("select * from head where gid = ?", [gid]);
    const seen = await Promise.all(fleet.nodes.map((node) => statusOf(node, gid).catch(String)));
    const state = await fetch(`${fleet.nodes[0]!.http}/api/v1/transactions/${gid}`).then((answer) => answer.text());
    const now = `stored: ${heads.length}; the nodes say ${seen}; ${state.slice(0, 3000)}`;
    return [complaint, ...storyOf(gid).slice(0, 40), now].join("\n    ");
  } finally {
    asked.destroy();
  }
}

/** Clients that transfer until the time is over; resolves to all transfers when each client has its answers. */
async function transferFor(
  { minutes, clients, random, say }: Together,
  counter: Counter,
  flow: ReturnType<typeof moving>,
  troubles: Troubles,
): Promise<readonly Transfer[]> {
  const transfers: Transfer[] = [];
  const startedMs = performance.now();
  const endMs = startedMs + minutes * 60_000;
  const client = async () => {
    while (performance.now() < endMs) {
      const nth = transfers.length;
      const transfer = draw(patterns[nth % patterns.length]!, `all-${nth}`, random);
      transfers.push(transfer);
      await carryOut(counter, transfer, flow);
      await delay(random() * 20);
    }
  };
  const ended = new AbortController();
  const speak = async () => {
    for (;;) {
      await delay(20_000, undefined, { signal: ended.signal });
      const struck = [...troubles.struck.values()].reduce((total, { times }) => total + times, 0);
      const told = transfers.filter(({ told: its }) => its !== "unknown").length;
      say(
        `${Math.round((performance.now() - startedMs) / 1000)} s: ${struck} faults, now ${troubles.underWay.join(", ")}; ` +
          `${transfers.length} transfers, ${told} answered`,
      );
    }
  };
  speak().catch(() => {});
  await Promise.all(Array.from({ length: clients }, client));
  ended.abort();
  return transfers;
}

async function endOf({ client }: Counter, gid: string, endMs: number): Promise<End> {
  for (;;) {
    const state = await client.query(gid).catch(() => ({ status: "pending" as const }));
    const end: End = state === undefined ? "none" : state.status;
    if (end !== "pending" || performance.now() > endMs) return end;
    await delay(200);
  }
}

async function judge(
  counter: Counter,
  transfers: readonly Transfer[],
  { minutes, say }: Together,
): Promise<readonly string[]> {
  const { vault } = counter;
  const endMs = performance.now() + endWithinMs;
  const [late, healedMs] = [await vault.unsent(), performance.now()];
  while ((await vault.unsent()) > 0 && performance.now() < endMs) await delay(200);
  say(
    `outbox: ${late} messages taken only after the faults, the last ${Math.round(performance.now() - healedMs)} ms later`,
  );
  const ends = new Map<string, End>();
  const queue = [...transfers];
  const follow = async () => {
    for (let next = queue.pop(); next !== undefined; next = queue.pop())
      ends.set(next.gid, await endOf(counter, next.gid, endMs));
  };
  await Promise.all(Array.from({ length: 12 }, follow));
  while (vault.atWork > 0 && performance.now() < endMs) await delay(50); // calls that were sent twice
  const [effects, prepared, dead] = [await vault.effects(), await vault.xa.prepared(), await vault.outbox.dead()];
  const complaints = transfers
    .map((transfer) => judgeTransfer(transfer, ends.get(transfer.gid)!, effects.get(transfer.gid)))
    .filter((complaint) => complaint !== "");
  if (prepared.length > 0)
    complaints.push(`${prepared.length} branches are still prepared: ${prepared.slice(0, 5)}; ${await vault.busy()}`);
  if (dead.length > 0) complaints.push(`${dead.length} messages of the outbox are dead: ${dead[0]!.reason}`);
  for (const pattern of patterns) {
    const of = transfers.filter((transfer) => transfer.pattern === pattern);
    const ended = (end: End) => of.filter(({ gid }) => ends.get(gid) === end).length;
    const unclear = of.filter(({ told }) => told === "unknown").length;
    const [good, bad] = [ended("succeeded"), ended("failed")];
    say(
      `${pattern}: ${of.length} transfers, ${good} succeeded, ${bad} failed, ${ended("none")} never stored; ` +
        `${unclear} of them without a clear answer to their initiator`,
    );
    const mustFail = pattern !== "outbox" && minutes >= longMinutes;
    if (good === 0 || (bad === 0 && mustFail)) complaints.push(`${pattern}: not every end was met`);
  }
  const total = await vault.total();
  say(`${vault.calls} calls of participants; the bank has ${total} of ${vault.expectedTotal}`);
  if (total !== vault.expectedTotal) complaints.push(`the bank has ${total}, not ${vault.expectedTotal}`);
  return complaints;
}

/** What struck, and what is too little to prove anything; nodes may end only when they are told to. */
function sayTroubles({ minutes }: Together, troubles: Troubles, say: (line: string) => void): readonly string[] {
  const complaints: string[] = [];
  for (const [kind, { times, hit, beside }] of troubles.struck) {
    say(`${kind}: ${times}, ${hit} while transfers were being called, ${beside} beside another fault`);
    const least = Math.max(1, Math.floor(minutes));
    if (times < least || (hit === 0 && minutes >= longMinutes))
      complaints.push(`${kind}: ${times} (${hit} at work), at least ${least} are needed`);
  }
  const possible = (troubleKinds.length * (troubleKinds.length - 1)) / 2;
  say(`at once: up to ${troubles.mostAtOnce}; ${troubles.pairs.size} of ${possible} pairs of kinds have met`);
  if (troubles.mostAtOnce < (minutes < longMinutes ? 2 : 4))
    complaints.push(`never more than ${troubles.mostAtOnce} faults at once`);
  for (const [end, count] of troubles.ends) {
    say(`nodes that ${end}: ${count}`);
    if (!expectedEnds.has(end)) complaints.push(`a node ${end} (${count} times)`);
  }
  return complaints;
}

/**
 * 5: the store cannot be opened; a node that starts while its database is away says so and ends. 1 after SIGTERM: it
 * could hand nothing over, since its database was away, and ended when its time was up.
 */
const expectedEnds: ReadonlySet<string> = new Set([
  ...[
    "ended with SIGKILL",
    "ended with SIGKILL after SIGTERM",
    "ended with 0 after SIGTERM",
    "ended with 1 after SIGTERM",
  ],
  ...["SIGKILL", "SIGTERM", "0", "5"].map((code) => `did not start, ended with ${code}`),
]);

function sayNotes(notes: ReadonlyMap<string, number>, say: (line: string) => void): readonly string[] {
  for (const [text, count] of notes) say(`${text}: ${count}`);
  return [];
}
