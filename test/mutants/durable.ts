/**
 * Breaks of what stands around the core: commit before answer and call, stores that compare, timers that survive, calls
 * that are held back, the barrier's rows.
 */
import type { Mutant } from "./mutant.js";

const engine = "test/engine/engine.test.ts";
const crashes = "test/scenarios/engine.test.ts";
const stores = "test/conformance/store.test.ts";
const barrier = "test/client/barrier/memory.test.ts";
const xa = "test/client/db/xalost.test.ts";
const recovery = "test/engine/recovery.test.ts";

/** All breaks of engine, stores and barrier. */
export const durableMutants: readonly Mutant[] = [
  {
    name: "recovery does not hear of who left memory for long",
    file: "src/engine/engine.ts",
    find: `    else if (end === "rests") this.#recovery.left();\n`,
    replace: "",
    tests: [recovery],
    rule: "are kept however long",
  },
  {
    name: "recovery sleeps past what it has seen",
    file: "src/engine/recovery.ts",
    find: "      this.#waitMs = Math.min(this.#waitMs, Math.max(soonestMs - nowMs - this.#shortestMs, this.#shortestMs));\n",
    replace: "",
    tests: [recovery],
    rule: "are kept however long",
  },
  {
    name: "recovery does not notice that the clock was set",
    file: "src/engine/recovery.ts",
    find: "Math.min(atMs - clock.nowMs(), byMs - clock.monotonicMs())",
    replace: "byMs - clock.monotonicMs()",
    tests: [recovery],
    rule: "are kept when the clock is set",
  },
  {
    name: "recovery goes by a clock alone that may be set",
    file: "src/engine/recovery.ts",
    find: "Math.min(atMs - clock.nowMs(), byMs - clock.monotonicMs())",
    replace: "atMs - clock.nowMs()",
    tests: [recovery],
    rule: "are kept when the clock is set",
  },
  {
    name: "recovery looks as often when nothing is due",
    file: "src/engine/recovery.ts",
    find: "    this.#waitMs = longestLookMs;\n",
    replace: "    this.#waitMs = this.#shortestMs;\n",
    tests: [recovery],
    rule: "are kept however long",
  },
  {
    name: "reply before commit",
    file: "src/engine/actor.ts",
    find: "    if (decision.events.length > 0) return this.#commit(message, decision);\n",
    replace:
      "    if (decision.events.length > 0) {\n      this.#answer(message, decision);\n" +
      "      return this.#commit({ ...message, reply: undefined }, decision);\n    }\n",
    tests: [crashes],
    rule: "S1",
  },
  {
    name: "call before commit",
    file: "src/engine/actor.ts",
    find: "    this.#send(message, decision, commit);\n",
    replace: "    this.#call(tx, decision.calls);\n    this.#send(message, decision, commit);\n",
    tests: [crashes],
    rule: "S5",
  },
  {
    name: "timer not persisted",
    file: "src/core/head.ts",
    find: "const head = headOf(tx, rests ? wakeAtMs : nowMs);",
    replace: "const head = headOf(tx, rests ? undefined : nowMs);",
    tests: [crashes],
    rule: "wakes after a restart",
  },
  {
    name: "held-back call counted as an attempt",
    file: "src/engine/actor.ts",
    find: `if (typeof ticket === "object") this.#calls.set(op, ticket);`,
    replace:
      "if (typeof ticket === 'object' && ticket.state === 'held')\n" +
      "      return this.tell({ kind: 'answered', op, outcome: 'unknown', detail: '' });\n" +
      "    if (typeof ticket === 'object') this.#calls.set(op, ticket);",
    tests: [engine],
    rule: "whose participant is away for ten minutes",
  },
  {
    name: "what nobody waits for is never written by itself",
    file: "src/engine/committer.ts",
    find: "this.#cancelLingering ??= this.#clock.after(this.#limits.lingerMs, () => this.#hurry());",
    replace: "this.#cancelLingering = undefined;",
    tests: [engine],
    rule: "lets the final status wait for company",
  },
  {
    name: "a client that waits for the end waits for company, too",
    file: "src/engine/actor.ts",
    find: " && message.reply === undefined && this.#replies.size === 0;",
    replace: ";",
    tests: [engine],
    rule: "lets the final status wait for company",
  },
  {
    name: "a doubtful commit is taken as lost",
    file: "src/engine/committer.ts",
    find: "        if (error instanceof StoreInDoubt && !inDoubt) return this.#flush(batch, true);\n",
    replace: "",
    tests: [crashes],
    rule: "in doubt",
  },
  {
    name: "one bad commit takes the others along",
    file: "src/engine/committer.ts",
    find: "return this.#halve(batch, error, inDoubt);",
    replace: `return batch.map(() => "refused" as const);`,
    tests: [crashes],
    rule: "L3",
  },
  {
    name: "version check left out",
    file: "src/store/memory/memory.ts",
    find: "entry.head.id !== commit.id || row.version !== expected) return",
    replace: "entry.head.id !== commit.id || expected < 0) return",
    tests: [stores],
    rule: "refuses a version that is not the successor",
  },
  {
    name: "version check left out (LMDB)",
    file: "src/store/lmdb/writer.ts",
    find: "gids.has(commit.gid) || ids.has(commit.id) || !this.#fits(commit)) return",
    replace: "gids.has(commit.gid) || ids.has(commit.id)) return",
    tests: [stores],
    rule: "refuses a version that is not the successor",
  },
  {
    name: "fence left out",
    file: "src/store/memory/memory.ts",
    find: `if (this.#epochOf !== undefined && this.#epochOf(commit.shard) !== commit.epoch) return "fenced";`,
    replace: "",
    tests: [stores],
    rule: "stores nothing of a shard that was taken away",
  },
  {
    name: "an existing gid is overwritten",
    file: "src/store/memory/memory.ts",
    find: "if (this.#byGid.has(commit.gid) || this.#byId.has(commit.id)) return",
    replace: "if (this.#byId.has(commit.id)) return",
    tests: [stores],
    rule: "refuses to create a gid twice",
  },
  {
    name: "barrier's compensation row left out",
    file: "src/client/barrier/core.ts",
    find: "const originWasFree = origin !== undefined && (await rows.insertIgnore({ ...own, op: origin }));",
    replace: "const originWasFree = origin === null;",
    tests: [barrier],
    rule: "truth table",
  },
  {
    name: "barrier lets a repeat run",
    file: "src/client/barrier/core.ts",
    find: `if (ownWasFree) return "execute";`,
    replace: `if (ownWasFree || op === "action") return "execute";`,
    tests: [barrier],
    rule: "truth table",
  },
  {
    name: "a shard is dropped in place of drained",
    file: "cluster/member.ts",
    find: "drain: (shards, graceMs) => engine.drain(shards, graceMs),",
    replace: "drain: () => Promise.resolve(),",
    tests: ["test/members/handover.test.ts"],
    rule: "a call in flight is waited for",
  },
  {
    name: "the guard of a flush holds no lock (MySQL)",
    file: "src/store/mysql/packet.ts",
    find: " LOCK IN SHARE MODE`",
    replace: "`",
    tests: ["test/mysql/flush.test.ts"],
    rule: "holds its shards to the commit",
  },
  {
    name: "a doubt of a lost shard is settled under the next epoch (MySQL)",
    file: "src/engine/committer.ts",
    find: "const kept = batch.filter(({ isAbandoned }) => !isAbandoned());",
    replace: "const kept = batch.filter(() => true);",
    tests: ["test/mysql/doubt.test.ts"],
    rule: "writes nothing more of it",
  },
  {
    name: "the database's word is taken for an XA commit",
    file: "src/client/xa/branch.ts",
    find: '  await database.finish(xidOf(delivery, database.xidBytesMax), "commit");\n',
    replace: '  if (await database.finish(xidOf(delivery, database.xidBytesMax), "commit")) return;\n',
    tests: [xa],
    rule: "word for a commit",
  },
  {
    name: "an XA branch that the database has forgotten is left alone",
    file: "src/client/xa/branch.ts",
    find: "(await database.undoLost?.(xid))",
    replace: "xid === undefined",
    tests: [xa],
    rule: "the server has forgotten",
  },
  {
    name: "an XA branch answers before its session has ended (MySQL)",
    file: "src/client/xa/mysql2.ts",
    find: "if (isPrepared) await goodbye(pool, connection).catch(() => undefined);",
    replace: "isPrepared = false;",
    tests: [xa],
    rule: "only when the server has ended",
  },
  {
    name: "XA guard rows of neighbours wait for each other (MySQL)",
    file: "src/client/xa/mysql2.ts",
    find: "    await rows.add(",
    replace: "    if (reason !== undefined) await rows.add(",
    tests: [xa],
    rule: "the one behind it",
  },
  {
    name: "a prepared XA branch's session may idle for hours (MySQL)",
    file: "src/client/xa/mysql2.ts",
    find: "`set session wait_timeout = ",
    replace: "`set @unused = ",
    tests: [xa],
    rule: "gone without a word",
  },
];
