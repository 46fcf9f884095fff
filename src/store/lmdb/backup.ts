/**
 * A consistent copy of a running store. LMDB reads from one snapshot while writing goes on, so nothing waits.
 */
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { open as openFile } from "node:fs/promises";
import { join } from "node:path";
import { open } from "lmdb";
import { mustKnowFormat } from "../codec.js";
import { FolderError, formatKey, settings, type Tables } from "./folder.js";

/** Copies into a folder that is empty or absent, makes the copy durable and opens it; resolves to its transactions. */
export async function backup(tables: Tables, folder: string): Promise<number> {
  if (existsSync(folder) && readdirSync(folder).length > 0) {
    throw new FolderError("unusable", `folder ${folder} is not empty: a backup needs one of its own`);
  }
  try {
    mkdirSync(folder, { recursive: true });
  } catch (cause) {
    throw new FolderError("unusable", `cannot make folder ${folder} for the backup`, { cause });
  }
  await tables.root.backup(folder, true);
  for (const path of [join(folder, "data.mdb"), folder]) {
    const file = await openFile(path, "r");
    await file.sync();
    await file.close();
  }
  return countIn(folder);
}

async function countIn(folder: string): Promise<number> {
  const root = open({ path: folder, ...settings, noSubdir: false, readOnly: true } as Parameters<typeof open>[0]);
  try {
    const meta = root.openDB<Buffer, Buffer>("meta", { ...settings });
    const format = meta.getBinary(formatKey);
    mustKnowFormat(format && Number(format.toString()), `backup in ${folder}`);
    return Number((root.openDB("heads", { ...settings }).getStats() as { entryCount: number }).entryCount);
  } finally {
    await root.close();
    rmSync(join(folder, "lock.mdb"), { force: true });
  }
}
