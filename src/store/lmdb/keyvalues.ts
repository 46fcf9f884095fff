/**
 * Key-values in the embedded store: one row per key, in byte order of (category, key).
 */
import type { KeyValue, KeyValues } from "../../ports/topics.js";
import { codecOf } from "../codec.js";
import { readScanCursor, scanCursor } from "../cursor.js";
import { plain, record } from "../shape.js";
import type { Table } from "./folder.js";
import { entryKey, entryKeysOf } from "./keys.js";
import { Pace, type Pause } from "./pace.js";
import type { Plan, Writer } from "./writer.js";

const codec = codecOf(
  "key-value",
  record<KeyValue>({
    category: plain<string>(),
    key: plain<string>(),
    value: plain<string>(),
    version: plain<number>(),
    createdAtMs: plain<number>(),
    updatedAtMs: plain<number>(),
  }),
);

/** The part of the store that keeps topics. */
export class LmdbKeyValues implements KeyValues {
  readonly #table: Table;
  readonly #writer: Writer;
  readonly #pause: Pause;

  constructor(table: Table, writer: Writer, pause: Pause) {
    this.#table = table;
    this.#writer = writer;
    this.#pause = pause;
  }

  async get(category: string, key: string): Promise<KeyValue | undefined> {
    return this.#read(entryKey(category, key));
  }

  async put(category: string, key: string, value: string, expected: number, nowMs: number): Promise<boolean> {
    const stored = entryKey(category, key);
    return this.#writer.write((): Plan<boolean> => {
      const before = this.#read(stored);
      if ((before?.version ?? 0) !== expected) return { writes: [], result: false };
      const createdAtMs = before?.createdAtMs ?? nowMs;
      const after = { category, key, value, version: expected + 1, createdAtMs, updatedAtMs: nowMs };
      return { writes: [{ table: this.#table, key: stored, value: codec.encode(after) }], result: true };
    });
  }

  async remove(category: string, key: string): Promise<boolean> {
    const stored = entryKey(category, key);
    return this.#writer.write((): Plan<boolean> => {
      if (!this.#table.doesExist(stored)) return { writes: [], result: false };
      return { writes: [{ table: this.#table, key: stored, value: undefined }], result: true };
    });
  }

  async scan(category: string, after: string | undefined, limit: number) {
    const last = readScanCursor(after);
    const pace = new Pace(this.#pause);
    const bounds = category === "" ? {} : entryKeysOf(category);
    let start = last === undefined ? undefined : entryKey(last.category, last.key);
    const entries: KeyValue[] = [];
    for (;;) {
      const from = start === undefined ? bounds : { ...bounds, start, exclusiveStart: true };
      const slice = [...this.#table.getRange({ ...from, limit: Math.min(pace.left, limit + 1 - entries.length) })];
      for (const { value } of slice) entries.push(codec.decode(value));
      if (entries.length > limit) return { entries: entries.slice(0, limit), next: scanCursor(entries[limit - 1]!) };
      if (slice.length === 0) return { entries, next: undefined };
      start = slice.at(-1)!.key;
      await pace.spent(slice.length);
    }
  }

  #read(key: Buffer): KeyValue | undefined {
    const stored = this.#table.getBinary(key);
    return stored === undefined ? undefined : codec.decode(stored);
  }
}
