/**
 * Key-values in memory, in byte order of (category, key): part of the reference model of all stores.
 */
import type { KeyValue, KeyValues } from "../../ports/topics.js";
import { readScanCursor, scanCursor } from "../cursor.js";

type Place = Pick<KeyValue, "category" | "key">;

/** Key-values that are gone with the process. */
export class MemoryKeyValues implements KeyValues {
  readonly #entries = new Map<string, KeyValue>();

  async get(category: string, key: string): Promise<KeyValue | undefined> {
    return this.#entries.get(nameOf({ category, key }));
  }

  async put(category: string, key: string, value: string, expected: number, nowMs: number): Promise<boolean> {
    const name = nameOf({ category, key });
    const before = this.#entries.get(name);
    if ((before?.version ?? 0) !== expected) return false;
    const createdAtMs = before?.createdAtMs ?? nowMs;
    this.#entries.set(name, { category, key, value, version: expected + 1, createdAtMs, updatedAtMs: nowMs });
    return true;
  }

  async remove(category: string, key: string): Promise<boolean> {
    return this.#entries.delete(nameOf({ category, key }));
  }

  async scan(category: string, after: string | undefined, limit: number) {
    const last = readScanCursor(after);
    const left = [...this.#entries.values()]
      .filter((entry) => category === "" || entry.category === category)
      .filter((entry) => last === undefined || compare(entry, last) > 0)
      .sort(compare);
    const entries = left.slice(0, limit);
    return { entries, next: left.length > limit ? scanCursor(entries.at(-1)!) : undefined };
  }
}

/** Injective: JSON text of the pair. */
function nameOf({ category, key }: Place): string {
  return JSON.stringify([category, key]);
}

function compare(a: Place, b: Place): number {
  return compareBytes(a.category, b.category) || compareBytes(a.key, b.key);
}

function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a, "utf8"), Buffer.from(b, "utf8"));
}
