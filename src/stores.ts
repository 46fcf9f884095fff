/**
 * The table of stores: what a configuration's choice opens. One line per store.
 */
import type { StoreChoice } from "./config/store.js";
import type { Store } from "./ports/store.js";
import type { KeyValues } from "./ports/topics.js";
import { MemoryStore } from "./store/memory/memory.js";

/** A store that holds transactions and key-values. `backup` is there where a running store can be copied. */
export interface OpenStore {
  readonly store: Store;
  readonly keyValues: KeyValues;
  readonly backup: ((dir: string) => Promise<{ readonly bytes: number }>) | undefined;
}

/** Opens an embedded store. @throws what the adapter says: in use, unwritable, of another format. */
export async function openEmbedded(choice: Exclude<StoreChoice, { kind: "mysql" }>): Promise<OpenStore> {
  switch (choice.kind) {
    case "memory": {
      const store = new MemoryStore();
      return { store, keyValues: store, backup: undefined };
    }
    case "lmdb":
      throw new Error("not here yet");
  }
}
