// Fills a small disk: mounts one of 6 MiB at the folder of the first argument (it needs a mount namespace of its own),
// puts
// ballast beside the store, commits until the store refuses, removes the ballast and goes on. Prints what happened.
import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { StoreUnavailable } from "../../src/ports/store.js";
import { openLmdb } from "../../src/store/lmdb/lmdb.js";
import { someOp, Teller } from "../conformance/story.js";

const disk = process.argv[2]!;
execFileSync("mount", ["-t", "tmpfs", "-o", "size=6m", "tmpfs", disk]);
const ballast = join(disk, "ballast");
writeFileSync(ballast, Buffer.alloc(2 << 20));
const folder = join(disk, "store");
const store = openLmdb(folder);
const teller = new Teller();
const acknowledged: string[] = [];
const refused: string[] = [];
const errors: string[] = [];

async function createBatch(n: number): Promise<void> {
  const sagas = Array.from({ length: 4 }, (_, k) =>
    teller.tell(`gid ${n} ${k}`, { ops: [someOp(0, new Uint8Array(20_000))] }),
  );
  const gids = sagas.map((saga) => saga.gid);
  try {
    await store.commit(sagas.map((saga) => saga.created()));
    acknowledged.push(...gids);
  } catch (error) {
    refused.push(...gids);
    errors.push(error instanceof StoreUnavailable ? error.name : String(error));
  }
}

for (let n = 0; errors.length < 5; n++) await createBatch(n);
const putWhileFull = await store.put("topics", "t", "x".repeat(1 << 20), 0, 1).catch((error: Error) => error.name);
const whileFull = {
  acknowledged: acknowledged.length,
  loaded: (await store.load(acknowledged)).filter((stored) => stored !== undefined).length,
  ofRefused: (await store.load(refused)).filter((stored) => stored !== undefined).length,
  counted: (await store.count())[0]?.transactions,
};
const errorsWhileFull = errors.length;
rmSync(ballast);
for (let n = 1000; n < 1010; n++) await createBatch(n);
const putAfterwards = await store.put("topics", "t", "[]", 0, 1);
const refusedLater = errors.length - errorsWhileFull;
await store.close();
const reopened = openLmdb(folder);
const loaded = await reopened.load(acknowledged);
const counted = (await reopened.count())[0]?.transactions;
await reopened.close();
const afterwards = {
  acknowledged: acknowledged.length,
  loaded: loaded.filter((stored) => stored !== undefined).length,
  counted,
  refusedLater,
};
console.log(JSON.stringify({ errors: [...new Set(errors)], putWhileFull, whileFull, putAfterwards, afterwards }));
