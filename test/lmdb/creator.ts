// Creates transactions in the store of the first argument, batch after batch, and prints the gids of each batch when it
// was acknowledged, until it is killed.
import { openLmdb } from "../../src/store/lmdb/lmdb.js";
import { Teller } from "../conformance/story.js";

const store = openLmdb(process.argv[2]!);
const teller = new Teller();
for (let n = 0; ; n += 8) {
  const sagas = Array.from({ length: 8 }, (_, k) => teller.tell(`gid ${n + k}`));
  await store.commit(sagas.map((saga) => saga.created()));
  process.stdout.write(`${JSON.stringify(sagas.map((saga) => saga.gid))}\n`);
}
