// Rules of key-values with versions.
import { describe, expect, it } from "vitest";
import type { KeyValue, KeyValues } from "../../src/ports/topics.js";
import { onStage } from "./stage.js";
import type { Adapter } from "./store.js";
import { someTimeMs } from "./story.js";

async function scanAll(keyValues: KeyValues, category: string, pageSize: number): Promise<KeyValue[]> {
  const entries: KeyValue[] = [];
  let after: string | undefined;
  do {
    const page = await keyValues.scan(category, after, pageSize);
    expect(page.entries.length).toBeLessThanOrEqual(pageSize);
    entries.push(...page.entries);
    after = page.next;
  } while (after !== undefined);
  return entries;
}

export function keyValueRules(adapter: Adapter): void {
  describe(`${adapter.name}: key-values`, () => {
    const on = onStage(adapter);

    it("writes only over the version that the writer has seen", async () => {
      const put = (value: string, expected: number, atMs: number) => on.store.put("topics", "t", value, expected, atMs);
      expect(await on.store.get("topics", "t")).toBeUndefined();
      expect(await put("[0]", 1, someTimeMs)).toBe(false);
      expect(await put("[1]", 0, someTimeMs)).toBe(true);
      expect(await put("[2]", 0, someTimeMs)).toBe(false);
      expect(await put("[3]", 1, someTimeMs + 5)).toBe(true);
      expect(await put("[4]", 1, someTimeMs + 6)).toBe(false);
      const kept = { category: "topics", key: "t", value: "[3]", version: 2 };
      expect(await on.store.get("topics", "t")).toEqual({
        ...kept,
        createdAtMs: someTimeMs,
        updatedAtMs: someTimeMs + 5,
      });
    });

    it("lets one of several writers of the same version win", async () => {
      const writers = Array.from({ length: 6 }, (_, n) => on.store.put("topics", "t", `${n}`, 0, someTimeMs));
      const won = (await Promise.all(writers)).flatMap((wrote, n) => (wrote ? [n] : []));
      expect(won).toHaveLength(1);
      expect((await on.store.get("topics", "t"))?.value).toBe(`${won[0]}`);
    });

    it("begins at version 1 again after a removal", async () => {
      expect(await on.store.remove("topics", "t")).toBe(false);
      await on.store.put("topics", "t", "1", 0, someTimeMs);
      await on.store.put("topics", "t", "2", 1, someTimeMs);
      expect(await on.store.remove("topics", "t")).toBe(true);
      expect(await on.store.get("topics", "t")).toBeUndefined();
      expect(await on.store.put("topics", "t", "3", 2, someTimeMs)).toBe(false);
      expect(await on.store.put("topics", "t", "3", 0, someTimeMs + 9)).toBe(true);
      expect(await on.store.get("topics", "t")).toMatchObject({ version: 1, createdAtMs: someTimeMs + 9 });
    });

    it("is scanned in byte order of category and key, page by page, one category or all", async () => {
      const keys = ["b", "a", "B", "ab", "é", "\u{1f600}", "z", "ﬁ"];
      for (const category of ["t2", "t1", "t"]) {
        for (const key of keys) await on.store.put(category, key, `"${category}${key}"`, 0, someTimeMs);
      }
      const inOrder = [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      for (const pageSize of [1, 3, 100]) {
        expect((await scanAll(on.store, "t1", pageSize)).map((entry) => entry.key)).toEqual(inOrder);
        expect((await scanAll(on.store, "", pageSize)).map((entry) => entry.category + entry.key)).toEqual(
          ["t", "t1", "t2"].flatMap((category) => inOrder.map((key) => category + key)),
        );
      }
      expect(await scanAll(on.store, "t3", 10)).toEqual([]);
    });

    it("goes on behind a cursor whose key was removed", async () => {
      for (const key of ["a", "b", "c"]) await on.store.put("t", key, "1", 0, someTimeMs);
      const { next } = await on.store.scan("t", undefined, 2);
      await on.store.remove("t", "b");
      expect((await on.store.scan("t", next, 2)).entries.map((entry) => entry.key)).toEqual(["c"]);
    });

    it("throws RangeError for a cursor that is none of its own", async () => {
      for (const cursor of ["", "x", "aDE", "a1tdIA", "W10"]) {
        await expect(on.store.scan("t", cursor, 1), cursor).rejects.toThrow(RangeError);
      }
    });

    it("keeps a value of a mebibyte", async () => {
      const value = JSON.stringify("é".repeat(1 << 19));
      expect(await on.store.put("t", "large", value, 0, someTimeMs)).toBe(true);
      expect((await on.store.get("t", "large"))?.value).toBe(value);
    });
  });
}
