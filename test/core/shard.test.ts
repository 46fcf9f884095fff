/**
 * The hash of gids against published vectors, and ids that ascend whatever the clock does.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { firstIdAt, idEpochMs, murmur3, nextId, shardCount, shardOf } from "../../src/core/shard.js";

const utf8 = (text: string) => new TextEncoder().encode(text);

describe("murmur3 x86 32", () => {
  it.each([
    ["", 0, 0],
    ["", 1, 0x514e28b7],
    ["", 0xffffffff, 0x81f16f39],
    ["a", 0x9747b28c, 0x7fa09ea6],
    ["aa", 0x9747b28c, 0x5d211726],
    ["aaa", 0x9747b28c, 0x283e0130],
    ["aaaa", 0x9747b28c, 0x5a97808a],
    ["abc", 0, 0xb3dd93fa],
    ["abcd", 0x9747b28c, 0xf0478627],
    ["Hello, world!", 0x9747b28c, 0x24884cba],
    ["ππππππππ", 0x9747b28c, 0xd58063c1],
    ["The quick brown fox jumps over the lazy dog", 0x9747b28c, 0x2fa826cd],
    ["a".repeat(256), 0x9747b28c, 0x37405bdc],
  ])("of '%s' with seed %i", (text, seed, hash) => {
    expect(murmur3(utf8(text), seed)).toBe(hash);
  });

  it("takes bytes as unsigned", () => {
    expect(murmur3(new Uint8Array([0xff, 0xff, 0xff, 0xff]))).toBe(0x76293b50);
    expect(murmur3(new Uint8Array([0x21, 0x43, 0x65, 0x87]))).toBe(0xf55b516b);
    expect(murmur3(new Uint8Array([0x21, 0x43, 0x65]))).toBe(0x7e4a8634);
    expect(murmur3(new Uint8Array([0x21, 0x43]))).toBe(0xa0f7b07a);
    expect(murmur3(new Uint8Array([0x21]))).toBe(0x72661cf4);
  });

  it("spreads gids evenly over the shards", () => {
    const counts = new Array<number>(shardCount).fill(0);
    for (let i = 0; i < 256_000; i++) counts[shardOf(`order-${i}`)]! += 1;
    expect(Math.min(...counts)).toBeGreaterThan(850);
    expect(Math.max(...counts)).toBeLessThan(1150);
  });

  it("tells gids apart that differ in a trailing blank or in case", () => {
    expect(new Set(["abc", "abc ", "ABC", "äbc"].map((gid) => murmur3(utf8(gid)))).size).toBe(4);
  });
});

describe("ids of a shard", () => {
  it("ascend strictly, whatever the clock does, and name their shard", () => {
    const steps = fc.array(fc.integer({ min: -5000, max: 5000 }), { maxLength: 300, size: "max" });
    fc.assert(
      fc.property(fc.nat({ max: 255 }), steps, (shard, moves) => {
        let nowMs = idEpochMs + 1e10;
        let last = 0;
        for (const move of moves) {
          nowMs += move % 3 === 0 ? 0 : move;
          const id = nextId(shard, last, nowMs);
          expect(id).toBeGreaterThan(last);
          expect(Math.floor(id / 16) % 256).toBe(shard);
          last = id;
        }
      }),
    );
  });

  it("borrow from the next millisecond when one is full", () => {
    const nowMs = idEpochMs + 1000;
    const ids = Array.from({ length: 40 }).reduce<number[]>((all) => [...all, nextId(7, all.at(-1) ?? 0, nowMs)], []);
    expect(ids[15]).toBe(firstIdAt(7, nowMs) + 15);
    expect(ids[16]).toBe(firstIdAt(7, nowMs + 1));
    expect(ids[32]).toBe(firstIdAt(7, nowMs + 2));
  });

  it("of a new owner are above the highest that it finds, though its clock is behind", () => {
    const found = firstIdAt(3, idEpochMs + 5000) + 4;
    expect(nextId(3, found, idEpochMs + 1000)).toBe(found + 1);
  });

  it("stay exact numbers until 2093", () => {
    expect(Number.isSafeInteger(firstIdAt(255, Date.UTC(2093, 0, 1)) + 15)).toBe(true);
  });
});
