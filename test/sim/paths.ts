/**
 * The shared store as one process reaches it: every statement goes over its path, and what the store takes is noted in
 * the ledger at the moment it takes it.
 */
import type { Keeper } from "../../cluster/keeper.js";
import { subscribersOf } from "../../src/engine/subscribers.js";
import type { Leases } from "../../src/ports/leases.js";
import type { Commit, Store, Verdict } from "../../src/ports/store.js";
import type { KeyValues } from "../../src/ports/topics.js";
import type { MemoryLeases } from "../../src/store/memory/leases.js";
import type { MemoryStore } from "../../src/store/memory/memory.js";
import { type Place, refusal, type StorePath } from "./machine.js";

/** The shared store, and who is told of what it took. */
export interface Shared {
  readonly store: MemoryStore;
  readonly leases: MemoryLeases;
  /** Gids of which the store takes nothing. */
  readonly poisoned: ReadonlySet<string>;
  noted(node: string, commit: Commit, verdict: Verdict): void;
  refused(): void;
  purged(transactions: number): void;
  /** A topic has these subscribers from now on. */
  subscribed(urls: readonly string[]): void;
}

/** How much longer a read of many takes, milliseconds for each. */
const pageMs = 2;

/** The store port of a process. `owner` settles commits in doubt; `begins` is told before a flush is sent. */
export function remoteStore(
  process: Place,
  path: StorePath,
  shared: Shared,
  owner: () => Pick<Keeper, "incarnation" | "bumped">,
  begins: () => void,
): Store {
  const { store, leases, poisoned } = shared;
  const read = <T>(work: () => Promise<T>) => process.remote(path, false, work);
  const check = (batch: readonly Commit[]) => {
    const bad = batch.find(({ gid }) => poisoned.has(gid));
    if (bad === undefined) return;
    shared.refused();
    throw refusal(bad.gid);
  };
  return {
    commit: (batch) => {
      begins();
      return process.remote(path, true, async () => {
        check(batch);
        const verdicts = await store.commit(batch);
        for (const [i, commit] of batch.entries()) shared.noted(process.name, commit, verdicts[i]!);
        return verdicts;
      });
    },
    settle: async (batch) => {
      const { incarnation } = owner();
      const { rows, verdicts } = await process.remote(path, true, async () => {
        const mine = [...new Set(batch.map(({ shard }) => shard))]
          .map((shard) => leases.row(shard)!)
          .filter((row) => row.owner === process.name && row.incarnation === incarnation);
        const bumped = await leases.claim(mine, process.name, incarnation);
        const epochs = new Map(bumped.map((row) => [row.shard, row.epoch]));
        const again = batch.map((commit) => ({ ...commit, epoch: epochs.get(commit.shard) ?? commit.epoch }));
        const settled = await store.settle(again);
        for (const [i, commit] of again.entries()) shared.noted(process.name, commit, settled[i]!);
        return { rows: bumped, verdicts: settled };
      });
      owner().bumped(rows);
      return verdicts;
    },
    load: (gids) => process.remote(path, false, () => store.load(gids), gids.length > 1 ? gids.length * pageMs : 0),
    history: (gid) => read(() => store.history(gid)),
    due: (...args) => read(() => store.due(...args)),
    earliest: () => read(() => store.earliest()),
    oldestUnfinished: () => read(() => store.oldestUnfinished()),
    list: (...args) => read(() => store.list(...args)),
    lastId: (shard) => read(() => store.lastId(shard)),
    count: () => read(() => store.count()),
    purge: (...args) =>
      read(async () => {
        const touched = await store.purge(...args);
        if (touched > 0) shared.purged(touched);
        return touched;
      }),
    close: async () => {},
  };
}

/** The leases port of a process. `givenUp`: shards that it has asked to be nobody's, with their epochs then. */
export function remoteLeases(
  process: Place,
  path: StorePath,
  { leases }: Shared,
  givenUp: Map<number, number>,
): Leases {
  const read = <T>(work: () => Promise<T>) => process.remote(path, false, work);
  const write = <T>(work: () => Promise<T>) => process.remote(path, true, work);
  return {
    join: (...args) => write(() => leases.join(...args)),
    renew: (...args) => write(() => leases.renew(...args)),
    look: (...args) => read(() => leases.look(...args)),
    fence: (...args) => write(() => leases.fence(...args)),
    claim: (...args) => write(() => leases.claim(...args)),
    release: (rows) => {
      for (const { shard, epoch } of rows) givenUp.set(shard, epoch);
      return write(() => leases.release(rows));
    },
    leave: (...args) => write(() => leases.leave(...args)),
    close: async () => {},
  };
}

/** The key-values port of a process. */
export function remoteKeyValues(process: Place, path: StorePath, { store, subscribed }: Shared): KeyValues {
  const read = <T>(work: () => Promise<T>) => process.remote(path, false, work);
  const write = <T>(work: () => Promise<T>) => process.remote(path, true, work);
  return {
    get: (...args) => read(() => store.get(...args)),
    put: (...args) =>
      write(async () => {
        const done = await store.put(...args);
        if (done) subscribed(subscribersOf(args[2]).map(({ url }) => url));
        return done;
      }),
    remove: (...args) => write(() => store.remove(...args)),
    scan: (...args) => read(() => store.scan(...args)),
  };
}
