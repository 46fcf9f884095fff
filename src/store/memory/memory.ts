/**
 * The reference model of all stores: everything in maps, gone with the process. Every method does its work before it
 * returns its promise, so a simulation decides about order. Tests make it fail by `faults`.
 */
import { compareRows, fold, type JournalRow } from "../../core/evolve.js";
import { type Head, restoreFromHead } from "../../core/head.js";
import {
  type Commit,
  type DueCursor,
  type DueEntry,
  type Filter,
  type Page,
  type Store,
  type Stored,
  StoreInDoubt,
  StoreRefused,
  StoreUnavailable,
  type Verdict,
} from "../../ports/store.js";
import type { KeyValues } from "../../ports/topics.js";
import { rowCodec } from "../codec.js";
import { listCursor, readListCursor } from "../cursor.js";
import { matches } from "../filter.js";
import { MemoryKeyValues } from "./keyvalues.js";

/** What befalls a commit: not begun, or its answer lost, it being written (`doubtWritten`) or not (`doubtLost`). */
export type CommitFault = "unavailable" | "doubtWritten" | "doubtLost";

/** Switches for tests; all off at first. */
export interface Faults {
  /** Every operation rejects with StoreUnavailable while this is set. */
  down: boolean;
  /** Taken from the front, one by each coming call of `commit`. */
  readonly nextCommits: CommitFault[];
  /** A batch with a commit of one of these gids rejects with StoreRefused. */
  readonly refusedGids: Set<string>;
}

interface Entry {
  head: Head;
  /** Numbered rows by version, then records of retries by op. Both are empty when retention removed the journal. */
  readonly rows: Map<number, JournalRow>;
  readonly retries: Map<number, JournalRow>;
}

/** See the file's head. `epochOf` makes it a shared store that fences: the epoch a commit must carry. */
export class MemoryStore implements Store, KeyValues {
  readonly faults: Faults = { down: false, nextCommits: [], refusedGids: new Set() };
  readonly #epochOf: ((shard: number) => number) | undefined;
  readonly #byGid = new Map<string, Entry>();
  readonly #byId = new Map<number, Entry>();
  /** Ascending. Ids come almost in order, so a new one is put near the end. */
  #ids: number[] = [];
  readonly #waking = new Map<number, Map<number, Entry>>();
  readonly #lastIds = new Map<number, number>();
  readonly #keyValues = new MemoryKeyValues();

  constructor(epochOf?: (shard: number) => number) {
    this.#epochOf = epochOf;
  }

  /** When a transaction is to be looked at, as stored. */
  wakeOf(gid: string): number | undefined {
    return this.#byGid.get(gid)?.head.wakeAtMs;
  }

  async commit(batch: readonly Commit[]): Promise<readonly Verdict[]> {
    const fault = this.#faultOfCommit();
    if (fault !== "doubtLost") this.#mustBeTaken(batch);
    if (fault === "doubtLost") throw new StoreInDoubt("answer of the commit lost");
    const verdicts = this.#apply(batch);
    if (fault === "doubtWritten") throw new StoreInDoubt("answer of the commit lost");
    return verdicts;
  }

  async settle(batch: readonly Commit[]): Promise<readonly Verdict[]> {
    this.#mustBeUp();
    this.#mustBeTaken(batch.filter((commit) => !this.#holds(commit)));
    return batch.map((commit) => (this.#holds(commit) ? "ok" : this.#apply([commit])[0]!));
  }

  async load(gids: readonly string[]): Promise<readonly (Stored | undefined)[]> {
    this.#mustBeUp();
    return gids.map((gid) => {
      const entry = this.#byGid.get(gid);
      if (entry === undefined) return undefined;
      return { tx: fold(rowsOf(entry)) ?? restoreFromHead(entry.head), wakeAtMs: entry.head.wakeAtMs };
    });
  }

  async history(gid: string): Promise<readonly JournalRow[]> {
    this.#mustBeUp();
    const entry = this.#byGid.get(gid);
    return entry === undefined ? [] : rowsOf(entry);
  }

  async due(shard: number, untilMs: number, after: DueCursor | undefined, limit: number) {
    this.#mustBeUp();
    const due: DueEntry[] = [];
    for (const { head } of this.#waking.get(shard)?.values() ?? []) {
      const entry = { wakeAtMs: head.wakeAtMs!, id: head.id, gid: head.gid };
      if (entry.wakeAtMs <= untilMs && (after === undefined || compareDue(entry, after) > 0)) due.push(entry);
    }
    return due.sort(compareDue).slice(0, limit);
  }

  async earliest(): Promise<ReadonlyMap<number, number>> {
    this.#mustBeUp();
    const earliest = new Map<number, number>();
    for (const [shard, waking] of this.#waking) {
      for (const { head } of waking.values()) {
        earliest.set(shard, Math.min(head.wakeAtMs!, earliest.get(shard) ?? Number.POSITIVE_INFINITY));
      }
    }
    return earliest;
  }

  async list(filter: Filter, cursor: string | undefined, limit: number): Promise<Page> {
    this.#mustBeUp();
    const below = readListCursor(cursor);
    const heads: Head[] = [];
    for (let i = (below === undefined ? this.#ids.length : this.#placeOf(below)) - 1; i >= 0; i--) {
      const { head } = this.#byId.get(this.#ids[i]!)!;
      if (!matches(head, filter)) continue;
      if (heads.length === limit) return { heads, next: listCursor(heads.at(-1)!.id) };
      heads.push(head);
    }
    return { heads, next: undefined };
  }

  async oldestUnfinished(): Promise<Head | undefined> {
    this.#mustBeUp();
    for (const id of this.#ids) {
      const { head } = this.#byId.get(id)!;
      if (head.endedAtMs === undefined) return head;
    }
    return undefined;
  }

  async lastId(shard: number): Promise<number> {
    this.#mustBeUp();
    return this.#lastIds.get(shard) ?? 0;
  }

  async count() {
    this.#mustBeUp();
    const counts = new Map<string, { type: Head["type"]; status: Head["status"]; transactions: number }>();
    for (const { head } of this.#byId.values()) {
      const name = `${head.type} ${head.status}`;
      const before = counts.get(name)?.transactions ?? 0;
      counts.set(name, { type: head.type, status: head.status, transactions: before + 1 });
    }
    return [...counts.values()];
  }

  async purge(journalsBeforeMs: number, headsBeforeMs: number, limit: number): Promise<number> {
    this.#mustBeUp();
    const ended = [...this.#byId.values()].filter(({ head }) => head.endedAtMs !== undefined);
    const whole = ended.filter(({ head }) => head.endedAtMs! < headsBeforeMs).slice(0, limit);
    for (const entry of whole) this.#remove(entry);
    const gone = new Set(whole.map(({ head }) => head.id));
    if (whole.length > 0) this.#ids = this.#ids.filter((id) => !gone.has(id));
    const journals = ended
      .filter(({ head, rows }) => rows.size > 0 && head.endedAtMs! < journalsBeforeMs && !gone.has(head.id))
      .slice(0, limit);
    for (const entry of journals) {
      entry.rows.clear();
      entry.retries.clear();
    }
    return whole.length + journals.length;
  }

  async close(): Promise<void> {}

  async get(category: string, key: string) {
    this.#mustBeUp();
    return this.#keyValues.get(category, key);
  }

  async put(category: string, key: string, value: string, expected: number, nowMs: number) {
    this.#mustBeUp();
    return this.#keyValues.put(category, key, value, expected, nowMs);
  }

  async remove(category: string, key: string) {
    this.#mustBeUp();
    return this.#keyValues.remove(category, key);
  }

  async scan(category: string, after: string | undefined, limit: number) {
    this.#mustBeUp();
    return this.#keyValues.scan(category, after, limit);
  }

  #mustBeUp(): void {
    if (this.faults.down) throw new StoreUnavailable("the store is down by a fault of the test");
  }

  #faultOfCommit(): CommitFault | undefined {
    this.#mustBeUp();
    const fault = this.faults.nextCommits.shift();
    if (fault === "unavailable") throw new StoreUnavailable("commit failed by a fault of the test");
    return fault;
  }

  #apply(batch: readonly Commit[]): Verdict[] {
    return batch.map((commit) => {
      if (this.#epochOf !== undefined && this.#epochOf(commit.shard) !== commit.epoch) return "fenced";
      const { row } = commit;
      if (row.version === 1 && row.retryOf === undefined) return this.#create(commit);
      const entry = this.#byGid.get(commit.gid);
      const expected = (entry?.rows.size ?? 0) + (row.retryOf === undefined ? 1 : 0);
      if (entry === undefined || entry.head.id !== commit.id || row.version !== expected) return "conflict";
      this.#write(entry, commit);
      return "ok";
    });
  }

  #create(commit: Commit): Verdict {
    if (this.#byGid.has(commit.gid) || this.#byId.has(commit.id)) return "conflict";
    if (commit.head === undefined) throw new Error(`gid ${commit.gid}: created without a head`);
    const entry: Entry = { head: commit.head, rows: new Map(), retries: new Map() };
    this.#byGid.set(commit.gid, entry);
    this.#byId.set(commit.id, entry);
    this.#ids.splice(this.#placeOf(commit.id), 0, commit.id);
    this.#lastIds.set(commit.shard, Math.max(commit.id, this.#lastIds.get(commit.shard) ?? 0));
    this.#write(entry, commit);
    return "ok";
  }

  #write(entry: Entry, { row, head, shard, id }: Commit): void {
    if (row.retryOf === undefined) entry.rows.set(row.version, row);
    else entry.retries.set(row.retryOf, row);
    if (head === undefined) return;
    entry.head = head;
    const waking = this.#waking.get(shard) ?? new Map<number, Entry>();
    this.#waking.set(shard, waking);
    if (head.wakeAtMs === undefined) waking.delete(id);
    else waking.set(id, entry);
  }

  #mustBeTaken(batch: readonly Commit[]): void {
    const refused = batch.find((commit) => this.faults.refusedGids.has(commit.gid));
    if (refused !== undefined) throw new StoreRefused(`gid ${refused.gid}: refused by a fault of the test`);
  }

  #holds({ gid, id, row }: Commit): boolean {
    const entry = this.#byGid.get(gid);
    if (entry === undefined || entry.head.id !== id) return false;
    const kept = row.retryOf === undefined ? entry.rows.get(row.version) : entry.retries.get(row.retryOf);
    return kept !== undefined && rowCodec.encode(kept).equals(rowCodec.encode(row));
  }

  #remove({ head }: Entry): void {
    this.#byGid.delete(head.gid);
    this.#byId.delete(head.id);
  }

  /** Index of the first id that is not below `id`. */
  #placeOf(id: number): number {
    let low = 0;
    let high = this.#ids.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#ids[middle]! < id) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function compareDue(a: DueCursor, b: DueCursor): number {
  return a.wakeAtMs - b.wakeAtMs || a.id - b.id;
}

/** In the order of the fold: by version, a version's retry records after the row itself. */
function rowsOf({ rows, retries }: Entry): readonly JournalRow[] {
  if (retries.size === 0) return [...rows.values()]; // as they were put in
  return [...rows.values(), ...retries.values()].sort(compareRows);
}
