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
  readonly reason: string;
}

/** A page of transactions; `next` is empty on the last. */
export async function pageOf(api: Api, query: Readonly<Record<string, string | undefined>>) {
  const body = fields(await api.get("/api/v1/transactions", query));
  return { transactions: list(body.transactions).map(fields), next: text(body.next_position) };
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

function eventOf(event: Fields): HistoryEvent {
  const ops = list(event.ops)
    .map(fields)
    .map((op) => `${text(op.branch_id)} ${text(op.op)}`);
  return {
    version: Number(event.version),
    atMs: timeMs(event.time),
    kind: text(event.kind),
    ops,
    status: text(event.status),
    reason: text(event.reason),
  };
}
