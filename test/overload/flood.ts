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
  readonly connectionsMax: number;
  /** URL of both actions. */
  readonly action: string;
  readonly nextIndex: () => number;
}

/** Runs it; the result is filled while it runs, and final when `done` resolves. */
export function flood(plan: FloodPlan): { readonly counts: Flood; readonly done: Promise<void> } {
  const counts: Flood = {
    sent: 0,
    acknowledged: 0,
    refused: 0,
    heldBack: 0,
    errors: 0,
    firstError: undefined,
    accepted: new Set(),
  };
  return { counts, done: pour(plan, counts) };
}

async function pour(plan: FloodPlan, counts: Flood): Promise<void> {
  const { hostname, port, pathname } = new URL(plan.api);
  const idle: Connection[] = [];
  const all: Connection[] = [];
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
      const connection = idle.pop() ?? more(plan, all, hostname, Number(port));
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

function more(plan: FloodPlan, all: Connection[], host: string, port: number): Connection | undefined {
  if (all.length >= plan.connectionsMax) return undefined;
  const connection = new Connection(host, port);
  all.push(connection);
  return connection;
}

function fail(counts: Flood, text: string): void {
  counts.errors++;
  counts.firstError ??= text;
}
