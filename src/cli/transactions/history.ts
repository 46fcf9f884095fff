/**
 * The course of a transaction as its coordinator wrote it: the history of a transaction as `/api/v1` gives it, as rows
 * with words for people.
 */
import type { HistoryEvent } from "./answers.js";

/** Which op of which branch, as one word: `01 action`. */
export type OpName = string;

/** A row of the journal. */
export interface Row {
  readonly side: "row";
  readonly atMs: number;
  readonly version: number;
  /** Ops that this row allows to be called. */
  readonly intends: readonly OpName[];
  /** Ops whose answer it records. */
  readonly settles: readonly OpName[];
  readonly text: string;
  readonly tone: Tone;
}

/** What a line means; the palette follows it. */
export type Tone = "plain" | "good" | "bad" | "undo";

/** Rows of a history: the events of one commit are one row. */
export function rowsOf(events: readonly HistoryEvent[]): readonly Row[] {
  const versions = [...new Set(events.map((event) => event.version))];
  return versions.map((version) =>
    rowOf(
      version,
      events.filter((event) => event.version === version),
    ),
  );
}

function rowOf(version: number, events: readonly HistoryEvent[]): Row {
  const opsOf = (kind: string) => events.filter((event) => event.kind === kind).flatMap((event) => event.ops);
  return {
    side: "row",
    version,
    atMs: Math.max(...events.map((event) => event.atMs)),
    intends: opsOf("started"),
    settles: opsOf("settled"),
    text: events.map(words).filter(Boolean).join("; "),
    tone: toneOf(events),
  };
}

function words({ kind, ops, status, reason }: HistoryEvent): string {
  switch (kind) {
    case "created":
      return "accepted and on disk";
    case "started":
      return `next: ${ops.join(", ")}`;
    case "settled":
      return `${ops.join(", ")} ${status}`;
    case "aborting":
      return "rolling back";
    case "finished":
      return status === "succeed" ? "saga succeed" : `saga ${status}, all undone`;
    case "retried":
      return `${ops.join(", ")} will be tried again`;
    default:
      return reason === "" ? kind : `${kind}: ${reason}`;
  }
}

function toneOf(events: readonly HistoryEvent[]): Tone {
  const has = (kind: string, status?: string) =>
    events.some((event) => event.kind === kind && (status === undefined || event.status === status));
  if (has("finished", "succeed")) return "good";
  if (has("finished")) return "undo";
  if (has("aborting") || has("settled", "failed")) return "bad";
  return "plain";
}
