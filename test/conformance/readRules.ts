// Rules of due, earliest, list, lastId and count.
import { describe, expect, it } from "vitest";
import type { Status, TransType } from "../../src/core/transaction.js";
import { type DueCursor, type DueEntry, type Filter, type Store, StoreUnavailable } from "../../src/ports/store.js";
import { onStage } from "./stage.js";
import type { Adapter, Place } from "./store.js";
import { type Story, someTimeMs } from "./story.js";

/** All pages of `due` together; fails when a page is longer than asked for. */
async function allDue(store: Store, shard: number, untilMs: number, pageSize: number): Promise<DueEntry[]> {
  const entries: DueEntry[] = [];
  let after: DueCursor | undefined;
  for (;;) {
    const page = await store.due(shard, untilMs, after, pageSize);
    expect(page.length).toBeLessThanOrEqual(pageSize);
    entries.push(...page);
    after = page.at(-1);
    if (after === undefined) return entries;
  }
}

/** Gids of all pages of a list. */
async function allListed(store: Store, filter: Filter, pageSize: number): Promise<string[]> {
  const gids: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await store.list(filter, cursor, pageSize);
    expect(page.heads.length).toBeLessThanOrEqual(pageSize);
    gids.push(...page.heads.map((head) => head.gid));
    cursor = page.next;
  } while (cursor !== undefined);
  return gids;
}

export function readRules(adapter: Adapter): void {
  describe(`${adapter.name}: due transactions`, () => {
    const on = onStage(adapter);

    /** Gids of one shard, so that their order can be seen. */
    const gidsOf = (shard: number, count: number): string[] => {
      const gids: string[] = [];
      for (let n = 0; gids.length < count; n++) if (on.teller.tell(`gid ${n}`).shard === shard) gids.push(`gid ${n}`);
      return gids;
    };

    it("gives those of one shard whose time has come, earliest first, equal times by id, page by page", async () => {
      const wakes = [50, 10, 30, 10, undefined, 40, 10];
      const sagas = gidsOf(7, wakes.length).map((gid, n) =>
        on.teller.tell(gid, { wakeAtMs: wakes[n] === undefined ? undefined : someTimeMs + wakes[n] }),
      );
      await on.must(...sagas.map((saga) => saga.created()), on.teller.tell("elsewhere", { wakeAtMs: 1 }).created());
      const order = [1, 3, 6, 2, 5].map((n) => ({
        gid: sagas[n]!.gid,
        id: sagas[n]!.id,
        wakeAtMs: sagas[n]!.wakeAtMs,
      }));
      for (const pageSize of [1, 2, 100]) {
        expect(await allDue(on.store, 7, someTimeMs + 40, pageSize)).toEqual(order);
      }
      expect(await on.store.due(7, someTimeMs + 9, undefined, 10)).toEqual([]);
      expect(await on.store.due(8, someTimeMs + 1000, undefined, 10)).toEqual([]);
    });

    it("follows the head: later, earlier, never again", async () => {
      const saga = on.teller.tell("g", { wakeAtMs: someTimeMs });
      await on.must(saga.created());
      const dueAt = async (untilMs: number) => (await on.store.due(saga.shard, untilMs, undefined, 9)).length;
      await on.must(saga.next([{ kind: "hastened", atMs: someTimeMs }], someTimeMs + 500));
      expect([await dueAt(someTimeMs + 499), await dueAt(someTimeMs + 500)]).toEqual([0, 1]);
      await on.must(saga.next([{ kind: "hastened", atMs: someTimeMs }], someTimeMs - 500));
      expect([await dueAt(someTimeMs - 501), await dueAt(someTimeMs - 500)]).toEqual([0, 1]);
      await on.must(saga.parked());
      expect(await dueAt(Number.MAX_SAFE_INTEGER)).toBe(0);
    });

    it("names the earliest time of each shard that waits for one", async () => {
      expect(await on.store.earliest()).toEqual(new Map());
      const expected = new Map<number, number>();
      const sagas: Story[] = [];
      for (let n = 0; n < 600; n++) {
        const wakeAtMs = n % 5 === 0 ? undefined : someTimeMs + ((n * 7919) % 1000);
        const saga = on.teller.tell(`saga ${n}`, { wakeAtMs });
        sagas.push(saga);
        if (wakeAtMs === undefined) continue;
        expected.set(saga.shard, Math.min(wakeAtMs, expected.get(saga.shard) ?? Number.POSITIVE_INFINITY));
      }
      await on.must(...sagas.map((saga) => saga.created()));
      expect(new Map([...(await on.store.earliest())].sort())).toEqual(new Map([...expected].sort()));
      await on.must(...sagas.map((saga) => saga.finished()));
      expect(await on.store.earliest()).toEqual(new Map());
    });

    it("knows the highest id of a shard, 0 for none", async () => {
      const [shard, gids] = [3, gidsOf(3, 3)];
      expect(await on.store.lastId(shard)).toBe(0);
      const sagas = gids.map((gid) => on.teller.tell(gid));
      await on.must(sagas[2]!.created());
      await on.must(sagas[0]!.created(), on.teller.tell("elsewhere").created());
      expect(await on.store.lastId(shard)).toBe(sagas[2]!.id);
    });
  });

  describe(`${adapter.name}: lists`, () => {
    const on = onStage(adapter);
    const types: readonly TransType[] = ["saga", "msg", "tcc"];

    /** Nine transactions, three of each type: one succeeded, one parked, one prepared. */
    const populate = async (): Promise<Story[]> => {
      const stories = Array.from({ length: 9 }, (_, n) =>
        on.teller.tell(`g${n}`, {
          type: types[n % 3]!,
          atMs: someTimeMs + n,
          status: n < 6 ? "submitted" : "prepared",
        }),
      );
      await on.must(...stories.map((story) => story.created()));
      await on.must(...stories.slice(0, 3).map((story) => story.finished()));
      await on.must(...stories.slice(3, 6).map((story) => story.parked()));
      return stories.sort((a, b) => b.id - a.id);
    };

    it("gives the newest first, page by page, none twice and none left out", async () => {
      const stories = await populate();
      const newestFirst = stories.map((story) => story.gid);
      for (const pageSize of [1, 2, 3, 9, 100]) expect(await allListed(on.store, {}, pageSize)).toEqual(newestFirst);
      expect((await on.store.list({}, undefined, 9)).next).toBeUndefined();
    });

    it("goes on behind its cursor although new ones come meanwhile", async () => {
      const stories = await populate();
      const { next } = await on.store.list({}, undefined, 4);
      await on.must(on.teller.tell("new", { atMs: someTimeMs + 1000 }).created());
      const { heads } = await on.store.list({}, next, 100);
      expect(heads.map((head) => head.gid)).toEqual(stories.slice(4).map((story) => story.gid));
    });

    it("gives only those that meet every condition", async () => {
      const stories = await populate();
      const gidsWhere = (meets: (story: Story) => boolean) => stories.filter(meets).map((story) => story.gid);
      const statusIs = (status: Status) => (story: Story) => story.tx?.status === status;
      const isParked = (story: Story) => story.tx?.parked !== undefined;
      const isType = (type: TransType) => (story: Story) => story.tx?.type === type;
      const atMs = (story: Story) => story.tx!.createdAtMs - someTimeMs;
      const cases: readonly (readonly [Filter, (story: Story) => boolean])[] = [
        [{ status: "succeed" }, statusIs("succeed")],
        [{ status: "prepared" }, statusIs("prepared")],
        [{ status: "aborting" }, () => false],
        [{ type: "msg" }, isType("msg")],
        [{ unfinished: true }, (story) => !statusIs("succeed")(story)],
        [{ unfinished: false }, statusIs("succeed")],
        [{ parked: true }, isParked],
        [{ parked: false }, (story) => !isParked(story)],
        [
          { createdFromMs: someTimeMs + 2, createdToMs: someTimeMs + 4 },
          (story) => atMs(story) >= 2 && atMs(story) <= 4,
        ],
        [{ createdFromMs: someTimeMs + 9 }, () => false],
        [{ type: "msg", unfinished: true, parked: false }, (story) => isType("msg")(story) && atMs(story) === 7],
        [{ status: "succeed", unfinished: true }, () => false],
        [{ status: "submitted", unfinished: false }, () => false],
      ];
      for (const [filter, meets] of cases) {
        for (const pageSize of [1, 100]) expect(await allListed(on.store, filter, pageSize)).toEqual(gidsWhere(meets));
      }
    });

    it("gives heads as they were stored last", async () => {
      const saga = on.teller.tell("g", { wakeAtMs: someTimeMs + 5 });
      const created = saga.created();
      await on.must(created);
      expect((await on.store.list({}, undefined, 1)).heads).toEqual([created.head]);
      const ended = saga.finished("failed");
      await on.must(ended);
      expect((await on.store.list({}, undefined, 1)).heads).toEqual([ended.head]);
    });

    it("throws RangeError for a cursor that is none of its own", async () => {
      await populate();
      const { next } = await on.store.list({}, undefined, 1);
      for (const cursor of ["", "x", "%", "aDEuNQ", `${next}x`.slice(2), "aLTE", "aG51bGw"]) {
        await expect(on.store.list({}, cursor, 1), cursor).rejects.toThrow(RangeError);
      }
      await expect(on.store.scan("", next, 1)).rejects.toThrow(RangeError);
    });

    it("finds the oldest unfinished one, parked or not, however many newer ones there are", async () => {
      expect(await on.store.oldestUnfinished()).toBeUndefined();
      const stories = (await populate()).reverse();
      const unfinished = stories.filter(({ tx }) => tx?.status !== "succeed");
      expect(unfinished[0]?.tx?.parked).toBeDefined();
      for (const story of unfinished) {
        expect((await on.store.oldestUnfinished())?.gid).toBe(story.gid);
        await on.must(story.finished());
      }
      expect(await on.store.oldestUnfinished()).toBeUndefined();
    });

    it("counts transactions by type and status", async () => {
      expect(await on.store.count()).toEqual([]);
      await populate();
      const counts = new Map((await on.store.count()).map((row) => [`${row.type} ${row.status}`, row.transactions]));
      const expected = types.flatMap((type) => [`${type} succeed`, `${type} submitted`, `${type} prepared`]);
      expect([...counts.keys()].sort()).toEqual(expected.sort());
      expect([...counts.values()]).toEqual(expected.map(() => 1));
    });
  });

  if (!adapter.keeps) return;

  describe(`${adapter.name}: reopened`, () => {
    const on = onStage(adapter);

    it("has everything that was there when it was closed", async () => {
      const [running, ended] = [on.teller.tell("running"), on.teller.tell("ended")];
      await on.must(running.created(), ended.created());
      await on.must(running.retried(0, 3), ended.finished());
      await on.store.put("topics", "t", "[]", 0, someTimeMs);
      const before = await everything(on.store, running, ended);
      on.store = await on.place.reopen!();
      expect(await everything(on.store, running, ended)).toEqual(before);
      await on.must(running.started());
    });

    it("says that it is unavailable once it is closed", async () => {
      const saga = on.teller.tell("g");
      const closed = on.store;
      on.store = await on.place.reopen!();
      await expect(closed.commit([saga.created()])).rejects.toThrow(StoreUnavailable);
      await expect(closed.load(["g"])).rejects.toThrow(StoreUnavailable);
    });
  });
}

async function everything(store: Place["store"], ...stories: readonly Story[]) {
  return {
    loaded: await store.load(stories.map((story) => story.gid)),
    histories: await Promise.all(stories.map((story) => store.history(story.gid))),
    due: await Promise.all(stories.map((story) => store.due(story.shard, Number.MAX_SAFE_INTEGER, undefined, 9))),
    listed: await store.list({}, undefined, 99),
    oldest: await store.oldestUnfinished(),
    lastIds: await Promise.all(stories.map((story) => store.lastId(story.shard))),
    count: [...(await store.count())].sort((a, b) => a.status.localeCompare(b.status)),
    keyValues: await store.scan("", undefined, 99),
  };
}
