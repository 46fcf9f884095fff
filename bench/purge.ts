// `tsx bench/purge.ts mysql://… [--transactions N] [--limit N]`: how much a purge of finished transactions disturbs
// those that are being made. Fills the tables with copies of one finished saga, commits a batch every 20 ms, first
// alone, then while journals and heads are purged. Empties the tables first: never use a database that is in service.
import { parseArgs } from "node:util";
import { createConnection } from "mysql2/promise";
import { migrateMysql, openMysql } from "../src/store/mysql/mysql.js";
import { someOp, Teller } from "../test/conformance/story.js";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { transactions: { type: "string", default: "1000000" }, limit: { type: "string", default: "500" } },
});
const [address] = positionals;
if (address === undefined) throw new Error("needs the address of a database: mysql://user@host:port/db");
const [transactions, limit] = [Number(values.transactions), Number(values.limit)];

await migrateMysql(address);
const admin = await createConnection({ uri: address, multipleStatements: true });
await admin.query("DELETE FROM journal; DELETE FROM head; UPDATE cl_shard SET epoch=0, owner='', incarnation=0");
const store = await openMysql({
  url: address,
  owner: { identity: () => ({ name: "", incarnation: 0 }), bumped() {}, regressed() {} },
});
const teller = new Teller(() => 0);

/** Copies by doubling, ids and gids counted upwards from the first. */
async function fill(): Promise<void> {
  const saga = teller.tell("saga", { ops: [someOp(0), someOp(1)], atMs: Date.now() - 30 * 86_400_000 });
  await store.commit([saga.created()]);
  await store.commit([saga.started(0)]);
  await store.commit([saga.finished("succeed", Date.now() - 29 * 86_400_000)]);
  for (let copies = 1; copies < transactions; copies *= 2) {
    const room = Math.min(copies, transactions - copies);
    const source = `WHERE id < ${saga.id + room}`;
    await admin.query(
      `INSERT INTO head SELECT id+${copies}, CONCAT('saga ', id+${copies}), shard, type, protocol, status, wake_at,
         digest, parked, overdue, rollback_reason, aborted_by_client, created_at, updated_at, ended_at FROM head ${source};
       INSERT INTO journal SELECT id+${copies}, seq, body FROM journal ${source}`,
    );
  }
}

async function commitUntil(done: () => boolean): Promise<string> {
  const durations: number[] = [];
  while (!done()) {
    const startedMs = performance.now();
    const sagas = Array.from({ length: 16 }, () =>
      teller.tell(`live ${process.hrtime.bigint()}`, { atMs: Date.now() }),
    );
    await store.commit(sagas.map((saga) => saga.created()));
    durations.push(performance.now() - startedMs);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  durations.sort((a, b) => a - b);
  const [p50, p99] = [0.5, 0.99].map((share) => durations[Math.floor(share * durations.length)]!.toFixed(2));
  return `p50 ${p50} ms, p99 ${p99} ms of ${durations.length} commits of 16`;
}

async function purgeAll(journalsBeforeMs: number, headsBeforeMs: number): Promise<string> {
  const startedMs = performance.now();
  let touched = 0;
  for (;;) {
    const some = await store.purge(journalsBeforeMs, headsBeforeMs, limit);
    if (some === 0) break;
    touched += some;
  }
  return `${touched} in ${((performance.now() - startedMs) / 1000).toFixed(1)} s`;
}

await fill();
const quietUntilMs = performance.now() + 10_000;
console.log(`alone: ${await commitUntil(() => performance.now() > quietUntilMs)}`);
const beforeMs = Date.now() - 7 * 86_400_000;
for (const [name, headsBeforeMs] of [["journals", 0] as const, ["heads", beforeMs] as const]) {
  let done = false;
  const purging = purgeAll(beforeMs, headsBeforeMs).finally(() => {
    done = true;
  });
  console.log(`while ${name} are purged: ${await commitUntil(() => done)}; purged ${await purging}`);
}
await store.close();
await admin.end();
