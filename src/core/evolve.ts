/**
 * The fold: events to state. No decisions, no clock; every event that was ever stored must still be readable here.
 */
import type { Created, Event, NewOp } from "./event.js";
import { type BranchOp, CHECK, type Transaction, type Tries } from "./transaction.js";

/** One row of a journal: the events of one commit. */
export interface JournalRow {
  /** 1 for the first; a retry record has the version of the row it came after. */
  readonly version: number;
  /** Op whose retry record this is: it stands beside the numbered rows and replaces the op's earlier one. */
  readonly retryOf: number | undefined;
  readonly events: readonly Event[];
}

/** What is still ours alone may be changed in place. */
type Fresh<T> = { -readonly [K in keyof T]: T[K] };

/** The state after `event`. @throws when the journal does not begin with `created`. */
export function evolve(tx: Transaction | undefined, event: Event): Transaction {
  return apply(tx && copied(tx), event);
}

/** The same state under another version. */
export function withVersion(tx: Transaction, version: number): Transaction {
  const next = copied(tx);
  next.version = version;
  return next;
}

/** The state that a whole journal leads to, rows in any order. @throws on a gap or a wrong beginning. */
export function fold(rows: readonly JournalRow[]): Transaction | undefined {
  let tx: Fresh<Transaction> | undefined;
  for (const row of inOrder(rows)) {
    const expected = (tx?.version ?? 0) + (row.retryOf === undefined ? 1 : 0);
    if (row.version !== expected) throw new Error(`journal row ${row.version} met, needed ${expected}`);
    for (const event of row.events) tx = apply(tx, event);
    if (tx !== undefined) tx.version = row.version;
  }
  return tx;
}

/** As the fold needs them: by version, the retry records of a version after its row. Most rows come like that. */
function inOrder(rows: readonly JournalRow[]): readonly JournalRow[] {
  const isOrdered = rows.every((row, i) => i === 0 || compareRows(rows[i - 1]!, row) <= 0);
  return isOrdered ? rows : [...rows].sort(compareRows);
}

/** The order in which rows are folded. */
export function compareRows(a: JournalRow, b: JournalRow): number {
  return a.version - b.version || (a.retryOf ?? -2) - (b.retryOf ?? -2);
}

/** Lets an event happen to a state that is ours. */
function apply(tx: Fresh<Transaction> | undefined, event: Event): Fresh<Transaction> {
  if (event.kind === "created") return born(event);
  if (tx === undefined) throw new Error(`journal begins with '${event.kind}', needed 'created'`);
  step(tx, event);
  tx.updatedAtMs = Math.max(tx.updatedAtMs, event.atMs);
  return tx;
}

/**
 * Written out: all transactions have one shape then, whatever has happened to them, and whoever reads one finds its
 * fields where he found them before. Spreading so wide an object costs ten times as much.
 */
function copied(tx: Transaction): Fresh<Transaction> {
  return {
    id: tx.id,
    gid: tx.gid,
    type: tx.type,
    protocol: tx.protocol,
    status: tx.status,
    version: tx.version,
    options: tx.options,
    defaults: tx.defaults,
    digest: tx.digest,
    queryPrepared: tx.queryPrepared,
    customData: tx.customData,
    ops: tx.ops,
    check: tx.check,
    checkStartedAtMs: tx.checkStartedAtMs,
    rollbackReason: tx.rollbackReason,
    abortedByClient: tx.abortedByClient,
    result: tx.result,
    parked: tx.parked,
    overdue: tx.overdue,
    executor: tx.executor,
    createdAtMs: tx.createdAtMs,
    updatedAtMs: tx.updatedAtMs,
    submittedAtMs: tx.submittedAtMs,
    endedAtMs: tx.endedAtMs,
  };
}

function born(event: Created): Fresh<Transaction> {
  const atMs = event.atMs;
  return {
    id: event.id,
    gid: event.gid,
    type: event.type,
    protocol: event.protocol,
    status: event.status,
    version: 0,
    options: event.options,
    defaults: event.defaults,
    digest: event.digest,
    queryPrepared: event.queryPrepared,
    customData: event.customData,
    ops: event.ops.map((op) => bornOp(op, atMs)),
    check: undefined,
    checkStartedAtMs: undefined,
    rollbackReason: "",
    abortedByClient: false,
    result: "",
    parked: undefined,
    overdue: false,
    executor: event.executor,
    createdAtMs: atMs,
    updatedAtMs: atMs,
    submittedAtMs: event.status === "submitted" ? atMs : undefined,
    endedAtMs: undefined,
  };
}

function bornOp(op: NewOp, atMs: number): BranchOp {
  const finishedAtMs = op.status === "prepared" ? undefined : atMs;
  return shapedOp(op, { startedAtMs: undefined, tries: undefined, createdAtMs: atMs, updatedAtMs: atMs, finishedAtMs });
}

function copiedOp(op: BranchOp): Fresh<BranchOp> {
  return shapedOp(op, op);
}

/** Written out as a transaction is: all ops have one shape then, wherever their events come from. */
function shapedOp(op: NewOp, course: Omit<BranchOp, keyof NewOp>): Fresh<BranchOp> {
  return {
    branchId: op.branchId,
    op: op.op,
    url: op.url,
    payload: op.payload,
    headers: op.headers,
    requestTimeoutS: op.requestTimeoutS,
    status: op.status,
    startedAtMs: course.startedAtMs,
    tries: course.tries,
    createdAtMs: course.createdAtMs,
    updatedAtMs: course.updatedAtMs,
    finishedAtMs: course.finishedAtMs,
  };
}

function step(tx: Fresh<Transaction>, event: Exclude<Event, Created>): void {
  switch (event.kind) {
    case "submitted":
      tx.status = "submitted";
      tx.digest = event.digest ?? tx.digest;
      tx.options = event.options ?? tx.options;
      tx.customData = event.customData ?? tx.customData;
      tx.submittedAtMs = event.atMs;
      return;
    case "digestRecorded":
      tx.digest = event.digest;
      return;
    case "branchRegistered":
      tx.ops = [...tx.ops, ...event.ops.map((op) => bornOp(op, event.atMs))];
      tx.check = undefined; // a sign of life: callbacks begin anew, one interval from here (D10)
      return;
    case "started":
      return started(tx, event.ops, event.atMs);
    case "settled": {
      const op = ownOp(tx, event.op);
      op.status = event.status;
      op.updatedAtMs = event.atMs;
      op.finishedAtMs = event.atMs;
      return;
    }
    case "retried":
      return retried(tx, event.op, event.tries, event.atMs);
    case "hastened":
      return hastened(tx, event.atMs);
    case "aborting":
      tx.status = "aborting";
      tx.rollbackReason = event.reason;
      tx.abortedByClient ||= event.byClient;
      return;
    case "finished":
      tx.status = event.status;
      if (event.reason !== "") tx.rollbackReason = event.reason;
      if (event.result !== "") tx.result = event.result;
      tx.abortedByClient ||= event.byClient;
      tx.parked = undefined;
      tx.endedAtMs = event.atMs;
      return;
    case "overdue":
      tx.overdue = true;
      return;
    case "leased":
      tx.executor = event.executor;
      return;
    case "parked":
      tx.parked = event.parked;
      return;
    case "unparked":
      tx.parked = undefined;
      return;
  }
}

/** An op in a list of its own, to be changed; the list before stays as it was. */
function ownOp(tx: Fresh<Transaction>, index: number): Fresh<BranchOp> {
  const op = tx.ops[index];
  if (op === undefined) throw new Error(`op ${index} met, transaction has ${tx.ops.length}`);
  const ops = tx.ops.slice();
  const own = copiedOp(op);
  ops[index] = own;
  tx.ops = ops;
  return own;
}

function retried(tx: Fresh<Transaction>, index: number, tries: Tries, atMs: number): void {
  if (index === CHECK) {
    tx.check = tries;
    return;
  }
  const op = ownOp(tx, index);
  op.tries = tries;
  op.updatedAtMs = atMs;
}

function started(tx: Fresh<Transaction>, indexes: readonly number[], atMs: number): void {
  const ops = tx.ops.slice();
  for (const index of indexes) {
    if (index === CHECK) tx.checkStartedAtMs ??= atMs;
    else {
      const op = copiedOp(ops[index]!);
      op.startedAtMs ??= atMs;
      ops[index] = op;
    }
  }
  tx.ops = ops;
}

function hastened(tx: Fresh<Transaction>, atMs: number): void {
  const sooner = (tries: Tries): Tries => ({ ...tries, nextAtMs: Math.min(tries.nextAtMs, atMs) });
  tx.ops = tx.ops.map((op) => {
    if (op.tries === undefined || op.status !== "prepared") return op;
    const own = copiedOp(op);
    own.tries = sooner(op.tries);
    return own;
  });
  tx.check = hastenedCheck(tx, sooner, atMs);
}

/** A check that was never made waits for a deadline that is computed, so "now" must be written down. */
function hastenedCheck(tx: Transaction, sooner: (tries: Tries) => Tries, atMs: number): Tries | undefined {
  if (tx.check !== undefined) return sooner(tx.check);
  if (tx.status !== "prepared" || tx.type !== "workflow") return undefined;
  return { attempts: 0, unknowns: 0, refusals: 0, intervalMs: 0, nextAtMs: atMs, lastError: "" };
}
