// Rules of commit, settle, load and history.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { shardOf } from "../../src/core/shard.js";
import { CHECK } from "../../src/core/transaction.js";
import { onStage } from "./stage.js";
import type { Adapter } from "./store.js";
import { noOptions, someOp, someTimeMs, someTries } from "./story.js";

export function commitRules(adapter: Adapter): void {
  describe(`${adapter.name}: commits`, () => {
    const on = onStage(adapter);

    it("gives back the transaction that its rows fold to, and the rows in order", async () => {
      const saga = on.teller.tell("g1", { ops: [someOp(0), someOp(1)], customData: "{}" });
      const commits = [saga.created(), saga.started(0), saga.started(1), saga.finished("failed")];
      for (const commit of commits) await on.must(commit);
      const [stored] = await on.store.load(["g1"]);
      expect(stored).toEqual({ tx: saga.tx, wakeAtMs: undefined });
      expect(await on.store.history("g1")).toEqual(commits.map((commit) => commit.row));
    });

    it("answers a load in input order, undefined for unknown gids, also when a gid is asked for twice", async () => {
      const [a, b] = [on.teller.tell("a"), on.teller.tell("b")];
      await on.must(a.created(), b.created());
      const loaded = await on.store.load(["b", "unknown", "a", "b"]);
      expect(loaded.map((stored) => stored?.tx.gid)).toEqual(["b", undefined, "a", "b"]);
      expect(await on.store.history("unknown")).toEqual([]);
      expect(await on.store.load([])).toEqual([]);
    });

    it("takes an empty batch", async () => {
      expect(await on.store.commit([])).toEqual([]);
    });

    it("stores the good commits of a batch beside conflicting ones and says which is which", async () => {
      const [old, stale, fresh] = [on.teller.tell("old"), on.teller.tell("stale"), on.teller.tell("fresh")];
      await on.must(old.created(), stale.created());
      const begun = stale.started();
      await on.must(begun);
      const duplicate = on.teller.tell("old").created();
      expect(await on.store.commit([begun, fresh.created(), duplicate])).toEqual(["conflict", "ok", "conflict"]);
      const loaded = await on.store.load(["old", "stale", "fresh"]);
      expect(loaded.map((stored) => stored?.tx)).toEqual([old.tx, stale.tx, fresh.tx]);
    });

    it("refuses to create a gid twice and leaves the first as it was", async () => {
      const first = on.teller.tell("g");
      await on.must(first.created());
      const second = on.teller.tell("g", { type: "msg", wakeAtMs: 1 });
      expect(await on.store.commit([second.created()])).toEqual(["conflict"]);
      expect(await on.store.load(["g"])).toEqual([{ tx: first.tx, wakeAtMs: first.wakeAtMs }]);
      expect(await on.store.due(first.shard, 1, undefined, 10)).toEqual([]);
      expect((await on.store.list({}, undefined, 10)).heads).toHaveLength(1);
    });

    it("refuses an id that is taken, and leaves no trace of the gid that wanted it", async () => {
      const first = on.teller.tell("g");
      await on.must(first.created());
      expect(await on.store.commit([on.teller.tell("h", { id: first.id }).created()])).toEqual(["conflict"]);
      expect(await on.store.load(["h", "g"])).toEqual([undefined, { tx: first.tx, wakeAtMs: first.wakeAtMs }]);
    });

    it("refuses a version that is not the successor of the newest: repeated, older, or with a gap", async () => {
      const saga = on.teller.tell("g");
      await on.must(saga.created());
      await on.must(saga.started());
      const next = saga.finished();
      for (const version of [0, 2, 4]) {
        expect(await on.store.commit([{ ...next, row: { ...next.row, version } }])).toEqual(["conflict"]);
      }
      expect(await on.store.history("g")).toHaveLength(2);
      expect((await on.store.list({ unfinished: true }, undefined, 10)).heads).toHaveLength(1);
      await on.must(next);
    });

    it("refuses a step of a gid that does not exist", async () => {
      const saga = on.teller.tell("g");
      saga.created();
      expect(await on.store.commit([saga.started()])).toEqual(["conflict"]);
      expect(await on.store.load(["g"])).toEqual([undefined]);
    });

    it("lets a row without a head leave the head as it is", async () => {
      const saga = on.teller.tell("g", { wakeAtMs: someTimeMs + 77 });
      await on.must(saga.created());
      const { heads } = await on.store.list({}, undefined, 1);
      const step = saga.started();
      expect(step.head).toBeUndefined();
      await on.must(step);
      expect((await on.store.list({}, undefined, 1)).heads).toEqual(heads);
    });

    it("keeps one record of an op's retries, the newest, beside the numbered rows", async () => {
      const msg = on.teller.tell("g", { type: "msg", ops: [someOp(0), someOp(1)] });
      const numbered = [msg.created(), msg.started(0)];
      for (const commit of numbered) await on.must(commit);
      for (let attempts = 1; attempts <= 5; attempts++) await on.must(msg.retried(0, attempts));
      await on.must(msg.retried(1, 1), on.teller.tell("other").created());
      const check = msg.retried(CHECK, 3);
      await on.must(check);
      const later = msg.started(1);
      await on.must(later);
      const last = msg.retried(0, 6);
      await on.must(last);
      const rows = await on.store.history("g");
      expect(rows.map((row) => [row.version, row.retryOf])).toEqual([
        [1, undefined],
        [2, undefined],
        [2, CHECK],
        [2, 1],
        [3, undefined],
        [3, 0],
      ]);
      expect(await on.store.load(["g"])).toEqual([{ tx: msg.tx, wakeAtMs: msg.wakeAtMs }]);
    });

    it("refuses a retry record that does not carry the newest version", async () => {
      const saga = on.teller.tell("g");
      await on.must(saga.created());
      await on.must(saga.started());
      const retry = saga.retried(0, 1);
      for (const version of [0, 1, 3]) {
        expect(await on.store.commit([{ ...retry, row: { ...retry.row, version } }])).toEqual(["conflict"]);
      }
      expect(await on.store.history("g")).toHaveLength(2);
      await on.must(retry);
    });

    it("moves the head's wake time with a retry record that carries a head", async () => {
      const saga = on.teller.tell("g");
      await on.must(saga.created());
      const events = [{ kind: "retried", atMs: someTimeMs, op: 0, tries: someTries(1) }] as const;
      const commit = saga.next(events, someTimeMs + 10_000);
      expect(commit.head?.wakeAtMs).toBe(someTimeMs + 10_000);
      await on.must(commit);
      expect((await on.store.load(["g"]))[0]?.wakeAtMs).toBe(someTimeMs + 10_000);
    });

    it("says about a batch in doubt that it is there, and makes it so where it was not", async () => {
      const [a, b, c] = [on.teller.tell("a"), on.teller.tell("b"), on.teller.tell("c")];
      const there = [a.created(), b.created()];
      await on.must(...there);
      const absent = c.created();
      expect(await on.store.settle([...there, absent])).toEqual(["ok", "ok", "ok"]);
      const [retry, step] = [a.retried(0, 1), b.started()];
      expect(await on.store.settle([retry, step])).toEqual(["ok", "ok"]);
      expect(await on.store.settle([retry, step])).toEqual(["ok", "ok"]);
      expect((await on.store.load(["a", "b", "c"])).map((stored) => stored?.tx)).toEqual([a.tx, b.tx, c.tx]);
    });

    it("does not take another's row for the one in doubt", async () => {
      const [mine, others] = [on.teller.tell("g", { customData: "1" }), on.teller.tell("g", { customData: "2" })];
      await on.must(others.created());
      expect(await on.store.settle([mine.created()])).toEqual(["conflict"]);
      expect((await on.store.load(["g"]))[0]?.tx).toEqual(others.tx);
    });

    it("gives each batch of several sent at once its own verdicts: one creator of a gid wins", async () => {
      const batches = Array.from({ length: 8 }, (_, n) => [
        on.teller.tell("contested").created(),
        on.teller.tell(`own${n}`).created(),
      ]);
      const verdicts = await Promise.all(batches.map((batch) => on.store.commit(batch)));
      expect(verdicts.map(([, own]) => own)).toEqual(batches.map(() => "ok"));
      expect(verdicts.filter(([contested]) => contested === "ok")).toHaveLength(1);
    });

    it("takes a full batch at once", async () => {
      const sagas = Array.from({ length: 256 }, (_, n) => on.teller.tell(`saga ${n}`));
      await on.must(...sagas.map((saga) => saga.created()));
      await on.must(...sagas.map((saga, n) => (n % 3 === 0 ? saga.finished() : saga.started())));
      const loaded = await on.store.load(sagas.map((saga) => saga.gid));
      expect(loaded.map((stored) => stored?.tx)).toEqual(sagas.map((saga) => saga.tx));
    });

    it("keeps a payload of a mebibyte and a thousand ops", async () => {
      const payload = new Uint8Array(1 << 20).map((_, n) => n * 31);
      const ops = [someOp(0, payload), ...Array.from({ length: 999 }, (_, n) => someOp(n + 1))];
      const saga = on.teller.tell("g", { ops });
      await on.must(saga.created());
      const [stored] = await on.store.load(["g"]);
      expect(stored?.tx.ops).toHaveLength(1000);
      expect(Buffer.compare(stored!.tx.ops[0]!.payload, payload)).toBe(0);
      expect(stored?.tx.ops.at(-1)).toEqual(saga.tx?.ops.at(-1));
    });

    it("keeps any bytes, texts and header names as they are", async () => {
      let n = 0;
      const headers = fc.dictionary(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }));
      const texts = fc.record({ customData: fc.string({ unit: "binary" }), reason: fc.string({ unit: "binary" }) });
      const property = fc.asyncProperty(headers, texts, fc.uint8Array(), async (branchHeaders, said, payload) => {
        const gid = `g${n++}`;
        const ops = [someOp(0, payload)];
        const saga = on.teller.tell(gid, {
          options: { ...noOptions, branchHeaders },
          ops,
          customData: said.customData,
        });
        await on.must(saga.created());
        const atMs = someTimeMs + 1;
        await on.must(saga.next([{ kind: "aborting", atMs, reason: said.reason, byClient: true }]));
        expect((await on.store.load([gid]))[0]?.tx).toEqual(saga.tx);
        const { heads } = await on.store.list({}, undefined, 100);
        expect(heads.find((head) => head.gid === gid)?.rollbackReason).toBe(said.reason);
      });
      await fc.assert(property, { numRuns: 50 });
    });

    if (!adapter.fences) return;

    it("stores nothing of a shard that was taken away, and the rest of the batch", async () => {
      const [lost, kept] = [on.teller.tell("lost"), on.teller.tell("kept")];
      expect(lost.shard).not.toBe(kept.shard);
      await on.must(lost.created(), kept.created());
      const epoch = await on.place.claim!(lost.shard);
      expect(await on.store.commit([lost.started(), kept.started()])).toEqual(["fenced", "ok"]);
      expect(await on.store.history("lost")).toHaveLength(1);
      on.teller.epochs.set(lost.shard, epoch);
      const again = on.teller.tell("lost", { id: lost.id });
      again.created();
      await on.must(again.started());
    });

    it("tells commits of one shard apart by the epoch that each was made under", async () => {
      const [gid, ...others] = ["a", ...Array.from({ length: 3000 }, (_, n) => `b${n}`)];
      const [before, after] = [on.teller.tell(gid!), on.teller.tell(others.find((g) => shardOf(g) === shardOf(gid!))!)];
      await on.must(before.created(), after.created());
      const late = before.started();
      on.teller.epochs.set(before.shard, await on.place.claim!(before.shard));
      const timely = after.started();
      expect(await on.store.commit([late, timely])).toEqual(["fenced", "ok"]);
      const [lateAgain, timelyAgain] = [before.finished(), after.finished()];
      const batch = [timelyAgain, { ...lateAgain, epoch: late.epoch, row: { ...lateAgain.row, version: 2 } }];
      expect(await on.store.commit(batch)).toEqual(["ok", "fenced"]);
      expect(await on.store.history(gid!)).toHaveLength(1);
    });
  });
}
