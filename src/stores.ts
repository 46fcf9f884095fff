/**
 * The table of stores: what a configuration's choice opens. One line per store.
 */
import { resolve } from "node:path";
import type { StoreChoice } from "./config/store.js";
import { type Backup, BackupRefused } from "./ports/backup.js";
import type { Store } from "./ports/store.js";
import type { KeyValues } from "./ports/topics.js";
import { FolderError } from "./store/lmdb/folder.js";
import { openLmdb } from "./store/lmdb/lmdb.js";
import { MemoryStore } from "./store/memory/memory.js";

/** A store that holds transactions and key-values. `backup` is there where a running store can be copied. */
export interface OpenStore {
  readonly store: Store;
  readonly keyValues: KeyValues;
  readonly backup: Backup | undefined;
}

/** Opens an embedded store. @throws what the adapter says: in use, unwritable, of another format. */
export async function openEmbedded(choice: Exclude<StoreChoice, { kind: "mysql" }>): Promise<OpenStore> {
  switch (choice.kind) {
    case "memory": {
      const store = new MemoryStore();
      return { store, keyValues: store, backup: undefined };
    }
    case "lmdb": {
      const store = openLmdb(resolve(choice.dir));
      return { store, keyValues: store, backup: (dir) => store.backup(dir).catch(refuseFolder) };
    }
  }
}

/** A folder that cannot take the copy is the asker's matter, everything else the store's. */
function refuseFolder(error: unknown): never {
  if (error instanceof FolderError) throw new BackupRefused(error.message, { cause: error });
  throw error;
}
