/**
 * The embedded store: one process, one folder on a local disk. A commit is answered after the sync that made it
 * durable. Epochs are ignored: the folder's owner owns all shards for ever. Long reads are made in slices (pace.ts).
 */
import { fold, type JournalRow } from "../../core/evolve.js";
import { type Head, restoreFromHead } from "../../core/head.js";
import { shardCount } from "../../core/shard.js";
import {
  type Commit,
  type DueCursor,
  type DueEntry,
  type Filter,
  type Page,
  type Store,
  type Stored,
  StoreUnavailable,
  type Verdict,
} from "../../ports/store.js";
import type { KeyValue, KeyValues } from "../../ports/topics.js";
import { headCodec, rowCodec } from "../codec.js";
import { listCursor, readListCursor } from "../cursor.js";
import { matches, onlyUnfinished } from "../filter.js";
import { backup } from "./backup.js";
import { closeFolder, openFolder, type Table, type Tables } from "./folder.js";
import { dueKey, gidKey, idKey, readDueKey, readNumber, rowKeysOf } from "./keys.js";
import { LmdbKeyValues } from "./keyvalues.js";
import { Pace, type Pause, yieldToLoop } from "./pace.js";
import { purgeOnce } from "./purge.js";
import { Writer } from "./writer.js";

/** Loading a transaction, its submission decoded and folded, takes the time of so many entries of a list. */
const loadEntries = 8;

/** Of a store in a folder. */
export interface LmdbOptions {
  /** What long reads do between their slices; a turn of the event loop unless given. */
  readonly pause?: Pause;
}

/** Opens a folder, or makes it. @throws FolderError when it is in use or unusable; UnknownFormat */
export function openLmdb(folder: string, options: LmdbOptions = {}): LmdbStore {
  return new LmdbStore(folder, openFolder(folder), options.pause ?? yieldToLoop);
}

/** See `openLmdb`. */
export class LmdbStore implements Store, KeyValues {
  readonly #folder: string;
  readonly #tables: Tables;
  readonly #pause: Pause;
  readonly #writer: Writer;
  readonly #keyValues: LmdbKeyValues;
  #closing: Promise<void> | undefined;

  /** @internal `openLmdb` is the door. */
  constructor(folder: string, tables: Tables, pause: Pause) {
    this.#folder = folder;
    this.#tables = tables;
    this.#pause = async () => {
      await pause();
      this.#mustBeOpen();
    };
    this.#writer = new Writer(tables);
    this.#keyValues = new LmdbKeyValues(tables.keyValues, this.#writer, this.#pause);
  }

  async commit(batch: readonly Commit[]): Promise<readonly Verdict[]> {
    this.#mustBeOpen();
    return this.#writer.write(() => this.#writer.planCommits(batch));
  }

  async settle(batch: readonly Commit[]): Promise<readonly Verdict[]> {
    this.#mustBeOpen();
    return this.#writer.write(() => this.#writer.planSettling(batch));
  }

  async load(gids: readonly string[]): Promise<readonly (Stored | undefined)[]> {
    this.#mustBeOpen();
    const pace = new Pace(this.#pause);
    const loaded: (Stored | undefined)[] = [];
    for (const gid of gids) {
      const head = this.#headOf(gid);
      const rows = head === undefined ? [] : this.#rowsOf(head.id);
      loaded.push(head && { tx: fold(rows) ?? restoreFromHead(head), wakeAtMs: head.wakeAtMs });
      await pace.spent(loadEntries + rows.length);
    }
    return loaded;
  }

  async history(gid: string): Promise<readonly JournalRow[]> {
    this.#mustBeOpen();
    const head = this.#headOf(gid);
    return head === undefined ? [] : this.#rowsOf(head.id);
  }

  async due(shard: number, untilMs: number, after: DueCursor | undefined, limit: number) {
    this.#mustBeOpen();
    const pace = new Pace(this.#pause);
    const end = dueKey(shard, { wakeAtMs: untilMs, id: Number.MAX_SAFE_INTEGER });
    const due: DueEntry[] = [];
    let start = dueKey(shard, after ?? { wakeAtMs: 0, id: 0 });
    while (due.length < limit) {
      const range = { start, exclusiveStart: true, end, limit: Math.min(pace.left, limit - due.length) };
      const slice = [...this.#tables.due.getRange(range)];
      if (slice.length === 0) break;
      for (const { key, value } of slice) {
        const { wakeAtMs, id } = readDueKey(key);
        due.push({ wakeAtMs, id, gid: value.toString("utf8") });
      }
      start = slice.at(-1)!.key;
      await pace.spent(slice.length);
    }
    return due;
  }

  async earliest(): Promise<ReadonlyMap<number, number>> {
    this.#mustBeOpen();
    const earliest = new Map<number, number>();
    for (let shard = 0; shard < shardCount; ) {
      const [key] = this.#tables.due.getKeys({ start: dueKey(shard, { wakeAtMs: 0, id: 0 }), limit: 1 });
      if (key === undefined) break;
      const first = readDueKey(key);
      earliest.set(first.shard, first.wakeAtMs);
      shard = first.shard + 1;
    }
    return earliest;
  }

  async list(filter: Filter, cursor: string | undefined, limit: number): Promise<Page> {
    this.#mustBeOpen();
    let below = readListCursor(cursor) ?? Number.MAX_SAFE_INTEGER;
    const pace = new Pace(this.#pause);
    const table = onlyUnfinished(filter) ? this.#tables.open : this.#tables.heads;
    const heads: Head[] = [];
    for (;;) {
      const slice = [...this.#headsBelow(table, below, pace.left)];
      for (const head of slice) {
        if (!matches(head, filter)) continue;
        if (heads.length === limit) return { heads, next: listCursor(heads.at(-1)!.id) };
        heads.push(head);
      }
      if (slice.length === 0) return { heads, next: undefined };
      below = slice.at(-1)!.id;
      await pace.spent(slice.length);
    }
  }

  async oldestUnfinished(): Promise<Head | undefined> {
    this.#mustBeOpen();
    const [key] = this.#tables.open.getKeys({ limit: 1 });
    const stored = key && this.#tables.heads.getBinary(key);
    return stored && headCodec.decode(stored);
  }

  async lastId(shard: number): Promise<number> {
    this.#mustBeOpen();
    return this.#writer.tally.lastId(shard);
  }

  async count() {
    this.#mustBeOpen();
    return this.#writer.tally.counts();
  }

  async purge(journalsBeforeMs: number, headsBeforeMs: number, limit: number): Promise<number> {
    this.#mustBeOpen();
    return purgeOnce(this.#tables, this.#writer, this.#pause, { journalsBeforeMs, headsBeforeMs, limit });
  }

  /**
   * Makes a copy of the store as it is at one moment, while it goes on working, and opens it to see that it is whole.
   * Resolves to the number of transactions in it. The folder must be empty or absent.
   */
  async backup(folder: string): Promise<number> {
    this.#mustBeOpen();
    return backup(this.#tables, folder);
  }

  get(category: string, key: string): Promise<KeyValue | undefined> {
    return this.#opened(() => this.#keyValues.get(category, key));
  }

  put(category: string, key: string, value: string, expected: number, nowMs: number): Promise<boolean> {
    return this.#opened(() => this.#keyValues.put(category, key, value, expected, nowMs));
  }

  remove(category: string, key: string): Promise<boolean> {
    return this.#opened(() => this.#keyValues.remove(category, key));
  }

  scan(category: string, after: string | undefined, limit: number) {
    return this.#opened(() => this.#keyValues.scan(category, after, limit));
  }

  /** Ends when what was begun is durable; the folder is free for another process then. */
  async close(): Promise<void> {
    this.#closing ??= this.#writer.close().then(() => closeFolder(this.#folder, this.#tables));
    await this.#closing;
  }

  async #opened<T>(work: () => Promise<T>): Promise<T> {
    this.#mustBeOpen();
    return work();
  }

  #mustBeOpen(): void {
    if (this.#closing !== undefined) throw new StoreUnavailable("the store is closed");
  }

  #headOf(gid: string): Head | undefined {
    const id = this.#tables.gids.getBinary(gidKey(gid));
    const stored = id && this.#tables.heads.getBinary(idKey(readNumber(id, 0)));
    return stored && headCodec.decode(stored);
  }

  /** In the order of the fold. */
  #rowsOf(id: number): readonly JournalRow[] {
    const rows: JournalRow[] = [];
    const range = { ...rowKeysOf(id), inclusiveEnd: true };
    for (const { value } of this.#tables.journal.getRange(range)) rows.push(rowCodec.decode(value));
    return rows.sort((a, b) => a.version - b.version || (a.retryOf ?? -2) - (b.retryOf ?? -2));
  }

  /** Newest first; `table` is that of the heads or an index by id. */
  *#headsBelow(table: Table, below: number, limit: number): Iterable<Head> {
    for (const key of table.getKeys({ start: idKey(below), exclusiveStart: true, reverse: true, limit })) {
      const stored = this.#tables.heads.getBinary(key);
      if (stored !== undefined) yield headCodec.decode(stored);
    }
  }
}
