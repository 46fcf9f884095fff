/**
 * Transactions as DTM's JSON (S-HTTP-51…54): members in DTM's order, empty ones left out, and after them what only this
 * server knows: `parked`, `overdue`, `blocked`, and of a branch its attempts and contract violations.
 */
import { patterns } from "../core/decide.js";
import type { Head } from "../core/head.js";
import {
  type BranchOp,
  CHECK,
  isFinal,
  type Options,
  retryBaseMs,
  type Transaction,
  type Tries,
} from "../core/transaction.js";

/** A JSON object in the making; `undefined` members are left out by the encoder. */
export type Json = Readonly<Record<string, unknown>>;

/** Targets that hold calls back now, by op index. */
export type Blocked = Readonly<Record<number, string>>;

/** RFC 3339 in UTC with milliseconds. */
export function timeOf(atMs: number): string {
  return new Date(atMs).toISOString();
}

const timeOrNone = (atMs: number | undefined) => (atMs === undefined ? undefined : timeOf(atMs));
const textOrNone = (text: string) => (text === "" ? undefined : text);

/** A transaction as `query`, `all` and `prepareWorkflow` show it. */
export function transactionJson(tx: Transaction, nowMs: number, blocked: Blocked = {}): Json {
  const { options } = tx;
  return {
    id: tx.id,
    create_time: timeOf(tx.createdAtMs),
    update_time: timeOf(tx.updatedAtMs),
    gid: tx.gid,
    trans_type: tx.type,
    status: tx.status,
    query_prepared: textOrNone(tx.queryPrepared),
    protocol: tx.protocol,
    finish_time: tx.status === "succeed" ? timeOrNone(tx.endedAtMs) : undefined,
    rollback_time: tx.status === "failed" ? timeOrNone(tx.endedAtMs) : undefined,
    result: textOrNone(tx.result),
    rollback_reason: textOrNone(tx.rollbackReason),
    options: JSON.stringify(optionsJson(options)),
    custom_data: textOrNone(tx.customData),
    next_cron_interval: Math.ceil(intervalMs(tx) / 1000),
    next_cron_time: tx.parked === undefined ? timeOrNone(nextLookMs(tx, nowMs)) : null,
    ...optionsJson(options),
    parked: tx.parked && { since: timeOf(tx.parked.sinceMs), by: tx.parked.by, reason: tx.parked.reason },
    overdue: tx.overdue || undefined,
    blocked: Object.keys(blocked).length === 0 ? undefined : blockedJson(tx, blocked),
    executor: tx.executor && { executor_id: tx.executor.id, lease_until: timeOf(tx.executor.untilMs) },
    check: tx.check && triesJson(tx.check),
  };
}

/** Options as a query shows them, in DTM's order. */
export function optionsJson(options: Options): Json {
  return {
    wait_result: options.waitResult || undefined,
    timeout_to_fail: options.timeoutToFailS,
    request_timeout: options.requestTimeoutS,
    retry_interval: options.retryIntervalS,
    branch_headers: options.branchHeaders,
    concurrent: options.concurrent,
    retry_limit: options.retryLimit,
  };
}

function blockedJson(tx: Transaction, blocked: Blocked): readonly Json[] {
  return Object.entries(blocked).map(([index, target]) => {
    const op = tx.ops[Number(index)];
    return { branch_id: op?.branchId ?? "00", op: op?.op ?? "check", target };
  });
}

/** The waiting tries of a transaction: of its ops in progress, or of its check. */
function waiting(tx: Transaction): readonly Tries[] {
  const tries = tx.ops.flatMap(({ status, tries: own }) => (status === "prepared" && own !== undefined ? [own] : []));
  return tx.status === "prepared" && tx.check !== undefined ? [...tries, tx.check] : tries;
}

function intervalMs(tx: Transaction): number {
  return Math.max(...waiting(tx).map((tries) => tries.intervalMs), retryBaseMs(tx));
}

/** When time alone makes the transaction go on, `undefined` = it does not. */
function nextLookMs(tx: Transaction, nowMs: number): number | undefined {
  if (isFinal(tx)) return undefined;
  const pattern = patterns[tx.type];
  const next = pattern.next(tx, nowMs);
  const times = [pattern.deadline(tx)?.atMs];
  if (next.kind === "record") return nowMs;
  if (next.kind === "rest") times.push(next.untilMs);
  else for (const op of next.ops) times.push((op === CHECK ? tx.check : tx.ops[op]?.tries)?.nextAtMs ?? nowMs);
  const known = times.filter((atMs) => atMs !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}

/** What became of the calls of one op so far. */
export function triesJson(tries: Tries): Json {
  return {
    attempts: tries.attempts,
    contract_violations: tries.refusals === 0 ? undefined : tries.refusals,
    last_error: textOrNone(tries.lastError),
    next_time: timeOf(tries.nextAtMs),
  };
}

/** Branches of a transaction, in stored order (S-HTTP-53). */
export function branchesJson(tx: Transaction, blocked: Blocked = {}): readonly Json[] {
  return tx.ops.map((op, i) => ({
    ...branchJson(tx.gid, op, i),
    started_time: timeOrNone(op.startedAtMs),
    ...(op.tries && triesJson(op.tries)),
    ...(op.status !== "prepared" && { next_time: undefined }),
    blocked: blocked[i],
  }));
}

function branchJson(gid: string, op: BranchOp, index: number): Json {
  return {
    id: index + 1,
    create_time: timeOf(op.createdAtMs),
    update_time: timeOf(op.updatedAtMs),
    gid,
    url: textOrNone(op.url),
    bin_data: op.payload.length === 0 ? undefined : base64Of(op.payload),
    branch_id: op.branchId,
    op: op.op,
    status: op.status,
    finish_time: timeOrNone(op.finishedAtMs),
  };
}

/**
 * Steps of a workflow as `prepareWorkflow` gives them: DTM's members only, since clients decode them as protobuf-JSON.
 */
export function progressesJson(tx: Transaction): readonly Json[] {
  return tx.ops.map((op, i) => branchJson(tx.gid, op, i));
}

/** Standard base64 of bytes. */
export function base64Of(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

/**
 * JSON text in which the words that clients search for in successful answers do not occur (D24): inside texts they are
 * written with an escape, which every parser undoes.
 */
export function withoutResultWords(json: string): string {
  return json.replaceAll("FAILURE", "FAILUR\\u0045").replaceAll("ONGOING", "ONGOIN\\u0047");
}

/** What is shown of a stored key-value. */
interface StoredValue {
  readonly category: string;
  readonly key: string;
  readonly value: string;
  readonly version: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

/** A key-value as DTM shows it (S-HTTP-74). */
export function keyValueJson({ category, key, value, version, createdAtMs, updatedAtMs }: StoredValue): Json {
  const [create_time, update_time] = [timeOf(createdAtMs), timeOf(updatedAtMs)];
  return { id: 0, create_time, update_time, cat: category, k: key, v: value, version };
}

/** What a list shows: the head of a transaction, under the names of `query`. */
export function headJson(head: Head): Json {
  return {
    id: head.id,
    gid: head.gid,
    trans_type: head.type,
    status: head.status,
    protocol: head.protocol,
    create_time: timeOf(head.createdAtMs),
    update_time: timeOf(head.updatedAtMs),
    finish_time: head.status === "succeed" ? timeOrNone(head.endedAtMs) : undefined,
    rollback_time: head.status === "failed" ? timeOrNone(head.endedAtMs) : undefined,
    rollback_reason: textOrNone(head.rollbackReason),
    next_cron_time: timeOrNone(head.wakeAtMs),
    parked: head.parked,
    overdue: head.overdue,
  };
}
