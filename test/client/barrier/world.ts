// A database with a barrier and a log of business effects, as the property tests see it: the same traces run against
// the memory model and against real servers.

import type { BarrierStore } from "../../../src/client/barrier/guard.js";
import { createGuard, type Guard } from "../../../src/client/barrier/guard.js";
import { type MemoryTx, memoryBarrier } from "../../../src/client/barrier/memory.js";
import { Failure, isOngoing } from "../../../src/client/errors.js";

/** A business effect that was committed: which op of which branch, by which barrier call of its handler. */
export interface Effect {
  readonly branchId: string;
  readonly op: string;
  readonly call: number;
}

/** A barrier row as found in the table. */
export interface Row {
  readonly branchId: string;
  readonly op: string;
  readonly barrierId: string;
  readonly reason: string;
}

/** One database under test. */
export interface World<Tx> {
  readonly guard: Guard<Tx>;
  /** Writes the effect inside `tx`. */
  apply(tx: Tx, gid: string, effect: Effect): Promise<void>;
  /** Committed effects of a gid in the order in which they were written. */
  effects(gid: string): Promise<readonly Effect[]>;
  rows(gid: string): Promise<readonly Row[]>;
}

/** The memory model; `bend` replaces its store by a faulty one. */
export function memoryWorld(
  bend: (store: BarrierStore<MemoryTx>) => BarrierStore<MemoryTx> = (store) => store,
): World<MemoryTx> {
  const database = memoryBarrier();
  const listed = (gid: string) => (database.values.get(gid) as readonly Effect[] | undefined) ?? [];
  return {
    guard: createGuard(bend(database.store)),
    apply: (tx, gid, effect) =>
      tx.update(gid, (current) => [...((current as readonly Effect[] | undefined) ?? []), effect]),
    effects: async (gid) => listed(gid),
    rows: async (gid) => [...database.rows.values()].filter((row) => row.gid === gid),
  };
}

/** How the handling of one delivery ends. */
export type Fate = "ok" | "refuses" | "crashes" | "crashes between calls" | "answer lost";

/** One delivery of a trace. */
export interface DeliveryPlan {
  readonly side: "origin" | "compensation";
  readonly fate: Fate;
}

/** What a delivery's caller saw, with the effects that were committed at that moment. */
export interface Observation extends DeliveryPlan {
  readonly answer: "success" | "failure" | "ongoing" | "error" | "none";
  readonly kinds: readonly string[];
  readonly effectsThen: readonly Effect[];
  /** True if a compensation had been started before this delivery was answered. */
  readonly compensationSeen: boolean;
}

/** Ops of a pair, as the wire names them. */
export interface Pair {
  readonly transType: string;
  readonly origin: string;
  readonly compensation: string;
}

/** All pairs of ops that DTM has. */
export const pairs: readonly Pair[] = [
  { transType: "saga", origin: "action", compensation: "compensate" },
  { transType: "tcc", origin: "try", compensation: "cancel" },
  { transType: "workflow", origin: "action", compensation: "rollback" },
];

/** Thrown to stand for a process that dies: nobody catches it, nothing is answered. */
export class Crash extends Error {}

/** Lets other deliveries go on; the test decides in which order. */
export type Pause = (where: string) => Promise<void>;

/**
 * Runs all deliveries at once for one branch; `calls` barrier calls each. Resolves to what their callers saw, in order
 * of answers.
 */
export async function play<Tx>(
  world: World<Tx>,
  branch: { readonly gid: string; readonly branchId: string; readonly pair: Pair; readonly calls: number },
  plans: readonly DeliveryPlan[],
  pause: Pause,
): Promise<readonly Observation[]> {
  const seen: Observation[] = [];
  let compensationStarted = false;
  await Promise.all(
    plans.map(async (plan, index) => {
      await pause(`delivery ${index} starts`);
      if (plan.side === "compensation") compensationStarted = true;
      const { answer, kinds } = await deliver(world, branch, plan, pause);
      const compensationSeen = compensationStarted;
      const effectsThen = await world.effects(branch.gid);
      seen.push({ ...plan, answer, kinds, effectsThen, compensationSeen });
    }),
  );
  return seen;
}

async function deliver<Tx>(
  world: World<Tx>,
  branch: { readonly gid: string; readonly branchId: string; readonly pair: Pair; readonly calls: number },
  plan: DeliveryPlan,
  pause: Pause,
): Promise<{ answer: Observation["answer"]; kinds: readonly string[] }> {
  const op = plan.side === "origin" ? branch.pair.origin : branch.pair.compensation;
  const { gid, branchId } = branch;
  const request = {
    url: `/step?${new URLSearchParams({ gid, branch_id: branchId, op, trans_type: branch.pair.transType })}`,
  };
  const kinds: string[] = [];
  try {
    for (let call = 1; call <= branch.calls; call++) {
      const result = await world.guard.run(request, async (tx) => {
        await world.apply(tx, gid, { branchId, op, call });
        await pause(`${op} ${call} in its transaction`);
        if (plan.fate === "refuses") throw new Failure("no");
        if (plan.fate === "crashes" && call === branch.calls) throw new Crash();
      });
      kinds.push(result.kind);
      if (plan.fate === "crashes between calls") throw new Crash();
      await pause(`${op} ${call} committed`);
    }
  } catch (error) {
    if (error instanceof Crash) return { answer: "none", kinds };
    if (error instanceof Failure) return { answer: "failure", kinds };
    return { answer: isOngoing(error) ? "ongoing" : "error", kinds };
  }
  return { answer: plan.fate === "answer lost" ? "none" : "success", kinds };
}
