/**
 * An open loop: so many submits a second whatever the answers, over as many connections as that takes. A gid is used
 * once; a refused submit is not repeated.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { Connection } from "../../bench/transports/connection.js";

/** What became of the submits. */
export interface Flood {
  sent: number;
  acknowledged: number;
  /** 503 and 429, as an overloaded node may answer. */
  refused: number;
  /** Not sent: every connection still waited for its answer, which is how a slow server holds a client back. */
  heldBack: number;
  /** Any other answer, a lost connection. */
  errors: number;
  firstError: string | undefined;
  /** Indexes of the acknowledged. */
  readonly accepted: Set<number>;
}

export interface FloodPlan {
  /** Base URL of DTM's API. */
  readonly api: string;
  readonly perSecond: number;
  readonly seconds: number;
  readonly connections: number;
  /** URL of both actions. */
  readonly action: string;
  readonly nextIndex: () => number;
}

/** Connects, then runs it; the result is filled while it runs, and final when `done` resolves. */
export async function flood(plan: FloodPlan): Promise<{ readonly counts: Flood; readonly done: Promise<void> }> {
  const counts: Flood = {
    sent: 0,
    acknowledged: 0,
    refused: 0,
    heldBack: 0,
    errors: 0,
    firstError: undefined,
    accepted: new Set(),
  };
  const { hostname, port } = new URL(plan.api);
  const all = await connectAll(plan.connections, hostname, Number(port));
  return { counts, done: pour(plan, all, counts) };
}

async function pour(plan: FloodPlan, all: readonly Connection[], counts: Flood): Promise<void> {
  const { pathname } = new URL(plan.api);
  const idle = [...all];
  const steps = [plan.action, plan.action].map((action) => ({ action, compensate: action }));
  const one = async (connection: Connection) => {
    const index = plan.nextIndex();
    const gid = `${randomBytes(12).toString("hex")}-${index}`;
    const body = JSON.stringify({ gid, trans_type: "saga", steps, payloads: ["{}", "{}"] });
    counts.sent++;
    try {
      const { status, body: text } = await connection.post(`${pathname}/submit`, body);
      if (status === 200) {
        counts.acknowledged++;
        counts.accepted.add(index);
      } else if (status === 503 || status === 429) counts.refused++;
      else fail(counts, `${status} ${text}`);
    } catch (cause) {
      fail(counts, String(cause));
    }
    idle.push(connection);
  };
  const beganMs = performance.now();
  const open = new Set<Promise<void>>();
  for (let due = 0; ; ) {
    const elapsedMs = performance.now() - beganMs;
    if (elapsedMs >= plan.seconds * 1000) break;
    for (const untilNow = Math.floor((elapsedMs * plan.perSecond) / 1000); due < untilNow; due++) {
      const connection = idle.pop();
      if (connection === undefined) counts.heldBack++;
      else {
        const work = one(connection).finally(() => open.delete(work));
        open.add(work);
      }
    }
    await delay(1);
  }
  await Promise.race([Promise.all(open), delay(30_000, undefined, { ref: false })]);
  for (const connection of all) connection.close();
}

/**
 * Some at a time: too many at once overflow the kernel's queue of connections to be accepted, which then answers with
 * resets, and that would be a test of the kernel.
 */
async function connectAll(count: number, host: string, port: number): Promise<readonly Connection[]> {
  const all: Connection[] = [];
  while (all.length < count) {
    const some = Array.from({ length: Math.min(200, count - all.length) }, () => new Connection(host, port));
    await Promise.all(some.map((connection) => connection.connect()));
    all.push(...some);
  }
  return all;
}

function fail(counts: Flood, text: string): void {
  counts.errors++;
  counts.firstError ??= text;
}
