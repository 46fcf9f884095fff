/**
 * What must be true of every run, whatever happened in it. Judged after healing, from the store and from what the
 * participants and clients saw; S2, S5 and S8 are also judged while it runs (`world.ts`).
 */
import { evolve, type JournalRow } from "../../src/core/evolve.js";
import type { Transaction } from "../../src/core/transaction.js";
import { branchId, type Story } from "./clients.js";
import type { World } from "./world.js";

const edges: ReadonlySet<string> = new Set([
  "saga prepared>submitted",
  "saga prepared>failed",
  "saga submitted>aborting",
  "saga submitted>succeed",
  "saga submitted>failed",
  "saga aborting>failed",
  "tcc prepared>submitted",
  "tcc prepared>aborting",
  "tcc prepared>failed",
  "tcc submitted>succeed",
  "tcc submitted>failed",
  "tcc aborting>failed",
  "xa prepared>submitted",
  "xa prepared>aborting",
  "xa prepared>failed",
  "xa submitted>succeed",
  "xa submitted>failed",
  "xa aborting>failed",
  "msg prepared>submitted",
  "msg prepared>failed",
  "msg submitted>succeed",
  "msg submitted>failed",
  "workflow prepared>succeed",
  "workflow prepared>failed",
]);

/** Judges one transaction; adds the transitions it made to `transitions`. */
export async function judge(world: World, story: Story, transitions: Map<string, number>): Promise<readonly string[]> {
  const found: string[] = [...story.wrong];
  const [stored] = await world.store.load([story.gid]);
  if (stored === undefined) {
    if (story.acknowledged) found.push("S1: acknowledged, but not stored");
    return found.map((text) => `${story.gid}: ${text}`);
  }
  const { tx } = stored;
  found.push(...judgeHistory(await world.store.history(story.gid), tx, transitions, story));
  if (tx.status !== "succeed" && tx.status !== "failed")
    found.push(`L1: still '${tx.status}' long after healing, parked ${tx.parked !== undefined}`);
  else if (!story.forced) found.push(...judgeEffects(world, story, tx));
  if (story.waited !== undefined && !story.forced && story.waited !== tx.status)
    found.push(`wait: was told '${story.waited}', ended '${tx.status}'`);
  return found.map((text) => `${story.gid} (${story.type}): ${text}`);
}

/** S3, S4, S6, S7, and that the state is the fold of its journal. */
function judgeHistory(rows: readonly JournalRow[], tx: Transaction, transitions: Map<string, number>, story: Story) {
  const found: string[] = [];
  const undone: number[] = [];
  let state: Transaction | undefined;
  for (const row of rows) {
    for (const event of row.events) {
      const before = state;
      state = evolve(state, event);
      if (event.kind === "settled" && state.ops[event.op]?.op === "compensate") undone.push(event.op);
      if (before === undefined || before.status === state.status) continue;
      const edge = `${tx.type} ${before.status}>${state.status}`;
      transitions.set(edge, (transitions.get(edge) ?? 0) + 1);
      if (!edges.has(edge)) found.push(`S4: ${edge} is no edge`);
    }
  }
  const hole = tx.ops.some(({ op, status }) => forward.has(op) && status !== "succeed");
  if (tx.status === "succeed" && tx.type !== "workflow" && hole) found.push("S6: succeed with a hole");
  if (!story.concurrent && undone.some((op, i) => i > 0 && op > undone[i - 1]!))
    found.push(`S7: compensated in the order ${undone}`);
  return found;
}

const forward: ReadonlySet<string> = new Set(["action", "confirm", "commit"]);

/** One effect per branch and op; all stand, or none does. */
function judgeEffects({ services }: World, story: Story, tx: Transaction): readonly string[] {
  const found: string[] = [];
  // Nobody but a workflow's own code knows of a step that it did and did not report (D10).
  if (tx.type === "workflow" && tx.ops.length === 0) return found;
  const first = story.type === "tcc" ? "try" : "action";
  for (let i = 1; i <= story.branches; i++) {
    const id = branchId(i);
    for (const op of ["action", "compensate", "try", "confirm", "cancel", "commit", "rollback"])
      if ((services.effects.get(`${story.gid} ${id} ${op}`) ?? 0) > 1) found.push(`doubled effect of ${op} ${id}`);
    const net = services.net(story.gid, id, first);
    const undoable = tx.type !== "saga" || tx.ops[2 * (i - 1)]?.url !== "";
    if (tx.status === "failed" && net !== 0 && undoable && story.type !== "msg")
      found.push(`${first} ${id} stands after 'failed'`);
    const due = story.type === "tcc" || story.type === "xa" ? tx.ops.some(({ branchId: b }) => b === id) : true;
    if (tx.status === "succeed" && due && net !== 1) found.push(`${first} ${id} is missing after 'succeed'`);
  }
  if (story.type === "msg") {
    const committed = services.committed.get(story.gid) === true;
    if ((tx.status === "succeed") !== committed)
      found.push(`msg '${tx.status}', local transaction committed: ${committed}`);
  }
  return found;
}
