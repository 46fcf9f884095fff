/**
 * Takes apart a flush that was not written: which of its commits cannot be, and why, by what is stored. Pure.
 */
import type { Commit, Verdict } from "../../ports/store.js";
import type { Results } from "./session.js";

/** What is stored where a batch wants to write. */
export interface Facts {
  readonly epochs: ReadonlyMap<number, number>;
  /** Version of the newest numbered row, by id; absent = there is no journal. */
  readonly newest: ReadonlyMap<number, number>;
  /** Unfinished transactions by id. */
  readonly unfinished: ReadonlySet<number>;
  readonly takenIds: ReadonlySet<number>;
  readonly takenGids: ReadonlySet<string>;
}

/** Reads the results of `factsQuery`. */
export function readFacts([shards, journals, heads, gids]: Results): Facts {
  return {
    epochs: new Map(shards!.map((row) => [row.shard_id, Number(row.epoch)])),
    newest: new Map(journals!.map((row) => [Number(row.id), Number(row.newest)])),
    unfinished: new Set(heads!.filter((row) => row.ended_at === null).map((row) => Number(row.id))),
    takenIds: new Set(heads!.map((row) => Number(row.id))),
    takenGids: new Set(gids!.map((row) => row.gid.toString("utf8"))),
  };
}

/** Why the commit cannot be stored, or `undefined`: nothing is in its way. */
export function obstacle({ gid, id, shard, epoch, row }: Commit, facts: Facts): Exclude<Verdict, "ok"> | undefined {
  if (facts.epochs.get(shard) !== epoch) return "fenced";
  const newest = facts.newest.get(id);
  if (row.version === 1 && row.retryOf === undefined) {
    return facts.takenGids.has(gid) || facts.takenIds.has(id) || newest !== undefined ? "conflict" : undefined;
  }
  return newest === (row.retryOf === undefined ? row.version - 1 : row.version) ? undefined : "conflict";
}

/**
 * What can only be if the database has lost what it had committed: an epoch, or the version of a running transaction,
 * below what this node has seen. `undefined` = nothing of the kind.
 */
export function regression({ gid, id, shard, epoch, row }: Commit, facts: Facts): string | undefined {
  const now = facts.epochs.get(shard) ?? 0;
  if (now < epoch) return `shard ${shard} has epoch ${now}, it had ${epoch}`;
  const seen = row.retryOf === undefined ? row.version - 1 : row.version;
  const newest = facts.newest.get(id);
  if (newest === undefined || newest >= seen || now !== epoch || !facts.unfinished.has(id)) return undefined;
  return `gid ${gid} has version ${newest}, it had ${seen}`;
}
