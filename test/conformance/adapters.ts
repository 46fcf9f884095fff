// The stores that need nothing but a folder; those that need a server stand in its tests (test/mysql).
import { MemoryStore } from "../../src/store/memory/memory.js";
import type { Adapter } from "./store.js";

/** One line per store. */
export const adapters: readonly Adapter[] = [
  { name: "memory", keeps: false, fences: false, open: openMemory },
  { name: "memory with epochs", keeps: false, fences: true, open: openFencedMemory },
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
