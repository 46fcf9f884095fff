// The stores that need nothing but a folder; those that need a server stand in its tests (test/mysql).
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openLmdb } from "../../src/store/lmdb/lmdb.js";
import { MemoryStore } from "../../src/store/memory/memory.js";
import type { Adapter } from "./store.js";

/** One line per store. */
export const adapters: readonly Adapter[] = [
  { name: "memory", keeps: false, fences: false, open: openMemory },
  { name: "memory with epochs", keeps: false, fences: true, open: openFencedMemory },
  { name: "lmdb", keeps: true, fences: false, open: openFolder },
];

async function openMemory() {
  const store = new MemoryStore();
  return { store, dispose: () => store.close() };
}

async function openFencedMemory() {
  const epochs = new Map<number, number>();
  const epochOf = (shard: number): number => epochs.get(shard) ?? 1;
  const store = new MemoryStore(epochOf);
  const claim = async (shard: number) => {
    epochs.set(shard, epochOf(shard) + 1);
    return epochOf(shard);
  };
  return { store, claim, dispose: () => store.close() };
}

async function openFolder() {
  const folder = await mkdtemp(join(tmpdir(), "tandem-store-"));
  let store = openLmdb(folder);
  const reopen = async () => {
    await store.close();
    store = openLmdb(folder);
    return store;
  };
  const dispose = async () => {
    await store.close();
    await rm(folder, { recursive: true });
  };
  return { store, reopen, dispose };
}
