/**
 * Transactions that stand in a store as a crashed node left them: submitted, due at a given time, nothing called.
 */
import { decide } from "../../src/core/decide.js";
import { headOf } from "../../src/core/head.js";
import type { Request } from "../../src/core/input.js";
import { nextId, shardOf } from "../../src/core/shard.js";
import type { Commit, Store } from "../../src/ports/store.js";
import { saga, settings } from "./harness.js";

/** What stands in the store for one of them. */
export interface Left {
  readonly gid: string;
  readonly urls: readonly string[];
  /** When it is due; its head says so. */
  readonly wakeAtMs: number;
}

/** The commit that created it. Its actions are not intended yet: it was created and the node died. */
function creation({ gid, urls, wakeAtMs }: Left, nowMs: number, ids: Map<number, number>): Commit {
  const shard = shardOf(gid);
  const id = nextId(shard, ids.get(shard) ?? 0, nowMs);
  ids.set(shard, id);
  const request: Request = { kind: "submit", submission: saga(urls) };
  const { tx, events } = decide(undefined, request, {
    gid,
    nowMs,
    jitter: 0.5,
    newId: id,
    topics: new Map(),
    defaults: settings.defaults,
    alertAfter: 3,
    parkAfter: 0,
    branchesMax: 1000,
  });
  const row = { version: 1, retryOf: undefined, events };
  return { gid, id, shard, epoch: 1, row, head: headOf(tx!, wakeAtMs) };
}

/** Puts them into the store, a thousand at a time. */
export async function leave(store: Pick<Store, "commit">, left: readonly Left[], nowMs: number): Promise<void> {
  const ids = new Map<number, number>();
  const commits = left.map((one) => creation(one, nowMs, ids));
  for (let i = 0; i < commits.length; i += 1000) {
    const verdicts = await store.commit(commits.slice(i, i + 1000));
    const bad = verdicts.findIndex((verdict) => verdict !== "ok");
    if (bad >= 0) throw new Error(`gid ${commits[i + bad]!.gid}: ${verdicts[bad]}`);
  }
}
