/**
 * Keys of the embedded store. Numbers are big-endian, so that byte order is their order; only the last part of a key
 * may vary in length, so no key is the beginning of another's range (S-BUG-15).
 */
import type { JournalRow } from "../../core/evolve.js";
import type { DueCursor } from "../../ports/store.js";

/** Longest key that the library takes with pages of 4 KiB. */
export const keyBytesMax = 1978;

const retryBit = 0x8000_0000;

/** Eight bytes; for ids and times, which are below 2^53. */
export function idKey(id: number): Buffer {
  const key = Buffer.allocUnsafe(8);
  writeNumber(key, id, 0);
  return key;
}

/** The number in the eight bytes at `offset`. */
export function readNumber(key: Uint8Array, offset: number): number {
  const view = new DataView(key.buffer, key.byteOffset + offset, 8);
  return view.getUint32(0) * 2 ** 32 + view.getUint32(4);
}

/** Of a gid: its bytes. */
export function gidKey(gid: string): Buffer {
  return Buffer.from(gid, "utf8");
}

/** Of a journal row: (id, version), or behind all versions (id, op) for the op's retry record. CHECK is op −1. */
export function rowKey(id: number, row: Pick<JournalRow, "version" | "retryOf">): Buffer {
  const key = Buffer.allocUnsafe(12);
  writeNumber(key, id, 0);
  key.writeUInt32BE(row.retryOf === undefined ? row.version : retryBit + row.retryOf + 1, 8);
  return key;
}

/** First and last possible key of a transaction's rows, both inclusive. */
export function rowKeysOf(id: number): { readonly start: Buffer; readonly end: Buffer } {
  const [start, end] = [Buffer.alloc(12, 0x00), Buffer.alloc(12, 0xff)];
  writeNumber(start, id, 0);
  writeNumber(end, id, 0);
  return { start, end };
}

/** Of the index of due times: (shard, time, id). */
export function dueKey(shard: number, { wakeAtMs, id }: DueCursor): Buffer {
  const key = Buffer.allocUnsafe(17);
  key[0] = shard;
  writeNumber(key, wakeAtMs, 1);
  writeNumber(key, id, 9);
  return key;
}

/** Shard, time and id of a key of the due index. */
export function readDueKey(key: Uint8Array): DueCursor & { readonly shard: number } {
  return { shard: key[0]!, wakeAtMs: readNumber(key, 1), id: readNumber(key, 9) };
}

/** Of the index of ended transactions: (whether the journal is gone, end, id). */
export function endedKey(journalGone: boolean, endedAtMs: number, id: number): Buffer {
  const key = Buffer.allocUnsafe(17);
  key[0] = journalGone ? 1 : 0;
  writeNumber(key, endedAtMs, 1);
  writeNumber(key, id, 9);
  return key;
}

/** Of a key-value: category, a zero byte, key. @throws RangeError when it is too long, or the category has a zero */
export function entryKey(category: string, key: string): Buffer {
  const stored = Buffer.from(`${category}\0${key}`, "utf8");
  if (category.includes("\0")) throw new RangeError(`category ${JSON.stringify(category)} contains a zero`);
  if (stored.length > keyBytesMax) throw new RangeError(`key of ${stored.length} bytes, at most ${keyBytesMax} fit`);
  return stored;
}

/** First key of a category and the one behind its last. */
export function entryKeysOf(category: string): { readonly start: Buffer; readonly end: Buffer } {
  return { start: Buffer.from(`${category}\0`, "utf8"), end: Buffer.from(`${category}\x01`, "utf8") };
}

function writeNumber(key: Buffer, value: number, offset: number): void {
  key.writeUInt32BE(Math.floor(value / 2 ** 32), offset);
  key.writeUInt32BE(value >>> 0, offset + 4);
}
