/**
 * Breaks that the simulation must notice by itself, whatever other tests say of them: each names the rule that is
 * broken then. The defects that the simulation has found are planted again.
 */
import type { Planted } from "../sim/pool.js";
import { crew } from "./simulatedcrew.js";
import { found } from "./simulatedfound.js";

/** One break. `find` stands exactly once in the file. */
export interface SimulatedMutant extends Planted {
  /** What is broken, in words; unique. */
  readonly name: string;
  /** Rules of which one must be named by a violation. */
  readonly rules: readonly string[];
  /** Seeds that are tried first: for what only one in tens of thousands meets. */
  readonly seeds?: readonly number[];
}

const core: readonly SimulatedMutant[] = [
  {
    name: "intent not written",
    file: "src/core/decide.ts",
    find: `  if (fresh.length > 0) draft.record({ kind: "started", atMs: nowMs, ops: fresh });\n`,
    replace: `  if (fresh.length > 0) draft.wakeAt(undefined);\n`,
    rules: ["S5"],
  },
  {
    name: "digest not compared",
    file: "src/core/admit.ts",
    find: "if (tx.digest !== undefined && tx.digest !== submission.digest)",
    replace: "if (tx.digest === null)",
    rules: ["S9"],
  },
  {
    name: "compensation order: forwards",
    file: "src/core/pattern/saga.ts",
    find: "2 * Math.max(...left)",
    replace: "2 * Math.min(...left)",
    rules: ["S7"],
  },
  {
    name: "compensation order: orders not reversed",
    file: "src/core/pattern/saga.ts",
    find: "const held = new Set([...left].flatMap((step) => predecessors(order, step)));",
    replace: "const held = new Set<number>();",
    rules: ["S7"],
  },
  {
    name: "actions do not wait for their predecessors",
    file: "src/core/pattern/saga.ts",
    find: "if (predecessors(order, step).every((before) => succeeded(tx, before) || !exists(tx, before)))",
    replace: "if (order.orders !== undefined)",
    rules: ["S7"],
  },
  {
    name: "only steps that succeeded are compensated",
    file: "src/core/pattern/saga.ts",
    find: `const maybeSent = action.startedAtMs !== undefined || action.status !== "prepared";`,
    replace: `const maybeSent = action.status === "succeed";`,
    rules: ["S5", "MONEY"],
  },
  {
    name: "a saga succeeds with a step left out",
    file: "src/core/pattern/saga.ts",
    find: "    open = true;\n",
    replace: "    open = step === 0;\n",
    rules: ["S6"],
  },
  {
    name: "result applied from an older phase",
    file: "src/core/decide.ts",
    find: `op.status === "prepared" && op.op === phases[tx.type][tx.status];`,
    replace: `op.status === "prepared" && phases !== undefined;`,
    rules: ["S4"],
  },
  {
    name: "compensation overtakes its own action",
    file: "src/core/decide.ts",
    find: `return tx.type === "saga" && tx.ops[index]?.op === "compensate" ? index + 1 : undefined;`,
    replace: `return tx.ops[index]?.op === "" ? index + 1 : undefined;`,
    rules: ["S7"],
  },
  {
    name: "an unclear answer is taken as a refusal",
    file: "src/core/pattern/saga.ts",
    find: `if (outcome === "failure") {`,
    replace: `if (outcome === "failure" || outcome === "unknown") {`,
    rules: ["S4"],
  },
  {
    name: "parked transactions go on",
    file: "src/core/decide.ts",
    find: "    if (isFinal(tx) || tx.parked !== undefined) return;\n",
    replace: "    if (isFinal(tx)) return;\n",
    rules: ["S8"],
  },
  {
    name: "deadlines are never looked at",
    file: "src/core/decide.ts",
    find: "if (deadline !== undefined && deadline.atMs <= nowMs) {",
    replace: "if (deadline !== undefined && deadline.atMs < 0) {",
    rules: ["L1"],
  },
  {
    name: "abort after an accepted submit",
    file: "src/core/admit.ts",
    find: `if (phased && tx.status === "prepared") {`,
    replace: `if (phased && tx.status !== "aborting") {`,
    rules: ["S4", "D22", "S3"],
  },
  {
    name: "branches appear after the end was decided",
    file: "src/core/register.ts",
    find: `if (tx.status !== "prepared")`,
    replace: `if (tx.status === "failed")`,
    rules: ["S4", "S3"],
  },
  {
    name: "a msg's later branch does not wait",
    file: "src/core/pattern/msg.ts",
    find: "ops: tx.options.concurrent ? left : left.slice(0, 1)",
    replace: "ops: left",
    rules: ["S7"],
  },
  {
    name: "a workflow with steps fails at its timeout",
    file: "src/core/pattern/workflow.ts",
    find: "tx.ops.length === 0 ?",
    replace: "tx.ops.length >= 0 ?",
    rules: ["S5", "MONEY"],
  },
];

const engine: readonly SimulatedMutant[] = [
  {
    name: "reply before commit",
    file: "src/engine/actor.ts",
    find: "    if (decision.events.length > 0) return this.#commit(message, decision);\n",
    replace:
      "    if (decision.events.length > 0) {\n      this.#answer(message, decision);\n" +
      "      return this.#commit({ ...message, reply: undefined }, decision);\n    }\n",
    rules: ["S1"],
  },
  {
    name: "call before commit",
    file: "src/engine/actor.ts",
    find: "    this.#send(message, decision, commit);\n",
    replace: "    this.#call(tx, decision.calls);\n    this.#send(message, decision, commit);\n",
    rules: ["S5"],
  },
  {
    name: "timer not persisted",
    file: "src/core/head.ts",
    find: "const head = headOf(tx, rests ? wakeAtMs : nowMs);",
    replace: "const head = headOf(tx, rests ? undefined : nowMs);",
    rules: ["L1"],
  },
  {
    name: "timer lost on take-over",
    file: "cluster/member.ts",
    find: "gained: () => engine.gained(),",
    replace: "gained: () => {},",
    rules: ["L2", "L1"],
  },
  {
    name: "a doubtful commit is taken as written",
    file: "src/engine/committer.ts",
    find: "if (error instanceof StoreInDoubt && !inDoubt) return this.#flush(batch, true);",
    replace: `if (error instanceof StoreInDoubt) return batch.map(() => "ok" as const);`,
    rules: ["S1", "S5"],
  },
  {
    name: "one bad commit takes the others along",
    file: "src/engine/committer.ts",
    find: "return this.#halve(batch, error, inDoubt);",
    replace: `return batch.map(() => "refused" as const);`,
    rules: ["L1"],
  },
  {
    name: "an actor that lost its picture is not followed",
    file: "src/engine/engine.ts",
    find: `if (end === "lost" && actor.generation < followersMax) return this.#follow(actor, requests);`,
    replace: `if (end === "lost" && actor.generation < 0) return this.#follow(actor, requests);`,
    rules: ["L1", "S9"],
  },
  {
    name: "calls begin when the lease is over",
    file: "src/engine/dispatcher.ts",
    find: "this.#ownership.remainingMs() > leaseMarginMs",
    replace: "this.#ownership.remainingMs() > Number.NEGATIVE_INFINITY",
    rules: ["LEASE"],
  },
  {
    name: "more calls on the wire than there may be",
    file: "src/engine/dispatcher.ts",
    find: "this.#inFlight < this.#limits.perNode &&\n",
    replace: "this.#inFlight >= 0 &&\n",
    rules: ["S10"],
  },
  {
    name: "more calls to one origin than there may be",
    file: "src/engine/dispatcher.ts",
    find: "origin.inFlight < this.#limits.perOrigin &&\n",
    replace: "origin.inFlight >= 0 &&\n",
    rules: ["S10"],
  },
  {
    name: "flushes begin when the lease is over",
    file: "src/engine/committer.ts",
    find: "if (!this.#mayWrite()) throw",
    replace: "if (!this.#mayWrite() && this.#closed) throw",
    rules: ["LEASE"],
  },
  {
    name: "those who wait are told 'succeed' while it goes on",
    file: "src/core/outcome.ts",
    find: `if (tx.status === "succeed" || (tx.status === "failed" && of === "abort")) return { kind: "accepted" };`,
    replace: `if (tx.status !== "failed" || of === "abort") return { kind: "accepted" };`,
    rules: ["wait", "S1"],
  },
  {
    name: "those who wait are told 'failed' though it succeeded",
    file: "src/core/outcome.ts",
    find: `if (tx.status === "succeed" || (`,
    replace: `if ((tx.status === "succeed" && of === "abort") || (`,
    rules: ["wait"],
  },
  {
    name: "topics come from a cache",
    file: "src/engine/subscribers.ts",
    find: "    const entry = await keyValues.get(topicCategory, name);\n",
    replace:
      "    const cache = keyValues as KeyValues & { once?: Awaited<ReturnType<KeyValues['get']>> };\n" +
      "    const entry = (cache.once ??= await keyValues.get(topicCategory, name));\n",
    rules: ["TOPIC"],
  },
  {
    name: "ids do not look at those of the owner before",
    file: "src/engine/ids.ts",
    find: "const last = await this.#store.lastId(shard);",
    replace: "const last = (await this.#store.lastId(shard)) * 0;",
    rules: ["S3"],
  },
];

const stores: readonly SimulatedMutant[] = [
  {
    name: "no fence",
    file: "src/store/memory/memory.ts",
    find: `if (this.#epochOf !== undefined && this.#epochOf(commit.shard) !== commit.epoch) return "fenced";`,
    replace: "",
    rules: ["S2"],
  },
  {
    name: "an existing gid is overwritten",
    file: "src/store/memory/memory.ts",
    find: "if (this.#byGid.has(commit.gid) || this.#byId.has(commit.id)) return",
    replace: "if (this.#byId.has(commit.id)) return",
    rules: ["S3"],
  },
  {
    name: "settle says yes to everything",
    file: "src/store/memory/memory.ts",
    find: `(this.#holds(commit) ? "ok" : this.#apply([commit])[0]!)`,
    replace: `(this.#holds(commit) ? "ok" : "ok")`,
    rules: ["S1", "S5"],
  },
  {
    name: "epoch not bumped by a claim",
    file: "src/store/memory/leases.ts",
    find: "const row = { shard, epoch: epoch + 1, owner, incarnation };",
    replace: `const row = { shard, epoch: owner === "" ? epoch + 1 : Math.max(epoch, 1), owner, incarnation };`,
    rules: ["S2"],
  },
  {
    name: "a claim does not compare",
    file: "src/store/memory/leases.ts",
    find: "return row?.epoch === epoch && row.owner === owner;",
    replace: "return row !== undefined && epoch >= 0 && owner !== undefined;",
    rules: ["S2", "S3"],
  },
  {
    name: "a name joins under the same incarnation again",
    file: "src/store/memory/leases.ts",
    find: "const incarnation = (this.#nodes.get(name)?.incarnation ?? 0) + 1;",
    replace: "const incarnation = this.#nodes.get(name)?.incarnation ?? 1;",
    rules: ["L1", "L2", "LEASE", "S2", "S8"],
  },
];

const cluster: readonly SimulatedMutant[] = [
  {
    name: "the lease counts from the answer",
    file: "cluster/keeper.ts",
    find: "    this.#lease(sentMs + leaseMs);\n    if (this.#suspended)",
    replace: "    this.#lease(this.#clock.monotonicMs() + leaseMs * 1.2);\n    if (this.#suspended)",
    rules: ["LEASE"],
  },
  {
    name: "dead peers are never fenced",
    file: "cluster/keeper.ts",
    find: "const fenced = this.mayJudge ? await this.#fenceDead(sight) : new Set<string>();",
    replace: "const fenced = this.#ended ? await this.#fenceDead(sight) : new Set<string>();",
    rules: ["L1", "L2"],
  },
  {
    name: "take-over waits for ten seconds",
    file: "cluster/keeper.ts",
    find: "return this.#desired(shard, live) === name || nowMs - sinceMs >= anybodyMs;",
    replace: "return nowMs - sinceMs >= anybodyMs * 10;",
    rules: ["L2"],
  },
  {
    name: "a node ignores that another runs under its name",
    file: "cluster/keeper.ts",
    find: "if (own !== undefined && own.incarnation > this.incarnation) return this.#fallToUsurper(own);",
    replace: "if (own !== undefined && own.incarnation > this.incarnation) return;",
    rules: ["LEASE"],
  },
  {
    name: "requests are sent away by a node that does not own",
    file: "cluster/router.ts",
    find: `if (reply !== undefined && !(reply.kind === "refused" && reply.code === "NOT_OWNER")) return reply;`,
    replace: "if (reply !== undefined) return reply;",
    rules: ["ROUTE"],
  },
  {
    name: "the router does not await the end",
    file: "cluster/router.ts",
    find: `reply.kind === "accepted" && reply.await !== undefined ?`,
    replace: `reply.kind === "accepted" && reply.await === undefined ?`,
    rules: ["wait"],
  },
  {
    name: "an answer is given to whoever asked first",
    file: "cluster/link.ts",
    find: "    const asked = this.#outstanding.take(id);\n",
    replace: "    const [asked] = this.#outstanding.values();\n    this.#outstanding.take(id);\n",
    rules: ["S1", "S9", "wait"],
  },
];

const participants: readonly SimulatedMutant[] = [
  {
    name: "barrier's compensation row left out",
    file: "src/client/barrier/core.ts",
    find: "const originWasFree = origin !== undefined && (await rows.insertIgnore({ ...own, op: origin }));",
    replace: "const originWasFree = origin === null;",
    rules: ["S5", "MONEY"],
  },
  {
    name: "barrier lets a repeat run",
    file: "src/client/barrier/core.ts",
    find: `if (ownWasFree) return "execute";`,
    replace: `if (ownWasFree || op === "action") return "execute";`,
    rules: ["BARRIER"],
  },
  {
    name: "a check-back forbids nothing",
    file: "src/client/barrier/core.ts",
    find: `barrierId: "01", reason: "rollback" }`,
    replace: `barrierId: "02", reason: "rollback" }`,
    rules: ["MSG", "MONEY"],
  },
];

/** All breaks; `npm run mutants -- --sim` runs them. */
export const simulatedMutants: readonly SimulatedMutant[] = [
  ...core,
  ...engine,
  ...stores,
  ...cluster,
  ...participants,
  ...crew,
  ...found,
];
