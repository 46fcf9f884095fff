// `tsx bench/store.ts [lmdb:DIR | memory: | mysql://…] [--batch N] [--seconds N]`: durable transitions a second of a
// store alone, two-branch sagas as the engine writes them (creation, two steps, end), one batch in flight.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Event } from "../src/core/event.js";
import type { Commit, Store } from "../src/ports/store.js";
import { openLmdb } from "../src/store/lmdb/lmdb.js";
import { MemoryStore } from "../src/store/memory/memory.js";
import { migrateMysql, openMysql } from "../src/store/mysql/mysql.js";
import { type Story, someOp, Teller } from "../test/conformance/story.js";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { batch: { type: "string", default: "1,16,64,256" }, seconds: { type: "string", default: "3" } },
});

const folder = await mkdtemp(join(tmpdir(), "tandem-bench-"));
const [address = `lmdb:${folder}`] = positionals;

/** The rest of a saga's life after its creation, step by step. */
function steps(atMs: number): readonly (readonly Event[])[] {
  const settled = (op: number): Event => ({ kind: "settled", atMs, op, status: "succeed" });
  const finished: Event = { kind: "finished", atMs, status: "succeed", reason: "", result: "", byClient: false };
  return [
    [settled(0), { kind: "started", atMs, ops: [1] }],
    [settled(1), finished],
  ];
}

/** A database is migrated first, and its shards belong to nobody: don't use one that is in service. */
async function open(address: string): Promise<Store> {
  if (address === "memory:") return new MemoryStore();
  if (address.startsWith("lmdb:")) return openLmdb(address.slice("lmdb:".length));
  await migrateMysql(address);
  const regressed = (what: string): never => {
    throw new Error(what);
  };
  return openMysql({ url: address, owner: { identity: () => ({ name: "", incarnation: 0 }), bumped() {}, regressed } });
}

async function measure(store: Store, batch: number, seconds: number): Promise<string> {
  const teller = new Teller(() => (address.startsWith("mysql:") ? 0 : 1));
  const payload = new TextEncoder().encode('{"amount":30,"transInResult":"SUCCESS"}');
  const running: { story: Story; left: (readonly Event[])[] }[] = [];
  const next = (n: number): Commit => {
    const now = Date.now();
    const known = running[n];
    const events = known?.left.shift();
    if (events !== undefined) return known!.story.next(events, now - 1);
    const gid = `${process.hrtime.bigint()}-${Math.random().toString(36).slice(2)}`;
    const story = teller.tell(gid, { ops: [someOp(0, payload), someOp(1, payload)], atMs: now });
    running[n] = { story, left: [...steps(now)] };
    return story.created();
  };
  const durations: number[] = [];
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  while (performance.now() - startMs < seconds * 1000) {
    const commits = Array.from({ length: batch }, (_, n) => next(n));
    const beganMs = performance.now();
    const verdicts = await store.commit(commits);
    durations.push(performance.now() - beganMs);
    if (!verdicts.every((verdict) => verdict === "ok")) throw new Error(`verdicts ${verdicts}`);
  }
  const elapsedMs = performance.now() - startMs;
  const { user, system } = process.cpuUsage(cpu);
  const transitions = durations.length * batch;
  durations.sort((a, b) => a - b);
  const [p50, p99] = [0.5, 0.99].map((share) => durations[Math.floor(share * durations.length)]!.toFixed(2));
  const rate = Math.round((transitions / elapsedMs) * 1000);
  const cpuUs = ((user + system) / transitions).toFixed(1);
  return `batch ${batch}: ${rate} transitions/s, flush p50 ${p50} ms, p99 ${p99} ms, CPU ${cpuUs} us each`;
}

for (const batch of values.batch.split(",").map(Number)) {
  const store = await open(address);
  console.log(`${address.split(":")[0]} ${await measure(store, batch, Number(values.seconds))}`);
  await store.close();
}
await rm(folder, { recursive: true });
