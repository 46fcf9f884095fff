/**
 * Heads as rows of the table `head`, journal rows as rows of `journal`.
 */
import type { RowDataPacket } from "mysql2/promise";
import type { JournalRow } from "../../core/evolve.js";
import type { Head } from "../../core/head.js";
import { statuses, transTypes } from "../../core/transaction.js";
import { literal } from "./literal.js";

/** Columns of a head, in the order in which they are read and written. */
export const headColumns = [
  "id",
  "gid",
  "shard",
  "type",
  "protocol",
  "status",
  "wake_at",
  "digest",
  "parked",
  "overdue",
  "rollback_reason",
  "aborted_by_client",
  "created_at",
  "updated_at",
  "ended_at",
] as const;

/**
 * `wake_at` of an unfinished transaction that waits for no time, so that only final ones have NULL there: the index
 * (shard, wake_at) then finds the unfinished among millions of final ones. Above every time, and no safe integer.
 */
export const neverWakes = "9223372036854775807";

/** The words that most heads have, as literals: to write them out again for each costs more than the look-up. */
const words: ReadonlyMap<string, string> = new Map(
  [...transTypes, ...statuses, "http", "grpc", "json-rpc", ""].map((word) => [word, literal(word)]),
);

function wordLiteral(word: string): string {
  return words.get(word) ?? literal(word);
}

/** Literals of a head's columns. */
export function headLiterals(head: Head): Readonly<Record<(typeof headColumns)[number], string>> {
  return {
    id: literal(head.id),
    gid: literal(head.gid),
    shard: literal(head.shard),
    type: wordLiteral(head.type),
    protocol: wordLiteral(head.protocol),
    status: wordLiteral(head.status),
    wake_at: wakeLiteral(head),
    digest: literal(head.digest),
    parked: literal(head.parked),
    overdue: literal(head.overdue),
    rollback_reason: wordLiteral(head.rollbackReason),
    aborted_by_client: literal(head.abortedByClient),
    created_at: literal(head.createdAtMs),
    updated_at: literal(head.updatedAtMs),
    ended_at: literal(head.endedAtMs),
  };
}

function wakeLiteral(head: Head): string {
  const rests = head.wakeAtMs === undefined && head.endedAtMs === undefined;
  return rests ? neverWakes : literal(head.wakeAtMs);
}

/** What a later commit changes of a head; the other columns are those of the creation for ever. */
export interface ChangedHead {
  readonly id: number;
  /** Assignments that many heads have in common. */
  readonly common: string;
  /** Literals by column of what is mostly this head's alone. */
  readonly own: Readonly<Record<string, string>>;
}

/** See {@link ChangedHead}. A digest is written by the events that bring it, and long. */
export function changedHead(id: number, head: Head, events: JournalRow["events"]): ChangedHead {
  const digested = events.some(({ kind }) => kind === "submitted" || kind === "digestRecorded");
  const common = [
    `status=${wordLiteral(head.status)}`,
    `parked=${literal(head.parked)}`,
    `overdue=${literal(head.overdue)}`,
    `rollback_reason=${wordLiteral(head.rollbackReason)}`,
    `aborted_by_client=${literal(head.abortedByClient)}`,
  ];
  const own = {
    wake_at: wakeLiteral(head),
    updated_at: literal(head.updatedAtMs),
    ended_at: literal(head.endedAtMs),
  };
  return { id, common: common.join(","), own: digested ? { ...own, digest: literal(head.digest) } : own };
}

/** A head as it was stored. */
export function readHead(row: RowDataPacket): Head {
  const optionalText = (value: Buffer | null): string | undefined => value?.toString("utf8");
  return {
    id: Number(row.id),
    gid: row.gid.toString("utf8"),
    shard: row.shard,
    type: row.type.toString("utf8"),
    protocol: row.protocol.toString("utf8"),
    status: row.status.toString("utf8"),
    wakeAtMs: readWake(row.wake_at),
    digest: optionalText(row.digest),
    parked: row.parked === 1,
    overdue: row.overdue === 1,
    rollbackReason: row.rollback_reason.toString("utf8"),
    abortedByClient: row.aborted_by_client === 1,
    createdAtMs: Number(row.created_at),
    updatedAtMs: Number(row.updated_at),
    endedAtMs: row.ended_at === null ? undefined : Number(row.ended_at),
  };
}

/** The driver gives numbers that are not safe as strings: `neverWakes` is one of them. */
export function readWake(value: number | string | null): number | undefined {
  return typeof value === "number" ? value : undefined;
}

/** Second part of a journal row's primary key: its version, or below zero the op whose retry record it is. */
export function seqOf(row: Pick<JournalRow, "version" | "retryOf">): number {
  return row.retryOf === undefined ? row.version : -(row.retryOf + 2);
}
