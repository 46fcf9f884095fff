/**
 * Breaks of the core: what is recorded, in which order calls are made, what counts and who is refused.
 */
import type { Mutant } from "./mutant.js";

const histories = "test/core/histories.test.ts";
const sagas = "test/core/saga.test.ts";
const submits = "test/core/submit.test.ts";
const retries = "test/core/retry.test.ts";
const phases = "test/core/twophase.test.ts";
const workflows = "test/core/workflow.test.ts";
const parking = "test/core/park.test.ts";
const bounds = "test/core/bounds.test.ts";

/** Durability and S3 to S9. */
const invariants: readonly Mutant[] = [
  {
    name: "intent not written",
    file: "src/core/decide.ts",
    find: `  if (fresh.length > 0) draft.record({ kind: "started", atMs: nowMs, ops: fresh });\n`,
    replace: `  if (fresh.length > 0) draft.wakeAt(undefined);\n`,
    tests: [histories],
    rule: "S5",
  },
  {
    name: "digest not compared",
    file: "src/core/admit.ts",
    find: "if (tx.digest !== undefined && tx.digest !== submission.digest)",
    replace: "if (tx.digest === null)",
    tests: [histories],
    rule: "S9",
  },
  {
    name: "compensation order: forwards",
    file: "src/core/pattern/saga.ts",
    find: "2 * Math.max(...left)",
    replace: "2 * Math.min(...left)",
    tests: [histories],
    rule: "S7",
  },
  {
    name: "compensation order: orders not reversed",
    file: "src/core/pattern/saga.ts",
    find: "const held = new Set([...left].flatMap((step) => predecessors(order, step)));",
    replace: "const held = new Set<number>();",
    tests: [histories],
    rule: "S7",
  },
  {
    name: "actions do not wait for their predecessors",
    file: "src/core/pattern/saga.ts",
    find: "if (predecessors(order, step).every((before) => succeeded(tx, before) || !exists(tx, before)))",
    replace: "if (order.orders !== undefined)",
    tests: [histories],
    rule: "S7",
  },
  {
    name: "only steps that succeeded are compensated",
    file: "src/core/pattern/saga.ts",
    find: `const maybeSent = action.startedAtMs !== undefined || action.status !== "prepared";`,
    replace: `const maybeSent = action.status === "succeed";`,
    tests: [histories],
    rule: "S5",
  },
  {
    name: "a saga succeeds with a step left out",
    file: "src/core/pattern/saga.ts",
    find: "    open = true;\n",
    replace: "    open = step === 0;\n",
    tests: [histories],
    rule: "S6",
  },
  {
    name: "late answer of an older attempt taken",
    file: "src/core/decide.ts",
    find: `op.status === "prepared" && op.op === phases[tx.type][tx.status];`,
    replace: `op.status === "prepared" && phases !== undefined;`,
    tests: [sagas],
    rule: "takes the late success as no progress",
  },
  {
    name: "compensation overtakes its own action",
    file: "src/core/decide.ts",
    find: `? index + 1 : undefined`,
    replace: `? undefined : undefined`,
    tests: [sagas],
    rule: "while its own action is on the wire",
  },
  {
    name: "retry counter reset on restart",
    file: "src/core/evolve.ts",
    find: "for (const event of row.events) tx = apply(tx, event);",
    replace: "for (const event of row.retryOf === undefined ? row.events : []) tx = apply(tx, event);",
    tests: [histories, retries],
    rule: "counts across crashes",
  },
  {
    name: "a journal with a gap is read",
    file: "src/core/evolve.ts",
    find: "if (row.version !== expected) throw",
    replace: "if (row.version < 0) throw",
    tests: ["test/core/evolve.test.ts"],
    rule: "gap",
  },
  {
    name: "any status may follow any other",
    file: "src/core/draft.ts",
    find: "if (before !== undefined && before !== this.tx.status && !successors[before].includes(this.tx.status))",
    replace: "if (before !== undefined && successors[before] === undefined)",
    tests: [submits],
    rule: "S4",
  },
  {
    name: "recorded time runs backwards",
    file: "src/core/draft.ts",
    find: "tx !== undefined && tx.updatedAtMs > turn.nowMs ?",
    replace: "tx !== undefined && tx.updatedAtMs < 0 ?",
    tests: [submits],
    rule: "recorded time never runs backwards",
  },
  {
    name: "every retry is a row of its own",
    file: "src/core/event.ts",
    find: `return only?.kind === "retried" ? only.op : undefined;`,
    replace: `return only?.kind === undefined ? -1 : undefined;`,
    tests: [bounds],
    rule: "stays within 64 KiB",
  },
];

/** D7, D8: retries and their limit. */
const schedule: readonly Mutant[] = [
  {
    name: "ongoing counts as an attempt",
    file: "src/core/pattern/saga.ts",
    find: `if (op.op !== "action" || outcome === "ongoing") return undefined;`,
    replace: `if (op.op !== "action") return undefined;`,
    tests: [retries],
    rule: "does not count ongoing",
  },
  {
    name: "one retry too few",
    file: "src/core/pattern/saga.ts",
    find: "unknowns <= limit",
    replace: "unknowns < limit",
    tests: [retries],
    rule: "allows n more calls",
  },
  {
    name: "an unclear answer is taken as a refusal",
    file: "src/core/pattern/saga.ts",
    find: `if (outcome === "failure") {`,
    replace: `if (outcome !== undefined) {`,
    tests: [retries],
    rule: "calls again exactly then",
  },
  {
    name: "ongoing doubles the interval",
    file: "src/core/retry.ts",
    find: `const grows = answer.outcome !== "ongoing";`,
    replace: `const grows = answer.outcome !== undefined;`,
    tests: [retries],
    rule: "keeps the interval while",
  },
  {
    name: "no cap on the interval",
    file: "src/core/retry.ts",
    find: "return Math.min(intervalMs * 2, Math.max(retryCapMs, baseMs));",
    replace: "return baseMs > 0 ? intervalMs * 2 : 0;",
    tests: [retries],
    rule: "up to five minutes",
  },
  {
    name: "callbacks double one wait too late",
    file: "src/core/decide.ts",
    find: `const calledBack = tx.type === "workflow" && input.outcome !== "ongoing";`,
    replace: `const calledBack = tx.type === "saga" && input.outcome === "ongoing";`,
    tests: [workflows],
    rule: "begin one interval after",
  },
  {
    name: "no jitter",
    file: "src/core/retry.ts",
    find: "(0.8 + 0.4 * jitter)",
    replace: "(1 + 0 * jitter)",
    tests: [retries],
    rule: "spreads every wait",
  },
  {
    name: "parked transactions go on",
    file: "src/core/decide.ts",
    find: "if (isFinal(tx) || tx.parked !== undefined) return;",
    replace: "if (isFinal(tx)) return;",
    tests: [parking],
    rule: "answers of calls in flight are recorded",
  },
  {
    name: "deadlines are never looked at",
    file: "src/core/decide.ts",
    find: "if (deadline !== undefined && deadline.atMs <= nowMs) {",
    replace: "if (deadline !== undefined && deadline.atMs < 0) {",
    tests: [sagas],
    rule: "aborts a submitted saga at its own timeout",
  },
];

/** Who is refused, and the patterns' own order. */
const rules: readonly Mutant[] = [
  {
    name: "abort after an accepted submit",
    file: "src/core/admit.ts",
    find: `if (phased && tx.status === "prepared") {`,
    replace: `if (phased && tx.status !== "aborting") {`,
    tests: [histories, phases],
    rule: "once confirm was decided",
  },
  {
    name: "abort believes the type in the request",
    file: "src/core/admit.ts",
    find: "  if (tx.type !== input.type) return otherType(tx, input.type);\n",
    replace: "",
    tests: [phases],
    rule: "for a msg only",
  },
  {
    name: "branches appear after the end was decided",
    file: "src/core/register.ts",
    find: `if (tx.status !== "prepared")`,
    replace: `if (tx.status === "failed")`,
    tests: [phases],
    rule: "takes no branch after the end",
  },
  {
    name: "a repeated registration is not compared",
    file: "src/core/register.ts",
    find: "found[i] !== undefined && sameContent(found[i], op, payload)",
    replace: "found[i] !== undefined && op !== undefined",
    tests: [phases],
    rule: "with other content is refused",
  },
  {
    name: "tcc ends its branches in the order of registration",
    file: "src/core/pattern/twophase.ts",
    find: "pick: (left) => left.at(-1)",
    replace: "pick: (left) => left[0]",
    tests: [phases],
    rule: "calls confirm of every branch",
  },
  {
    name: "a msg's later branch does not wait",
    file: "src/core/pattern/msg.ts",
    find: "ops: tx.options.concurrent ? left : left.slice(0, 1)",
    replace: "ops: left",
    tests: ["test/core/msg.test.ts"],
    rule: "keep their order",
  },
  {
    name: "a step does not put the callback off",
    file: "src/core/evolve.ts",
    find: "tx.check = undefined; // a sign of life",
    replace: "// a sign of life",
    tests: [workflows],
    rule: "begin anew with every step",
  },
  {
    name: "a workflow with steps fails at its timeout",
    file: "src/core/pattern/workflow.ts",
    find: "tx.ops.length === 0 ?",
    replace: "tx.ops.length >= 0 ?",
    tests: [workflows],
    rule: "comes at the timeout while nothing is recorded",
  },
  {
    name: "a stale executor may report",
    file: "src/core/register.ts",
    find: "tx.executor.untilMs > nowMs\n",
    replace: "tx.executor.untilMs > Number.POSITIVE_INFINITY\n",
    tests: [workflows],
    rule: "is held against others",
  },
  {
    name: "texts are cut in half characters",
    file: "src/core/pattern/pattern.ts",
    find: "? max - 1 : max)",
    replace: "? max : max)",
    tests: [bounds],
    rule: "in whole characters",
  },
  {
    name: "ids follow the clock backwards",
    file: "src/core/shard.ts",
    find: "if (first > lastId) return first;",
    replace: "if (first > 0) return first;",
    tests: ["test/core/shard.test.ts"],
    rule: "ascend strictly",
  },
];

/** All breaks of the core. */
export const coreMutants: readonly Mutant[] = [...invariants, ...schedule, ...rules];
