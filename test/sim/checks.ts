/**
 * What must be true of every run at its end, after healing: judged from the ledger, from the store, from what the
 * participants did and from what the clients were told. What can be judged at once is in `ledger.ts` and `world.ts`.
 */
import type { Transaction } from "../../src/core/transaction.js";
import { branchId, type Story } from "./clients.js";
import { type Account, isFinal } from "./ledger.js";
import type { World } from "./world.js";

/** Judges one transaction. */
export function judge(world: World, story: Story): readonly string[] {
  const account = world.ledger.accounts.get(story.gid);
  const found = [...story.wrong];
  if (account !== undefined && !world.poisoned.has(story.gid)) {
    if (!isFinal(account)) found.push(`L1: still '${account.status}' long after healing, parked ${account.parked}`);
    else if (!story.forced && !world.forced.has(story.gid)) found.push(...judgeEffects(world, story, account));
    if (story.topic !== undefined) found.push(...judgeTopic(world, story, account));
  }
  if (account === undefined && story.submitted) found.push("S1: submit acknowledged, but nothing is stored");
  return found.map(
    (text) => `${text.slice(0, text.indexOf(":"))}: ${story.gid} (${story.type})${text.slice(text.indexOf(":") + 1)}`,
  );
}

/** The store agrees with the ledger: the state is the fold of the journal (unless retention took it). */
export async function judgeStore(world: World): Promise<readonly string[]> {
  const gids = [...world.ledger.accounts.keys()];
  const loaded = await world.store.load(gids);
  const found: string[] = [];
  for (const [i, gid] of gids.entries()) {
    const account = world.ledger.accounts.get(gid)!;
    const tx = loaded[i]?.tx;
    if (tx === undefined) found.push(`S1: ${gid} is stored no more`);
    else if (tx.status !== account.status) found.push(`S3: ${gid} is '${tx.status}', was '${account.status}'`);
    world.coverage.count("checked: final status stays");
    if (tx === undefined || tx.version === 0) continue;
    world.coverage.count("checked: journal folds to the state");
    if (!agrees(tx, account)) found.push(`S3: ${gid} is not the fold of what was stored`);
  }
  return found;
}

function agrees({ ops, rollbackReason }: Transaction, account: Account): boolean {
  if (rollbackReason !== account.reason || ops.length !== account.ops.length) return false;
  return ops.every(({ branchId: id, op, status, startedAtMs }, i) => {
    const its = account.ops[i]!;
    return id === its.branchId && op === its.op && status === its.status && startedAtMs === its.startedMs;
  });
}

/** Of two processes of one name the older one ends. */
export function judgeRivals(world: World): readonly string[] {
  return world.processes
    .filter((process) => process.alive && world.nodes.get(process.name)?.process !== process)
    .map(({ name }) => `LEASE: ${name} runs twice`);
}

/** S10: nothing is left over in any queue once all is done. */
export function judgeQueues(world: World): readonly string[] {
  const found: string[] = [];
  for (const [name, { process, member }] of world.nodes) {
    if (!process.alive) continue;
    const { commitsQueued, callsInFlight, callsWaiting, timers, resident } = member.engine.stats();
    const left = { commitsQueued, callsInFlight, callsWaiting, timers, resident, outstanding: member.link.outstanding };
    world.coverage.count("checked: queues empty at the end");
    const mayStay = world.poisoned.size;
    if (commitsQueued + callsInFlight + callsWaiting + left.outstanding > mayStay || resident > 2 * mayStay)
      found.push(`S10: ${name} has left ${JSON.stringify(left)}`);
  }
  return found;
}

/** One effect per branch and op; all stand, or none does; no money appears or vanishes. */
function judgeEffects({ services, coverage }: World, story: Story, account: Account): readonly string[] {
  const found: string[] = [];
  // Nobody but a workflow's own code knows of a step that it did and did not report (D10).
  if (account.type === "workflow" && account.ops.length === 0) return found;
  const first = story.type === "tcc" ? "try" : "action";
  const { status } = account;
  const phased = story.type === "tcc" || story.type === "xa";
  let exempt = false;
  const ids =
    story.topic === undefined
      ? Array.from({ length: story.branches }, (_, i) => branchId(i + 1))
      : account.ops.map(({ branchId: id }) => id);
  for (const [op, times] of services.effectsOf(story.gid))
    if (times > 1) found.push(`BARRIER: doubled effect of ${op}`);
  for (const [i, id] of ids.entries()) {
    const net = services.net(story.gid, id, first);
    const undoable = story.type !== "saga" || account.ops[2 * i]?.url !== "";
    exempt ||= !undoable;
    if (status === "failed" && net !== 0 && undoable) found.push(`S5: ${first} ${id} stands after 'failed'`);
    const due = !phased || account.ops.some(({ branchId: other }) => other === id);
    if (status === "succeed" && due && net !== 1) found.push(`S6: ${first} ${id} is missing after 'succeed'`);
    exempt ||= status === "succeed" && !due;
  }
  coverage.count("checked: one effect per op");
  const blamed = account.events.some((event) => event.kind === "aborting" && event.reason.includes("return failed"));
  if (blamed) coverage.count("checked: rolled back for a reason");
  if (blamed && !services.refusals.has(story.gid)) found.push("S4: rolled back for a refusal that nobody gave");
  const committed = services.committed.has(story.gid);
  if (story.type === "msg" && (status === "succeed") !== committed)
    found.push(`MSG: '${status}', though the local transaction is ${committed ? "" : "not "}committed`);
  const sum = services.moved.get(story.gid) ?? 0;
  if (!exempt) coverage.count("checked: money conserved");
  if (!exempt && sum !== 0) found.push(`MONEY: ${sum} appeared after '${status}'`);
  return found;
}

/** A message goes to those who were subscribed at some moment between its first request and its record. */
function judgeTopic({ coverage, editions }: World, story: Story, account: Account): readonly string[] {
  coverage.count("checked: topic as subscribed");
  const sent = account.ops.map(({ url }) => url).join(" ");
  const right = editions.some(({ urls, sinceMs }, i) => {
    const untilMs = editions[i + 1]?.sinceMs ?? Number.POSITIVE_INFINITY;
    return sinceMs <= account.storedMs && untilMs >= story.beganMs && urls.join(" ") === sent;
  });
  return right ? [] : [`TOPIC: branches ${sent} were never the subscribers at that time`];
}
