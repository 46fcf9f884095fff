// What only the embedded store promises: slices, growth, backups, a full disk, its format for years.
import { execFileSync } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Event } from "../../src/core/event.js";
import { formats as known } from "../../src/ports/format.js";
import { headCodec, rowCodec } from "../../src/store/codec.js";
import { FolderError } from "../../src/store/lmdb/folder.js";
import { type LmdbStore, openLmdb } from "../../src/store/lmdb/lmdb.js";
import { sliceEntries, yieldToLoop } from "../../src/store/lmdb/pace.js";
import { type Story, someOp, someTimeMs, Teller } from "../conformance/story.js";
import { expectedOf, fixtureFolder, toJson } from "../fixtures/format.js";
import { startPeer } from "./process.js";

let folder: string;
let teller: Teller;
const opened: LmdbStore[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tandem-lmdb-"));
  teller = new Teller();
});

afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
  await rm(folder, { recursive: true, force: true });
});

function openAt(path: string, pause = yieldToLoop): LmdbStore {
  const store = openLmdb(path, { pause });
  opened.push(store);
  return store;
}

async function createMany(store: LmdbStore, count: number, gid: (n: number) => string): Promise<Story[]> {
  const stories = Array.from({ length: count }, (_, n) => teller.tell(gid(n), { wakeAtMs: someTimeMs + n, ops: [] }));
  for (let n = 0; n < count; n += 250) {
    await store.commit(stories.slice(n, n + 250).map((story) => story.created()));
  }
  return stories;
}

/** Gids of one shard, so that `due` has to read many. */
function gidsOfShard(shard: number, count: number): string[] {
  const gids: string[] = [];
  for (let n = 0; gids.length < count; n++) if (teller.tell(`gid ${n}`).shard === shard) gids.push(`gid ${n}`);
  return gids;
}

describe("long reads of the embedded store", () => {
  it("give way to other work after every slice of entries", async () => {
    let pauses = 0;
    const store = openAt(folder, async () => {
      pauses++;
    });
    const count = 4 * sliceEntries;
    const pausesOf = async (read: () => Promise<unknown>): Promise<number> => {
      pauses = 0;
      await read();
      return pauses;
    };
    const gids = gidsOfShard(5, count);
    const stories = await createMany(store, count, (n) => gids[n]!);
    expect(await pausesOf(() => store.list({ type: "xa" }, undefined, 10))).toBe(4);
    expect(await pausesOf(() => store.list({ type: "xa", unfinished: true }, undefined, 10))).toBe(4);
    expect(await pausesOf(() => store.due(5, Number.MAX_SAFE_INTEGER, undefined, count))).toBe(4);
    expect(await pausesOf(() => store.load(gids))).toBeGreaterThanOrEqual(4);
    for (let n = 0; n < count; n++) await store.put("topics", `${n % 1500}`, "[]", 0, 1);
    expect(await pausesOf(() => store.scan("topics", undefined, count))).toBe(3);
    for (let n = 0; n < count; n += 250) {
      await store.commit(stories.slice(n, n + 250).map((story) => story.finished()));
    }
    const purged = await pausesOf(() => store.purge(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, count));
    expect(purged).toBeGreaterThanOrEqual(4);
    expect(await store.count()).toEqual([]);
  }, 120_000);

  it("let commits through while they last", async () => {
    const store = openAt(folder, async () => {
      await store.commit([teller.tell(`between ${n++}`).created()]);
      await yieldToLoop();
    });
    let n = 0;
    await createMany(store, 3 * sliceEntries, (k) => `gid ${k}`);
    const { heads } = await store.list({}, undefined, 10_000);
    expect(n).toBeGreaterThanOrEqual(3);
    expect(heads.filter((head) => head.gid.startsWith("gid"))).toHaveLength(3 * sliceEntries);
  });

  it("end with the store", async () => {
    const store = openAt(folder, async () => {
      void store.close();
      await yieldToLoop();
    });
    await createMany(store, 2 * sliceEntries, (n) => `gid ${n}`);
    await expect(store.list({ type: "xa" }, undefined, 10)).rejects.toThrow("the store is closed");
  });
});

describe("what the embedded store writes", () => {
  it("grows with the number of branches, not with its square", async () => {
    const sizeOf = async (branches: number): Promise<number> => {
      const store = openAt(join(folder, `${branches}`));
      const ops = Array.from({ length: branches }, (_, n) => someOp(n));
      const saga = teller.tell(`saga of ${branches}`, { ops });
      await store.commit([saga.created()]);
      for (let op = 0; op < branches; op++) {
        const settled: Event = { kind: "settled", atMs: someTimeMs, op, status: "succeed" };
        const step =
          op + 1 < branches ? [settled, { kind: "started", atMs: someTimeMs, ops: [op + 1] } as const] : [settled];
        expect(await store.commit([saga.next(step)])).toEqual(["ok"]);
      }
      expect((await store.load([saga.gid]))[0]?.tx).toEqual(saga.tx);
      await store.backup(join(folder, `copy ${branches}`));
      return (await readFile(join(folder, `copy ${branches}`, "data.mdb"))).length;
    };
    const [none, some, many] = [await sizeOf(1), await sizeOf(250), await sizeOf(1000)];
    const perBranch = (many - some) / 750;
    expect(perBranch).toBeLessThan(250);
    expect(some - none).toBeLessThan(250 * 250);
  }, 120_000);

  it("is copied by a backup while commits go on: a store of one moment that opens", async () => {
    const store = openAt(join(folder, "store"));
    await createMany(store, 500, (n) => `gid ${n}`);
    await store.put("topics", "t", "[]", 0, someTimeMs);
    const copy = join(folder, "copy");
    const [copied] = await Promise.all([store.backup(copy), createMany(store, 500, (n) => `later ${n}`)]);
    const restored = openAt(copy);
    const { heads } = await restored.list({}, undefined, 2000);
    expect(heads).toHaveLength(copied);
    expect(heads.filter((head) => head.gid.startsWith("gid"))).toHaveLength(500);
    expect((await restored.count())[0]?.transactions).toBe(copied);
    const loaded = await restored.load(heads.map((head) => head.gid));
    expect(loaded.every((stored) => stored?.tx.version === 1)).toBe(true);
    expect((await restored.get("topics", "t"))?.value).toBe("[]");
    await restored.commit([teller.tell("new").created()]);
    expect(await store.load(["new"])).toEqual([undefined]);
  });

  it("is not copied over what stands in a folder", async () => {
    const store = openAt(join(folder, "store"));
    await mkdir(join(folder, "full"));
    await writeFile(join(folder, "full", "file"), "mine");
    await expect(store.backup(join(folder, "full"))).rejects.toThrow(FolderError);
    await expect(store.backup(join(folder, "full", "file", "x"))).rejects.toThrow(FolderError);
  });
});

/** A command in front that lets a process mount a disk of its own, or `undefined` where the machine forbids it. */
function mountWrapper(): readonly string[] | undefined {
  for (const flags of ["-m", "-rUm"]) {
    try {
      const mount = `mount -t tmpfs -o size=1m tmpfs ${folder}`;
      execFileSync("unshare", [flags, "sh", "-c", mount], { stdio: "ignore" });
      return ["unshare", flags];
    } catch {}
  }
  return undefined;
}

describe("a full disk", () => {
  it("makes commits unavailable, takes none back, and is forgotten when there is space", async (context) => {
    const wrapper = mountWrapper();
    if (wrapper === undefined) return context.skip("this machine does not let a test mount a small disk");
    const filler = startPeer("filler", [folder], wrapper);
    const report = (await filler.line()) as Record<string, Record<string, number>>;
    expect(report).toMatchObject({
      errors: ["StoreUnavailable"],
      putWhileFull: "StoreUnavailable",
      putAfterwards: true,
    });
    const { acknowledged, ...whileFull } = report.whileFull!;
    expect(acknowledged).toBeGreaterThan(0);
    expect(whileFull).toEqual({ loaded: acknowledged, ofRefused: 0, counted: acknowledged });
    const all = acknowledged! + 40;
    expect(report.afterwards).toEqual({ acknowledged: all, loaded: all, counted: all, refusedLater: 0 });
    expect(await filler.ended).toBe(0);
  }, 60_000);
});

describe("a store that an earlier program left behind", () => {
  const formats = Array.from({ length: known.newest - known.oldest + 1 }, (_, n) => known.oldest + n);

  it.each(formats)("of format %i is read as it was written, and written on", async (format) => {
    const expected = expectedOf(format);
    await cp(join(fixtureFolder(format), "lmdb"), folder, { recursive: true });
    const store = openAt(folder);
    const { heads } = await store.list({}, undefined, 100);
    expect(toJson(heads)).toEqual(expected.heads.map(({ head }) => head));
    const gids = heads.map((head) => head.gid);
    expect(toJson(await store.load(gids))).toEqual(expected.transactions);
    expect(toJson((await Promise.all(gids.map((gid) => store.history(gid)))).flat())).toEqual(
      expected.rows.map(({ row }) => row),
    );
    expect((await store.scan("", undefined, 10)).entries).toEqual(expected.keyValues);
    const { id, gid, shard } = heads.find((head) => head.gid === "running")!;
    const [running] = await store.load(["running"]);
    const row = { version: running!.tx.version + 1, retryOf: undefined, events: [] };
    expect(await store.commit([{ gid, id, shard, epoch: 1, row, head: undefined }])).toEqual(["ok"]);
  });

  it.each(formats)("of format %i has rows and heads that any store of this program reads", (format) => {
    const expected = expectedOf(format);
    for (const { stored, row } of expected.rows) {
      expect(toJson(rowCodec.decode(Buffer.from(stored, "hex")))).toEqual(row);
    }
    for (const { stored, head } of expected.heads) {
      expect(toJson(headCodec.decode(Buffer.from(stored, "hex")))).toEqual(head);
    }
    const kinds = expected.rows.flatMap(({ row }) => (row as { events: Event[] }).events.map((event) => event.kind));
    expect(new Set(kinds).size).toBe(14);
  });
});
