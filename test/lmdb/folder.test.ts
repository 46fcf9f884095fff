// Who may open a folder, and what is refused without being changed.
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { open } from "lmdb";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { formatVersion, UnknownFormat } from "../../src/store/codec.js";
import { FolderError, formatKey, settings } from "../../src/store/lmdb/folder.js";
import { openLmdb } from "../../src/store/lmdb/lmdb.js";
import { Teller } from "../conformance/story.js";
import { type Peer, startPeer } from "./process.js";

let folder: string;
let peers: Peer[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tandem-lmdb-"));
  peers = [];
});

afterEach(async () => {
  for (const peer of peers) peer.kill("SIGKILL");
  await Promise.all(peers.map((peer) => peer.ended));
  await rm(folder, { recursive: true, force: true });
});

function start(program: string, ...args: string[]): Peer {
  const peer = startPeer(program, args);
  peers.push(peer);
  return peer;
}

function refusal(): FolderError {
  try {
    void openLmdb(folder).close();
  } catch (error) {
    if (error instanceof FolderError) return error;
    throw error;
  }
  throw new Error("the folder was opened");
}

async function openAndClose(): Promise<void> {
  await openLmdb(folder).close();
}

/** Changes a row of the store's own table, as another program would have written it. */
async function setMeta(key: Buffer, value: string): Promise<void> {
  const root = open<Buffer, Buffer>({ path: folder, ...settings, noSubdir: false } as Parameters<typeof open>[0]);
  const meta = root.openDB<Buffer, Buffer>("meta", { ...settings });
  await root.batch(() => void meta.put(key, Buffer.from(value)));
  await root.close();
}

describe("the folder of the embedded store", () => {
  it("is refused to a second process, which names the first", async () => {
    const holder = start("holder", folder);
    expect(await holder.line()).toBe("open");
    expect(refusal()).toMatchObject({ reason: "inUse", pid: holder.pid });
    expect(refusal().message).toContain(`in use by process ${holder.pid}`);
  });

  it("is refused to a second process while the first is stopped, and free once it was killed", async () => {
    const holder = start("holder", folder);
    expect(await holder.line()).toBe("open");
    holder.kill("SIGSTOP");
    expect(refusal()).toMatchObject({ reason: "inUse", pid: holder.pid });
    holder.kill("SIGKILL");
    await holder.ended;
    await openAndClose();
  });

  it("goes to exactly one of several processes that start at once", async () => {
    for (let round = 0; round < 3; round++) {
      const rivals = Array.from({ length: 4 }, () => start("holder", folder));
      const said = await Promise.all(rivals.map((rival) => rival.line()));
      const winners = rivals.filter((_, n) => said[n] === "open");
      expect(winners).toHaveLength(1);
      const refused = { reason: "inUse", pid: winners[0]!.pid };
      expect(said.filter((line) => line !== "open")).toEqual([1, 2, 3].map(() => expect.objectContaining(refused)));
      winners[0]!.kill("SIGKILL");
      await winners[0]!.ended;
    }
  }, 120_000);

  it("is refused to the process that has it open already, and free when it was closed", async () => {
    const store = openLmdb(folder);
    expect(refusal()).toMatchObject({ reason: "inUse", pid: process.pid });
    await store.close();
    await openAndClose();
  });

  it("is free when its owner's pid was given to another process", async () => {
    const holder = start("holder", join(folder, "other"));
    await holder.line();
    for (const pid of [holder.pid, process.pid]) {
      await openAndClose();
      await writeFile(join(folder, "owner.json"), JSON.stringify({ pid, start: "earlier boot 4711" }));
      await openAndClose();
    }
  });

  it("is free when its owner's name was cut off by a crash", async () => {
    await openAndClose();
    for (const text of ["", "{", "null", "7", '{"pid":']) {
      await writeFile(join(folder, "owner.json"), text);
      await openAndClose();
    }
  });

  it("must be writable: the message names it", async () => {
    await writeFile(join(folder, "file"), "");
    const below = join(folder, "file", "store");
    expect(() => openLmdb(below)).toThrow(`cannot write to folder ${below}`);
    await mkdir(join(folder, "closed"));
    await chmod(join(folder, "closed"), 0o500);
    if (process.getuid?.() === 0) return; // root may write everywhere
    expect(() => openLmdb(join(folder, "closed"))).toThrow("cannot write to folder");
  });

  it("must hold a store, if it holds a file of that name", async () => {
    await writeFile(join(folder, "data.mdb"), Buffer.alloc(9000, 7));
    expect(refusal()).toMatchObject({ reason: "notAStore" });
    expect(await readFile(join(folder, "data.mdb"))).toEqual(Buffer.alloc(9000, 7));
  });

  it("must be of a known format, and is left as it is otherwise", async () => {
    const store = openLmdb(folder);
    await store.commit([new Teller().tell("g").created()]);
    await store.close();
    await setMeta(formatKey, String(formatVersion + 1));
    const before = await readFile(join(folder, "data.mdb"));
    expect(() => openLmdb(folder)).toThrow(UnknownFormat);
    expect(() => openLmdb(folder)).toThrow(`has format ${formatVersion + 1}, this program reads`);
    expect(await readFile(join(folder, "data.mdb"))).toEqual(before);
    await setMeta(formatKey, String(formatVersion));
    const again = openLmdb(folder);
    expect(await again.history("g")).toHaveLength(1);
    await again.close();
  });

  it("must count and hash shards as this program does", async () => {
    await openAndClose();
    await setMeta(Buffer.from("shards"), "64 fnv1a");
    expect(refusal().message).toContain("has shards '64 fnv1a', this program needs '256 murmur3-x86-32'");
  });

  it("keeps every acknowledged commit when its process is killed", async () => {
    const creator = start("creator", folder);
    const acknowledged: string[] = [];
    while (acknowledged.length < 400) acknowledged.push(...((await creator.line()) as string[]));
    creator.kill("SIGKILL");
    for (;;) {
      const more = await creator.line().catch(() => undefined);
      if (more === undefined) break;
      acknowledged.push(...(more as string[]));
    }
    const store = openLmdb(folder);
    const loaded = await store.load(acknowledged);
    expect(loaded.map((stored) => stored?.tx.gid)).toEqual(acknowledged);
    const [counted] = await store.count();
    expect((await store.list({}, undefined, 100_000)).heads).toHaveLength(counted!.transactions);
    await store.close();
  });
});
