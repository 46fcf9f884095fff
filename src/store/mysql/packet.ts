/**
 * The flush as SQL (reliability 4): guard, rows and COMMIT in one packet of plain statements, all or nothing, and the
 * same for MySQL and MariaDB. The first insertion fails unless the guards hold, so a fenced or mistaken flush writes
 * nothing: what follows a statement that fails is not carried out.
 *
 * Guards: `@c` counts shards that still have this node's epochs, and holds their rows to the commit; `@p` counts the
 * journal rows that the new ones must follow; `@n` those that must not be there yet, where only the key of a retry
 * record would not show it. Rows are written in key order.
 */
import type { JournalRow } from "../../core/evolve.js";
import type { Commit } from "../../ports/store.js";
import { type ChangedHead, changedHead, headColumns, headLiterals, seqOf } from "./columns.js";
import { anyPair, literal, within } from "./literal.js";

/** Of the server, as far as a packet's words depend on it. */
export interface Manners {
  /** First and last words of a transaction. */
  readonly brackets: Brackets;
  /** Longest packet to be sent: half of what the server takes. */
  readonly packetBytesMax: number;
}

/** See {@link brackets}. */
export interface Brackets {
  readonly begin: string;
  readonly commit: string;
  readonly rollback: string;
  /** Around a transaction that goes in one packet: the server answers once, not once for each statement. */
  readonly block: readonly [string, string] | undefined;
}

/**
 * A client that stops in the middle of a transaction must not hold its locks for more than a second: the server ends
 * the connection then. MariaDB does that to any idle transaction of our sessions (`idle_transaction_timeout`), MySQL
 * has to be told each time, which costs a flush two statements more. MySQL has no blocks outside of procedures.
 */
export const brackets = {
  mariadb: {
    begin: "START TRANSACTION",
    commit: "COMMIT",
    rollback: "ROLLBACK",
    block: ["BEGIN NOT ATOMIC", "END"],
  },
  mysql: {
    begin: "SET autocommit=0, wait_timeout=1",
    commit: "COMMIT; SET autocommit=1, wait_timeout=28800",
    rollback: "ROLLBACK; SET autocommit=1, wait_timeout=28800",
    block: undefined,
  },
} as const satisfies Readonly<Record<string, Brackets>>;

/** Error that the server answers with when the guards did not hold: NULL where none may be. No row has one there. */
export const unmet = 1048;

/**
 * SQL of a batch as packets, all but the last of which leave the transaction open.
 * @throws RangeError when one row alone is too long
 */
export function flushOf(
  batch: readonly Commit[],
  encode: (row: JournalRow) => Buffer,
  { brackets, packetBytesMax }: Manners,
): readonly string[] {
  const ordered = [...batch].sort((a, b) => a.id - b.id);
  const shards = pairsOf(ordered.map(({ shard, epoch }) => [shard, epoch] as const));
  const predecessors = ordered.flatMap(({ id, row }) => predecessorOf(id, row.version, row.retryOf));
  const retries = ordered.filter(({ row }) => row.retryOf !== undefined);
  const guard = `@c=${shards.length} AND @p=${predecessors.length} AND @n=0`;
  const counts = ["COUNT(*)", countOf(predecessors), countOf(retries.map(({ id, row }) => [id, row.version + 1]))];
  const held = `FROM cl_shard WHERE ${anyPair("shard_id", "epoch", shards)} LOCK IN SHARE MODE`;
  const statements = [
    ...replacedRetries(retries, guard),
    ...insertions("journal", ["id", "seq", "body"], journalTuples(ordered, encode, guard), packetBytesMax),
    ...insertions("head", headColumns, creations(ordered), packetBytesMax),
    ...updates(ordered),
    brackets.commit,
  ];
  const first = `${brackets.begin}; SELECT ${counts.join(",")} INTO @c,@p,@n ${held}`;
  const packets = packed(first, statements, packetBytesMax);
  const { block } = brackets;
  return block === undefined || packets.length > 1 ? packets : [`${block[0]} ${packets[0]!}; ${block[1]}`];
}

/** Each pair once: a shard under two epochs counts twice and matches once, so such a batch is held back. */
function pairsOf(pairs: readonly (readonly [number, number])[]): readonly (readonly [number, number])[] {
  return [...new Map(pairs.map((pair) => [pair.join(), pair])).values()];
}

/** Numbered rows have seq 1 and above: a version that can't be finds no predecessor at seq 0. */
function predecessorOf(
  id: number,
  version: number,
  retryOf: number | undefined,
): readonly (readonly [number, number])[] {
  if (retryOf !== undefined) return [[id, Math.max(0, version)]];
  return version === 1 ? [] : [[id, Math.max(0, version - 1)]];
}

function countOf(keys: readonly (readonly [number, number])[]): string {
  return keys.length === 0 ? "0" : `(SELECT COUNT(*) FROM journal WHERE ${anyPair("id", "seq", keys)})`;
}

/** The record that a retry record takes the place of may or may not be there. */
function replacedRetries(retries: readonly Commit[], guard: string): readonly string[] {
  if (retries.length === 0) return [];
  const keys = retries.map(({ id, row }) => [id, seqOf(row)] as const);
  return [`DELETE FROM journal WHERE ${guard} AND ${anyPair("id", "seq", keys)}`];
}

/** The first id is none unless the guards hold. */
function journalTuples(
  ordered: readonly Commit[],
  encode: (row: JournalRow) => Buffer,
  guard: string,
): readonly string[] {
  return ordered.map(({ id, row }, i) => {
    const key = i === 0 ? `IF(${guard},${literal(id)},NULL)` : literal(id);
    return `(${key},${literal(seqOf(row))},${literal(encode(row))})`;
  });
}

function creations(ordered: readonly Commit[]): readonly string[] {
  return ordered.flatMap(({ row, head }) => {
    if (row.version !== 1 || row.retryOf !== undefined || head === undefined) return [];
    const literals = headLiterals(head);
    return [`(${headColumns.map((column) => literals[column]).join(",")})`];
  });
}

/** Inserts of the tuples, each statement short enough for a packet of its own. */
function insertions(
  table: string,
  columns: readonly string[],
  tuples: readonly string[],
  bytesMax: number,
): readonly string[] {
  const into = `INSERT INTO ${table} (${columns.join(",")})`;
  const chunks: string[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const values of tuples) {
    bytes += values.length + 5;
    if (bytes > bytesMax - 1024) {
      chunks.push([]);
      bytes = values.length;
    }
    if (bytes > bytesMax - 1024)
      throw new RangeError(`row of ${table} of ${bytes} bytes, the server takes ${bytesMax}`);
    chunks.at(-1)!.push(values);
  }
  return chunks.map((chunk) => `${into} VALUES ${chunk.join(",")}`);
}

/** Most heads of one UPDATE: the server goes through the list of ids for each of them. */
const updatedMax = 64;

/** One UPDATE for heads that differ in nothing but their own columns, which are times as a rule. */
function updates(ordered: readonly Commit[]): readonly string[] {
  const groups = new Map<string, ChangedHead[]>();
  for (const { id, row, head } of ordered) {
    if (head === undefined || (row.version === 1 && row.retryOf === undefined)) continue;
    const changed = changedHead(id, head, row.events);
    const key = `${changed.common} ${Object.keys(changed.own)}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [changed]);
    else group.push(changed);
  }
  const statements: string[] = [];
  for (const group of groups.values())
    for (let from = 0; from < group.length; from += updatedMax)
      statements.push(update(group.slice(from, from + updatedMax)));
  return statements;
}

function update(group: readonly ChangedHead[]): string {
  const [first] = group;
  const own = Object.keys(first!.own).map((column) => `${column}=${byId(column, group)}`);
  const ids = group.map(({ id }) => id);
  return `UPDATE head SET ${first!.common},${own.join(",")} WHERE ${within("id", ids)}`;
}

function byId(column: string, group: readonly ChangedHead[]): string {
  const [first] = group;
  const same = group.every(({ own }) => own[column] === first!.own[column]);
  if (same) return first!.own[column]!;
  return `CASE id ${group.map(({ id, own }) => `WHEN ${id} THEN ${own[column]}`).join(" ")} END`;
}

/** Statements joined into as few packets as fit; `first` is a prefix of the first. */
function packed(first: string, statements: readonly string[], bytesMax: number): readonly string[] {
  const packets = [first];
  for (const statement of statements) {
    const last = packets.length - 1;
    if (packets[last]!.length + statement.length + 2 <= bytesMax) packets[last] += `; ${statement}`;
    else packets.push(statement);
  }
  return packets;
}

/** What a look finds out about the commits of a flush that was not written. */
export function factsQuery(batch: readonly Commit[]): string {
  const ids = batch.map(({ id }) => id);
  const shards = new Set(batch.map(({ shard }) => shard));
  const gids = batch.filter(({ row }) => row.version === 1).map(({ gid }) => gid);
  return [
    `SELECT shard_id, epoch FROM cl_shard WHERE ${within("shard_id", shards)}`,
    `SELECT id, MAX(seq) AS newest FROM journal WHERE ${within("id", ids)} AND seq > 0 GROUP BY id`,
    `SELECT id, gid, ended_at FROM head WHERE ${within("id", ids)}`,
    `SELECT id, gid FROM head WHERE ${within("gid", gids)}`,
  ].join("; ");
}

/** Rows of a batch as they are stored now: whether those in doubt were written. */
export function storedRowsQuery(batch: readonly Commit[]): string {
  const keys = batch.map(({ id, row }) => [id, seqOf(row)] as const);
  return `SELECT id, seq, body FROM journal WHERE ${anyPair("id", "seq", keys)}; DO 0`; // two statements: two results
}

/**
 * Takes the shards under the next epoch where they are still this node's. The row locks wait for a flush that is under
 * way, so afterwards it is decided whether it was written.
 */
export function bumpQuery(shards: Iterable<number>, owner: string, incarnation: number, words: Brackets): string {
  const chosen = within("shard_id", shards);
  const own = `owner=${literal(owner)} AND incarnation=${literal(incarnation)}`;
  return [
    words.begin,
    `SELECT COUNT(*) FROM cl_shard WHERE ${chosen} FOR UPDATE`,
    `UPDATE cl_shard SET epoch=epoch+1 WHERE ${chosen} AND ${own}`,
    `SELECT shard_id, epoch, owner, incarnation FROM cl_shard WHERE ${chosen} AND ${own} ORDER BY shard_id`,
    words.commit,
  ].join("; ");
}
