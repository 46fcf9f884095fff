/**
 * gid → shard: MurmurHash3 (x86, 32 bit, seed 0) over the gid's UTF-8 bytes, modulo the number of shards.
 * Stored with every transaction and agreed on by all nodes: neither the hash nor the count may change for a store.
 */

/** Number of shards of every store that this version makes. */
export const shardCount = 256;

/** Name of the hash, as stores record it. */
export const shardHash = "murmur3-x86-32";

const encoder = new TextEncoder();

/** The shard of a gid, 0 … shardCount − 1. */
export function shardOf(gid: string): number {
  return murmur3(utf8Of(gid)) % shardCount;
}

/** Nearly all gids are ASCII: their bytes are had at a third of the encoder's cost. */
function utf8Of(text: string): ArrayLike<number> {
  const bytes = new Array<number>(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) return encoder.encode(text);
    bytes[i] = code;
  }
  return bytes;
}

/** MurmurHash3_x86_32, unsigned. Test vectors: test/core/shard.test.ts. */
export function murmur3(bytes: ArrayLike<number>, seed = 0): number {
  let h = seed;
  const blocks = bytes.length & ~3;
  for (let i = 0; i < blocks; i += 4) {
    const k = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    h ^= scramble(k);
    h = (h << 13) | (h >>> 19);
    h = (Math.imul(h, 5) + 0xe6546b64) | 0;
  }
  let tail = 0;
  for (let i = bytes.length - 1; i >= blocks; i--) tail = (tail << 8) | bytes[i]!;
  if (bytes.length > blocks) h ^= scramble(tail);
  h ^= bytes.length;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function scramble(block: number): number {
  const k = Math.imul(block, 0xcc9e2d51);
  return Math.imul((k << 15) | (k >>> 17), 0x1b873593);
}

/** Start of the ids' time, 2024-01-01T00:00:00Z. */
export const idEpochMs = 1_704_067_200_000;

/**
 * Smallest id of a shard at a time: milliseconds since 2024 · 2^12 + shard · 2^4. The low 4 bits count within a
 * millisecond (a full one borrows from the next), so ids are strictly ascending within a shard and below 2^53 until
 * 2093.
 */
export function firstIdAt(shard: number, atMs: number): number {
  return (atMs - idEpochMs) * 4096 + shard * 16;
}

/** The next id of a shard: `lastId` is the highest one given out or found there, 0 for none. */
export function nextId(shard: number, lastId: number, nowMs: number): number {
  const first = firstIdAt(shard, nowMs);
  if (first > lastId) return first;
  return lastId % 16 < 15 ? lastId + 1 : lastId - 15 + 4096;
}
