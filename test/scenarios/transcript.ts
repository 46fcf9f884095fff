/**
 * A driver's trace as a story to read: seconds, what was asked, called, answered and decided; at the end the rows.
 */
import type { Event } from "../../src/core/event.js";
import { CHECK, type Transaction } from "../../src/core/transaction.js";
import { type Driver, startMs, type Trace } from "../core/driver.js";

/** One line per happening, times in seconds since the first request. */
export function transcript(driver: Driver): string {
  const lines = driver.trace.flatMap(linesOf);
  const { tx } = driver;
  if (tx === undefined) return lines.join("\n");
  const rows = tx.ops.map(({ op, branchId, status }) => `${op} ${branchId} ${status}`).join(", ");
  const reason = tx.rollbackReason === "" ? "" : `, reason: ${tx.rollbackReason}`;
  return [...lines, `end: ${tx.status}${reason}`, `rows: ${rows}`].join("\n");
}

function seconds(atMs: number): string {
  return ((atMs - startMs) / 1000).toFixed(2).padStart(6);
}

function linesOf(entry: Trace): readonly string[] {
  if (entry.kind === "crashed") return [`${seconds(entry.atMs)} crash`];
  if (entry.kind === "called") return [`${seconds(entry.call.atMs)} -> ${entry.call.name}`];
  const { input, decision, before, atMs } = entry;
  const statuses = decision.events.flatMap((event) => statusOf(event)).map((text) => `${seconds(atMs)}    ${text}`);
  if (input.kind === "woke") return statuses;
  if (input.kind === "answered")
    return [`${seconds(atMs)} <- ${nameOf(before!, input.op)} ${input.outcome}`, ...statuses];
  const { reply } = decision;
  const said = reply?.kind === "refused" ? `${reply.code}: ${reply.message}` : reply?.kind;
  return [`${seconds(atMs)} ${input.kind}: ${said}`, ...statuses];
}

function nameOf(tx: Transaction, op: number): string {
  if (op === CHECK) return tx.type === "msg" ? "msg 00" : "callback 00";
  return `${tx.ops[op]!.op} ${tx.ops[op]!.branchId}`;
}

function statusOf(event: Event): readonly string[] {
  if (event.kind === "created" || event.kind === "finished") return [event.status];
  if (event.kind === "submitted" || event.kind === "aborting" || event.kind === "overdue") return [event.kind];
  return [];
}
