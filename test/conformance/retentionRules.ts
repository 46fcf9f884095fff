// Rules of purge (D26): the journal goes first, the head later, what is unfinished never.
import { describe, expect, it } from "vitest";
import { restoreFromHead } from "../../src/core/head.js";
import type { Store } from "../../src/ports/store.js";
import { onStage } from "./stage.js";
import type { Adapter } from "./store.js";
import { someTimeMs } from "./story.js";

/** Purges until nothing is left to do; fails when a call touches more than it may. */
async function purgeAll(store: Store, journalsBeforeMs: number, headsBeforeMs: number, limit: number): Promise<number> {
  for (let total = 0; ; ) {
    const touched = await store.purge(journalsBeforeMs, headsBeforeMs, limit);
    expect(touched).toBeLessThanOrEqual(2 * limit);
    if (touched === 0) return total;
    total += touched;
  }
}

export function retentionRules(adapter: Adapter): void {
  describe(`${adapter.name}: retention`, () => {
    const on = onStage(adapter);
    const never = 0;

    it("removes journals of what ended before the time, and answers from the head from then on", async () => {
      const [old, young] = [on.teller.tell("old"), on.teller.tell("young")];
      await on.must(old.created(), young.created());
      await on.must(old.retried(0, 1), young.started());
      const ended = old.finished("failed", someTimeMs + 10);
      await on.must(ended, young.finished("succeed", someTimeMs + 11));
      expect(await purgeAll(on.store, someTimeMs + 11, never, 100)).toBe(1);
      expect(await on.store.history("old")).toEqual([]);
      expect(await on.store.history("young")).toHaveLength(3);
      const expected = { tx: restoreFromHead(ended.head!), wakeAtMs: undefined };
      expect(await on.store.load(["old", "young"])).toEqual([expected, { tx: young.tx, wakeAtMs: undefined }]);
      expect((await on.store.list({}, undefined, 9)).heads).toHaveLength(2);
    });

    it("keeps the gid of a transaction whose journal is gone, and forgets it with its head", async () => {
      const saga = on.teller.tell("g");
      await on.must(saga.created());
      await on.must(saga.finished());
      await purgeAll(on.store, Number.MAX_SAFE_INTEGER, never, 100);
      expect(await on.store.commit([on.teller.tell("g").created(), saga.started()])).toEqual(["conflict", "conflict"]);
      expect(await purgeAll(on.store, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, 100)).toBe(1);
      expect(await on.store.load(["g"])).toEqual([undefined]);
      expect(await on.store.count()).toEqual([]);
      expect((await on.store.list({}, undefined, 9)).heads).toEqual([]);
      expect(await on.store.commit([saga.started()])).toEqual(["conflict"]);
      const again = on.teller.tell("g", { type: "tcc" });
      await on.must(again.created());
      expect((await on.store.load(["g"]))[0]?.tx).toEqual(again.tx);
    });

    it("removes journal and head together when both times have passed", async () => {
      const saga = on.teller.tell("g");
      await on.must(saga.created());
      await on.must(saga.finished());
      await purgeAll(on.store, someTimeMs + 1000, someTimeMs + 1000, 100);
      expect(await on.store.load(["g"])).toEqual([undefined]);
      expect(await on.store.history("g")).toEqual([]);
      expect((await on.store.list({}, undefined, 9)).heads).toEqual([]);
    });

    it("S-BUG-25: never touches what is unfinished, however old", async () => {
      const [waiting, parked] = [on.teller.tell("waiting", { atMs: someTimeMs - 1e9 }), on.teller.tell("parked")];
      await on.must(waiting.created(), parked.created());
      await on.must(parked.parked());
      expect(await on.store.purge(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, 100)).toBe(0);
      const loaded = await on.store.load(["waiting", "parked"]);
      expect(loaded.map((stored) => stored?.tx)).toEqual([waiting.tx, parked.tx]);
    });

    it("works in batches of the given size until nothing is left", async () => {
      const sagas = Array.from({ length: 25 }, (_, n) => on.teller.tell(`saga ${n}`));
      await on.must(...sagas.map((saga) => saga.created()));
      await on.must(...sagas.slice(1).map((saga, n) => saga.finished("succeed", someTimeMs + n)));
      expect(await purgeAll(on.store, someTimeMs + 12, never, 5)).toBe(12);
      const histories = await Promise.all(sagas.map((saga) => on.store.history(saga.gid)));
      expect(histories.filter((rows) => rows.length === 0)).toHaveLength(12);
      await purgeAll(on.store, someTimeMs + 20, someTimeMs + 6, 5);
      expect((await on.store.list({}, undefined, 99)).heads).toHaveLength(19);
      await purgeAll(on.store, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, 5);
      expect((await on.store.list({}, undefined, 99)).heads.map((head) => head.gid)).toEqual(["saga 0"]);
      await on.must(sagas[0]!.started());
    });
  });
}
