// gids and keys are bytes (D11): what looks alike, or begins alike, is still another transaction (S-BUG-15).
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { onStage } from "./stage.js";
import type { Adapter } from "./store.js";
import { someOp, someTimeMs } from "./story.js";

const lookAlikes: readonly string[] = [
  "order1",
  "order10",
  "order100",
  "order",
  "ORDER1",
  "Order1",
  "order1 ",
  " order1",
  "order1  ",
  "ordér1",
  "order1",
  "stra\u00dfe",
  "strasse",
  "\u00e9",
  "e\u0301",
  "order1/../order1",
  "a;b*c",
  'it\'s "quoted" \\ `and` %s ?',
  "'; DROP TABLE head; --",
  "\u{1f600}",
  "\u{1f600}\u{1f600}",
  "__proto__",
  "constructor",
  "0",
  "00",
  "\u7d44".repeat(128),
  `${"\u7d44".repeat(127)}\u7d45`,
  "\u{1f600}".repeat(128),
  "\u{1f600}".repeat(127),
  "x".repeat(128),
];

export function gidRules(adapter: Adapter): void {
  describe(`${adapter.name}: gids`, () => {
    const on = onStage(adapter);
    const gids = [...new Set(lookAlikes)];

    it("S-BUG-15: keeps every gid and its branches apart from those that look or begin like it", async () => {
      const sagas = gids.map((gid, n) =>
        on.teller.tell(gid, { ops: Array.from({ length: 1 + (n % 3) }, (_, k) => someOp(k)) }),
      );
      await on.must(...sagas.map((saga) => saga.created()));
      for (const [n, saga] of sagas.entries()) if (n % 2 === 0) await on.must(saga.started());
      for (const saga of sagas) {
        const [stored] = await on.store.load([saga.gid]);
        expect(stored?.tx).toEqual(saga.tx);
        expect(await on.store.history(saga.gid)).toHaveLength(saga.tx!.version);
      }
      const listed = await on.store.list({}, undefined, 1000);
      expect(listed.heads.map((head) => head.gid).sort()).toEqual([...gids].sort());
    });

    it("S-BUG-15: purges one of them without touching the others", async () => {
      const sagas = gids.map((gid) => on.teller.tell(gid));
      await on.must(...sagas.map((saga) => saga.created()));
      const ended = sagas.filter((saga) => saga.gid === "order1" || saga.gid === "\u00e9");
      await on.must(...ended.map((saga) => saga.finished()));
      while ((await on.store.purge(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, 100)) > 0);
      for (const saga of sagas) {
        const [stored] = await on.store.load([saga.gid]);
        expect(stored?.tx, saga.gid).toEqual(ended.includes(saga) ? undefined : saga.tx);
      }
    });

    it("takes any gid of 1 to 128 characters", async () => {
      const taken = new Set<string>();
      const anyGid = fc.string({ unit: "binary", minLength: 1, maxLength: 128 });
      const property = fc.asyncProperty(anyGid, async (gid) => {
        const saga = on.teller.tell(gid);
        const verdict = taken.has(gid) ? "conflict" : "ok";
        taken.add(gid);
        expect(await on.store.commit([saga.created()])).toEqual([verdict]);
        expect((await on.store.load([gid]))[0]?.tx.gid).toBe(gid);
      });
      await fc.assert(property, { numRuns: 100 });
    });

    it("keeps categories and keys of key-values apart in the same way", async () => {
      for (const key of gids) expect(await on.store.put("topics", key, JSON.stringify(key), 0, someTimeMs)).toBe(true);
      expect(await on.store.put("topic", "sorder1", "1", 0, someTimeMs)).toBe(true);
      expect(await on.store.put("TOPICS", "order1", "2", 0, someTimeMs)).toBe(true);
      for (const key of gids) expect((await on.store.get("topics", key))?.value).toBe(JSON.stringify(key));
      expect(await on.store.remove("topics", "order1")).toBe(true);
      expect((await on.store.get("topics", "order10"))?.version).toBe(1);
      expect((await on.store.scan("topics", undefined, 1000)).entries).toHaveLength(gids.length - 1);
      expect((await on.store.scan("topic", undefined, 1000)).entries.map((entry) => entry.key)).toEqual(["sorder1"]);
    });
  });
}
