/**
 * All writing to the embedded store: one batch after another, each one LMDB transaction with one sync. What is to be
 * written is worked out before the first byte is handed over: a batch that throws halfway would be half written.
 */
import type { Head } from "../../core/head.js";
import type { Commit, Verdict } from "../../ports/store.js";
import { StoreRefused, StoreUnavailable } from "../../ports/store.js";
import { headCodec, rowCodec } from "../codec.js";
import type { Table, Tables } from "./folder.js";
import { dueKey, endedKey, gidKey, idKey, keyBytesMax, readNumber, rowKey, rowKeysOf } from "./keys.js";
import { Tally, tallyCodec } from "./tally.js";

/** A row to be written, or removed where there is no value. */
export interface Write {
  readonly table: Table;
  readonly key: Buffer;
  readonly value: Buffer | undefined;
}

/** What a piece of work wants written, and what it says when that is durable. */
export interface Plan<T> {
  readonly writes: readonly Write[];
  readonly result: T;
  /** Of the store after the writes, where they change it. */
  readonly tally?: Tally;
}

const tallyKey = Buffer.from("tally");
const present = Buffer.from([1]);

/** The only writer. */
export class Writer {
  readonly #tables: Tables;
  #tally: Tally;
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(tables: Tables) {
    this.#tables = tables;
    const stored = tables.meta.getBinary(tallyKey);
    const { lastIds, counts } = stored === undefined ? { lastIds: [], counts: [] } : tallyCodec.decode(stored);
    this.#tally = new Tally(lastIds, counts);
  }

  /** As of the last durable batch. */
  get tally(): Tally {
    return this.#tally;
  }

  /**
   * Makes a plan when all earlier ones are durable, and carries it out.
   * @throws StoreUnavailable when the plan could not be made durable: nothing of it was written
   */
  async write<T>(plan: () => Plan<T>): Promise<T> {
    if (this.#closed) throw new StoreUnavailable("the store is closed");
    const turn = this.#last.then(() => this.#carryOut(plan()));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** Resolves when what was begun is done; later work is turned away. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#last;
  }

  /** Verdicts and writes for a batch, by what is stored now. */
  planCommits(batch: readonly Commit[]): Plan<readonly Verdict[]> {
    const writes: Write[] = [];
    const tally = this.#tally.copy();
    const [gids, ids] = [new Set<string>(), new Set<number>()];
    const verdicts = batch.map((commit): Verdict => {
      if (gids.has(commit.gid) || ids.has(commit.id) || !this.#fits(commit)) return "conflict";
      gids.add(commit.gid);
      ids.add(commit.id);
      this.#planCommit(commit, writes, tally);
      return "ok";
    });
    const changed = batch.some((commit, i) => verdicts[i] === "ok" && commit.head !== undefined);
    return changed ? { writes, result: verdicts, tally } : { writes, result: verdicts };
  }

  /** As `planCommits`, but what is stored already is as good as stored now. */
  planSettling(batch: readonly Commit[]): Plan<readonly Verdict[]> {
    const there = batch.map((commit) => this.#holds(commit));
    const plan = this.planCommits(batch.filter((_, i) => !there[i]));
    const rest = [...plan.result];
    return { ...plan, result: there.map((holds) => (holds ? "ok" : rest.shift()!)) };
  }

  /** What removes the journal of an ended transaction, and all that is left of it where `whole`. */
  planPurge(head: Head, whole: boolean, tally: Tally): Write[] {
    const { journal, heads, gids, ended } = this.#tables;
    const keys = [...journal.getKeys({ ...rowKeysOf(head.id), inclusiveEnd: true })];
    const writes: Write[] = keys.map((key) => ({ table: journal, key, value: undefined }));
    const endedAtMs = head.endedAtMs!;
    writes.push({ table: ended, key: endedKey(false, endedAtMs, head.id), value: undefined });
    writes.push({ table: ended, key: endedKey(true, endedAtMs, head.id), value: whole ? undefined : present });
    if (!whole) return writes;
    tally.replaced(head, undefined);
    writes.push({ table: heads, key: idKey(head.id), value: undefined });
    writes.push({ table: gids, key: gidKey(head.gid), value: undefined });
    return writes;
  }

  async #carryOut<T>(plan: Plan<T>): Promise<T> {
    if (plan.writes.length === 0) return plan.result;
    const { root, meta } = this.#tables;
    const done = root.batch(() => {
      for (const { table, key, value } of plan.writes) {
        if (value === undefined) void table.remove(key);
        else void table.put(key, value);
      }
      if (plan.tally !== undefined) void meta.put(tallyKey, plan.tally.stored());
    });
    try {
      await done;
    } catch (error) {
      const cause = await causeOf(error);
      throw new StoreUnavailable(`the store could not be written: ${String(cause)}`, { cause });
    }
    if (plan.tally !== undefined) this.#tally = plan.tally;
    return plan.result;
  }

  /** Whether gid, id and version are as the commit supposes. */
  #fits({ gid, id, row }: Commit): boolean {
    const { gids, heads, journal } = this.#tables;
    const key = gidKey(gid);
    if (key.length > keyBytesMax) throw new StoreRefused(`gid of ${key.length} bytes, at most ${keyBytesMax} fit`);
    const kept = gids.getBinary(key);
    if (row.version === 1 && row.retryOf === undefined) return kept === undefined && !heads.doesExist(idKey(id));
    if (kept === undefined || readNumber(kept, 0) !== id || row.version < 1) return false;
    const newest = row.retryOf === undefined ? row.version - 1 : row.version;
    const has = (version: number): boolean => journal.doesExist(rowKey(id, { version, retryOf: undefined }));
    return has(newest) && !has(newest + 1);
  }

  #holds({ gid, id, row }: Commit): boolean {
    const kept = this.#tables.gids.getBinary(gidKey(gid));
    if (kept === undefined || readNumber(kept, 0) !== id) return false;
    return this.#tables.journal.getBinary(rowKey(id, row))?.equals(rowCodec.encode(row)) ?? false;
  }

  #planCommit(commit: Commit, writes: Write[], tally: Tally): void {
    const { gids, heads, journal } = this.#tables;
    const { gid, id, row, head } = commit;
    const isNew = row.version === 1 && row.retryOf === undefined;
    if (isNew && head === undefined) throw new Error(`gid ${gid}: created without a head`);
    if (isNew) writes.push({ table: gids, key: gidKey(gid), value: idKey(id) });
    writes.push({ table: journal, key: rowKey(id, row), value: rowCodec.encode(row) });
    if (head === undefined) return;
    const stored = isNew ? undefined : heads.getBinary(idKey(id));
    const before = stored === undefined ? undefined : headCodec.decode(stored);
    writes.push({ table: heads, key: idKey(id), value: headCodec.encode(head) });
    this.#planIndexes(before, head, writes);
    tally.replaced(before, head);
  }

  #planIndexes(before: Head | undefined, after: Head, writes: Write[]): void {
    const { due, open, ended } = this.#tables;
    const { id, shard, gid } = after;
    if (before?.wakeAtMs !== after.wakeAtMs) {
      if (before?.wakeAtMs !== undefined) {
        writes.push({ table: due, key: dueKey(shard, { wakeAtMs: before.wakeAtMs, id }), value: undefined });
      }
      if (after.wakeAtMs !== undefined) {
        writes.push({ table: due, key: dueKey(shard, { wakeAtMs: after.wakeAtMs, id }), value: gidKey(gid) });
      }
    }
    if (after.endedAtMs !== undefined && before?.endedAtMs === undefined) {
      writes.push({ table: ended, key: endedKey(false, after.endedAtMs, id), value: present });
      writes.push({ table: open, key: idKey(id), value: undefined });
    } else if (before === undefined) {
      writes.push({ table: open, key: idKey(id), value: present });
    }
  }
}

/** LMDB's own error comes as a promise that rejects in the same turn, or never. */
async function causeOf(error: unknown): Promise<unknown> {
  if (!(error instanceof Error) || !("commitError" in error)) return error;
  const told = Promise.resolve(error.commitError).then(
    () => error,
    (cause: unknown) => cause,
  );
  const nothing = new Promise<unknown>((resolve) => setImmediate(() => resolve(error)));
  return Promise.race([told, nothing]);
}
