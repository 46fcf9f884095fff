/**
 * Reading transactions. Every read is one statement, so it sees one moment; every page is found by an index.
 */
import type { RowDataPacket } from "mysql2/promise";
import { fold, type JournalRow } from "../../core/evolve.js";
import { type Head, restoreFromHead } from "../../core/head.js";
import { shardCount } from "../../core/shard.js";
import type { DueCursor, DueEntry, Filter, Page, Stored } from "../../ports/store.js";
import type { RowFormats } from "../codec.js";
import { listCursor, readListCursor } from "../cursor.js";
import { onlyUnfinished } from "../filter.js";
import { headColumns, readHead, readWake } from "./columns.js";
import type { Lines } from "./lines.js";
import { literal, within } from "./literal.js";

/** Transactions that one statement loads: their journals come in one answer. */
const loadMax = 50;

const columns = headColumns.join(",");
const allShards = Array.from({ length: shardCount }, (_, shard) => shard);
/** Final ones have no wake time. */
const unfinishedByIndex = [within("shard", allShards), "wake_at >= 0"];

/** See `Store.load`. */
export async function load(
  lines: Lines,
  formats: RowFormats,
  gids: readonly string[],
): Promise<readonly (Stored | undefined)[]> {
  const found = new Map<string, Stored>();
  for (let n = 0; n < gids.length; n += loadMax) {
    for (const [gid, stored] of await loadSome(lines, formats, gids.slice(n, n + loadMax))) found.set(gid, stored);
  }
  return gids.map((gid) => found.get(gid));
}

async function loadSome(
  lines: Lines,
  formats: RowFormats,
  gids: readonly string[],
): Promise<ReadonlyMap<string, Stored>> {
  const [rows] = await lines.send(
    `SELECT h.gid, h.wake_at, j.body FROM head h LEFT JOIN journal j ON j.id=h.id WHERE ${within("h.gid", gids)}`,
  );
  const journals = new Map<string, { readonly wakeAtMs: number | undefined; readonly rows: JournalRow[] }>();
  for (const { gid, wake_at, body } of rows!) {
    const name = gid.toString("utf8");
    const journal = journals.get(name) ?? { wakeAtMs: readWake(wake_at), rows: [] };
    journals.set(name, journal);
    if (body !== null) journal.rows.push(formats.decode(body));
  }
  const loaded = new Map<string, Stored>();
  const bare: string[] = [];
  for (const [gid, journal] of journals) {
    const tx = fold(journal.rows);
    if (tx === undefined) bare.push(gid);
    else loaded.set(gid, { tx, wakeAtMs: journal.wakeAtMs });
  }
  for (const head of await headsOf(lines, bare)) {
    loaded.set(head.gid, { tx: restoreFromHead(head), wakeAtMs: undefined });
  }
  return loaded;
}

/** Of transactions whose journal retention has removed; those that have vanished altogether meanwhile are left out. */
async function headsOf(lines: Lines, gids: readonly string[]): Promise<readonly Head[]> {
  if (gids.length === 0) return [];
  const [rows] = await lines.send(`SELECT ${columns} FROM head WHERE ${within("gid", gids)}`);
  return rows!.map(readHead);
}

/** See `Store.history`. */
export async function history(lines: Lines, formats: RowFormats, gid: string): Promise<readonly JournalRow[]> {
  const [rows] = await lines.send(`SELECT j.body FROM head h JOIN journal j ON j.id=h.id WHERE h.gid=${literal(gid)}`);
  const journal = rows!.map((row) => formats.decode(row.body));
  return journal.sort((a, b) => a.version - b.version || (a.retryOf ?? -2) - (b.retryOf ?? -2));
}

/** See `Store.due`. */
export async function due(
  lines: Lines,
  shard: number,
  untilMs: number,
  after: DueCursor | undefined,
  limit: number,
): Promise<readonly DueEntry[]> {
  const { wakeAtMs, id } = after ?? { wakeAtMs: 0, id: 0 };
  const behind = `(wake_at > ${literal(wakeAtMs)} OR (wake_at = ${literal(wakeAtMs)} AND id > ${literal(id)}))`;
  const [rows] = await lines.send(
    `SELECT wake_at, id, gid FROM head FORCE INDEX (head_shard_wake)
     WHERE shard=${literal(shard)} AND wake_at BETWEEN ${literal(wakeAtMs)} AND ${literal(untilMs)} AND ${behind}
     ORDER BY wake_at, id LIMIT ${literal(limit)}`,
  );
  return rows!.map((row) => ({ wakeAtMs: Number(row.wake_at), id: Number(row.id), gid: row.gid.toString("utf8") }));
}

/** See `Store.earliest`: the server jumps from shard to shard within the index. */
export async function earliest(lines: Lines): Promise<ReadonlyMap<number, number>> {
  const [rows] = await lines.send("SELECT shard, MIN(wake_at) AS wake_at FROM head GROUP BY shard");
  const times = new Map<number, number>();
  for (const row of rows!) {
    const wakeAtMs = readWake(row.wake_at);
    if (wakeAtMs !== undefined) times.set(row.shard, wakeAtMs);
  }
  return times;
}

/** See `Store.list`. */
export async function list(lines: Lines, filter: Filter, cursor: string | undefined, limit: number): Promise<Page> {
  const below = readListCursor(cursor);
  const conditions = conditionsOf(filter);
  if (below !== undefined) conditions.push(`id < ${literal(below)}`);
  const index = onlyUnfinished(filter) ? "head_shard_wake" : "PRIMARY";
  const where = conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`;
  const [rows] = await lines.send(
    `SELECT ${columns} FROM head FORCE INDEX (${index}) ${where} ORDER BY id DESC LIMIT ${literal(limit + 1)}`,
  );
  const heads = rows!.slice(0, limit).map(readHead);
  return { heads, next: rows!.length > limit ? listCursor(heads.at(-1)!.id) : undefined };
}

function conditionsOf(filter: Filter): string[] {
  const { status, type, createdFromMs, createdToMs, unfinished, parked } = filter;
  const conditions: string[] = [];
  if (onlyUnfinished(filter)) conditions.push(...unfinishedByIndex);
  if (status !== undefined) conditions.push(`status=${literal(status)}`);
  if (type !== undefined) conditions.push(`type=${literal(type)}`);
  if (createdFromMs !== undefined) conditions.push(`created_at >= ${literal(createdFromMs)}`);
  if (createdToMs !== undefined) conditions.push(`created_at <= ${literal(createdToMs)}`);
  if (unfinished !== undefined) conditions.push(`ended_at IS ${unfinished ? "" : "NOT "}NULL`);
  if (parked !== undefined) conditions.push(`parked=${literal(parked)}`);
  return conditions;
}

/** See `Store.oldestUnfinished`: the lowest id among those that the index of wake times holds. */
export async function oldestUnfinished(lines: Lines): Promise<Head | undefined> {
  const [rows] = await lines.send(
    `SELECT ${columns} FROM head WHERE id=(SELECT MIN(id) FROM head FORCE INDEX (head_shard_wake)
     WHERE ${unfinishedByIndex.join(" AND ")})`,
  );
  return rows![0] && readHead(rows![0]);
}

/** See `Store.lastId`: the shard's part of an index. */
export async function lastId(lines: Lines, shard: number): Promise<number> {
  const [rows] = await lines.send(
    `SELECT MAX(id) AS last FROM head FORCE INDEX (head_shard_wake) WHERE shard=${literal(shard)}`,
  );
  return Number(rows![0]?.last ?? 0);
}

/** Numbers of transactions by type and status: one pass over the heads. */
export async function count(lines: Lines) {
  const [rows] = await lines.send("SELECT type, status, COUNT(*) AS transactions FROM head GROUP BY type, status");
  return rows!.map((row: RowDataPacket) => ({
    type: row.type.toString("utf8") as Head["type"],
    status: row.status.toString("utf8") as Head["status"],
    transactions: Number(row.transactions),
  }));
}
