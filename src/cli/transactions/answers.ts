/**
 * What `/api/v1` answers about transactions, read into the few fields that the tools show. Names on the wire are DTM's.
 */
import type { Api } from "../api.js";
import { CliError } from "../exit.js";

/** An object of an answer; `undefined` members are those that were left out. */
export type Fields = Readonly<Record<string, unknown>>;

/** A transaction with its branches, as the server shows it. */
export interface Detail {
  readonly transaction: Fields;
  readonly branches: readonly Fields[];
}

/** One event of a history. `ops` are named `01 action`; `started` has several, most have one or none. */
export interface HistoryEvent {
  readonly version: number;
  readonly atMs: number;
  readonly kind: string;
  readonly ops: readonly string[];
  readonly status: string;
  /** Who decided it, where that is said: `client`, `server`, `check`, or who parked. */
  readonly by: string;
  /** Why, or the last error of what is tried again. */
  readonly reason: string;
}

/** A page of transactions; `next` is empty on the last. */
export async function pageOf(api: Api, query: Readonly<Record<string, string | undefined>>) {
  const body = fields(await api.get("/api/v1/transactions", query));
  return { transactions: list(body.transactions).map(fields), next: text(body.next) };
}

/** One transaction. @throws CliError `notFound` for an unknown gid */
export async function detailOf(api: Api, gid: string): Promise<Detail> {
  const body = fields(await api.get(pathOf(gid)));
  if (!(body.transaction instanceof Object)) throw new CliError("notFound", `no transaction with gid '${gid}'`);
  return { transaction: fields(body.transaction), branches: list(body.branches).map(fields) };
}

/** The history of one transaction in order of time. @throws CliError `notFound` for an unknown gid */
export async function historyOf(api: Api, gid: string): Promise<readonly HistoryEvent[]> {
  const body = fields(await api.get(`${pathOf(gid)}/history`));
  return list(body.events).map(fields).map(eventOf);
}

/** Path of a transaction under `/api/v1`. */
export function pathOf(gid: string): string {
  return `/api/v1/transactions/${encodeURIComponent(gid)}`;
}

/** Milliseconds of a time on the wire; 0 when there is none. */
export function timeMs(value: unknown): number {
  return typeof value === "string" ? Date.parse(value) || 0 : 0;
}

/** Text of a member, "" when it is not there. */
export function text(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

/** The object that a value is, or an empty one. */
export function fields(value: unknown): Fields {
  return value instanceof Object ? (value as Fields) : {};
}

/** The array that a value is, or an empty one. */
export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The ops of an event stand in its list `branches` or, when it is about one, in the event itself. */
function eventOf(event: Fields): HistoryEvent {
  const ops = event.branches === undefined ? [event] : list(event.branches).map(fields);
  return {
    version: Number(event.version),
    atMs: timeMs(event.time),
    kind: text(event.event),
    ops: ops.filter(({ op }) => text(op) !== "").map((op) => `${text(op.branch_id)} ${text(op.op)}`),
    status: text(event.status),
    by: text(event.by),
    reason: text(event.rollback_reason) || text(event.reason) || text(event.last_error),
  };
}
