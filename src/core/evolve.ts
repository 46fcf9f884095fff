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

/** The state after `event`. @throws when the journal does not begin with `created`. */
export function evolve(tx: Transaction | undefined, event: Event): Transaction {
  if (event.kind === "created") return born(event);
  if (tx === undefined) throw new Error(`journal begins with '${event.kind}', needed 'created'`);
  const next: { -readonly [K in keyof Transaction]: Transaction[K] } = step(tx, event); // a fresh object, still ours
  next.updatedAtMs = Math.max(tx.updatedAtMs, event.atMs);
  return next;
}

/** The state that a whole journal leads to, rows in any order. @throws on a gap or a wrong beginning. */
export function fold(rows: readonly JournalRow[]): Transaction | undefined {
  const ordered = [...rows].sort((a, b) => a.version - b.version || (a.retryOf ?? -2) - (b.retryOf ?? -2));
  let tx: Transaction | undefined;
  for (const row of ordered) {
    const expected = (tx?.version ?? 0) + (row.retryOf === undefined ? 1 : 0);
    if (row.version !== expected) throw new Error(`journal row ${row.version} met, needed ${expected}`);
    for (const event of row.events) tx = evolve(tx, event);
    if (tx !== undefined && tx.version !== row.version) tx = { ...tx, version: row.version };
  }
  return tx;
}

function born(event: Created): Transaction {
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

/** Written out: all ops have one shape then, wherever their events come from. */
function bornOp(op: NewOp, atMs: number): BranchOp {
  return {
    branchId: op.branchId,
    op: op.op,
    url: op.url,
    payload: op.payload,
    headers: op.headers,
    requestTimeoutS: op.requestTimeoutS,
    status: op.status,
    startedAtMs: undefined,
    tries: undefined,
    createdAtMs: atMs,
    updatedAtMs: atMs,
    finishedAtMs: op.status === "prepared" ? undefined : atMs,
  };
}

function step(tx: Transaction, event: Exclude<Event, Created>): Transaction {
  switch (event.kind) {
    case "submitted":
      return {
        ...tx,
        status: "submitted",
        digest: event.digest ?? tx.digest,
        options: event.options ?? tx.options,
        customData: event.customData ?? tx.customData,
        submittedAtMs: event.atMs,
      };
    case "digestRecorded":
      return { ...tx, digest: event.digest };
    case "branchRegistered":
      return {
        ...tx,
        ops: [...tx.ops, ...event.ops.map((op) => bornOp(op, event.atMs))],
        check: undefined, // a sign of life: callbacks begin anew, one interval from here (D10)
      };
    case "started":
      return started(tx, event.ops, event.atMs);
    case "settled":
      return withOp(tx, event.op, (op) => ({
        ...op,
        status: event.status,
        updatedAtMs: event.atMs,
        finishedAtMs: event.atMs,
      }));
    case "retried":
      return withTries(tx, event.op, event.tries, event.atMs);
    case "hastened":
      return hastened(tx, event.atMs);
    case "aborting":
      return {
        ...tx,
        status: "aborting",
        rollbackReason: event.reason,
        abortedByClient: tx.abortedByClient || event.byClient,
      };
    case "finished":
      return {
        ...tx,
        status: event.status,
        rollbackReason: event.reason === "" ? tx.rollbackReason : event.reason,
        result: event.result === "" ? tx.result : event.result,
        abortedByClient: tx.abortedByClient || event.byClient,
        parked: undefined,
        endedAtMs: event.atMs,
      };
    case "overdue":
      return { ...tx, overdue: true };
    case "leased":
      return { ...tx, executor: event.executor };
    case "parked":
      return { ...tx, parked: event.parked };
    case "unparked":
      return { ...tx, parked: undefined };
  }
}

function withOp(tx: Transaction, index: number, change: (op: BranchOp) => BranchOp): Transaction {
  const op = tx.ops[index];
  if (op === undefined) throw new Error(`op ${index} met, transaction has ${tx.ops.length}`);
  return { ...tx, ops: tx.ops.with(index, change(op)) };
}

function withTries(tx: Transaction, index: number, tries: Tries, atMs: number): Transaction {
  if (index === CHECK) return { ...tx, check: tries };
  return withOp(tx, index, (op) => ({ ...op, tries, updatedAtMs: atMs }));
}

function started(tx: Transaction, indexes: readonly number[], atMs: number): Transaction {
  const ops = [...tx.ops];
  let checkStartedAtMs = tx.checkStartedAtMs;
  for (const index of indexes) {
    if (index === CHECK) checkStartedAtMs ??= atMs;
    else ops[index] = { ...ops[index]!, startedAtMs: ops[index]!.startedAtMs ?? atMs };
  }
  return { ...tx, ops, checkStartedAtMs };
}

function hastened(tx: Transaction, atMs: number): Transaction {
  const sooner = (tries: Tries): Tries => ({ ...tries, nextAtMs: Math.min(tries.nextAtMs, atMs) });
  return {
    ...tx,
    ops: tx.ops.map((op) => (op.tries && op.status === "prepared" ? { ...op, tries: sooner(op.tries) } : op)),
    check: hastenedCheck(tx, sooner, atMs),
  };
}

/** A check that was never made waits for a deadline that is computed, so "now" must be written down. */
function hastenedCheck(tx: Transaction, sooner: (tries: Tries) => Tries, atMs: number): Tries | undefined {
  if (tx.check !== undefined) return sooner(tx.check);
  if (tx.status !== "prepared" || tx.type !== "workflow") return undefined;
  return { attempts: 0, unknowns: 0, refusals: 0, intervalMs: 0, nextAtMs: atMs, lastError: "" };
}
