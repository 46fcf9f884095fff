/**
 * The journal of a transaction for people: one object per event, in order of time, with branches by name. Names of
 * members are DTM's where DTM has one (D14). Payloads are left out: a query shows them.
 */
import type { Event, NewOp } from "../core/event.js";
import type { JournalRow } from "../core/evolve.js";
import { CHECK } from "../core/transaction.js";
import { type Json, optionsJson, timeOf, triesJson } from "./encode.js";

/** All events of a journal whose rows are in order of time. */
export function historyJson(rows: readonly JournalRow[]): readonly Json[] {
  const ops: NewOp[] = [];
  return rows.flatMap(({ version, events }) =>
    events.map((event) => {
      if (event.kind === "created" || event.kind === "branchRegistered") ops.push(...event.ops);
      return { version, time: timeOf(event.atMs), event: wordOf(event.kind), ...detailsOf(event, ops) };
    }),
  );
}

/** `branchRegistered` → `branch_registered`. */
function wordOf(kind: Event["kind"]): string {
  return kind.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function detailsOf(event: Event, ops: readonly NewOp[]): Json {
  const named = (index: number): Json => {
    const op = ops[index];
    return index === CHECK ? { branch_id: "00", op: "check" } : { branch_id: op?.branchId, op: op?.op };
  };
  switch (event.kind) {
    case "created":
      return {
        trans_type: event.type,
        protocol: event.protocol,
        status: event.status,
        options: optionsJson(event.options),
        query_prepared: event.queryPrepared || undefined,
        custom_data: event.customData || undefined,
        branches: event.ops.map(branchOf),
      };
    case "branchRegistered":
      return { branches: event.ops.map(branchOf) };
    case "submitted":
      return { status: "submitted", by: event.digest === undefined ? "check" : "client" };
    case "started":
      return { branches: event.ops.map(named) };
    case "settled":
      return { ...named(event.op), status: event.status };
    case "retried":
      return { ...named(event.op), ...triesJson(event.tries) };
    case "aborting":
      return {
        status: "aborting",
        rollback_reason: event.reason || undefined,
        by: event.byClient ? "client" : "server",
      };
    case "finished":
      return { status: event.status, rollback_reason: event.reason || undefined, result: event.result || undefined };
    case "leased":
      return { executor_id: event.executor.id, lease_until: timeOf(event.executor.untilMs) };
    case "parked":
      return { by: event.parked.by, reason: event.parked.reason };
    case "digestRecorded":
    case "hastened":
    case "overdue":
    case "unparked":
      return {};
  }
}

function branchOf({ branchId, op, url, status }: NewOp): Json {
  return { branch_id: branchId, op, url: url || undefined, status };
}
