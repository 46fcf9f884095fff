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

/** Rows of a history: the events of one commit are one row. A retry is a row of its own, with the number before it. */
export function rowsOf(events: readonly HistoryEvent[]): readonly Row[] {
  const undone = events.some(({ kind }) => kind === "aborting");
  const commits: HistoryEvent[][] = [];
  for (const event of events) {
    const last = commits.at(-1)?.at(-1);
    if (last?.version === event.version && event.kind !== "retried") commits.at(-1)?.push(event);
    else commits.push([event]);
  }
  return commits.map((commit) => rowOf(commit[0]!.version, commit, undone));
}

function rowOf(version: number, events: readonly HistoryEvent[], undone: boolean): Row {
  const opsOf = (kind: string) => events.filter((event) => event.kind === kind).flatMap((event) => event.ops);
  return {
    side: "row",
    version,
    atMs: Math.max(...events.map((event) => event.atMs)),
    intends: opsOf("started"),
    settles: opsOf("settled"),
    text: textOf(events, undone),
    tone: toneOf(events),
  };
}

/** What happened, and after an arrow what is called next. */
function textOf(events: readonly HistoryEvent[], undone: boolean): string {
  const said = (started: boolean) =>
    events.filter(({ kind }) => (kind === "started") === started).map((event) => words(event, undone));
  const next = said(true).join(", ");
  return said(false).join("; ") + (next === "" ? "" : ` → ${next}`);
}

/** @param undone the transaction was aborting before */
function words({ kind, ops, status, by, reason }: HistoryEvent, undone: boolean): string {
  const named = ops.join(", ");
  switch (kind) {
    case "created":
      return status === "prepared" ? "prepared and stored" : "accepted and stored";
    case "submitted":
      return by === "check" ? "submitted, as the check-back said" : "submitted";
    case "branch_registered":
      return `registered ${named}`;
    case "started":
      return named;
    case "settled":
      return `${named} ${status}`;
    case "retried":
      return `${named} is tried again later${reason === "" ? "" : ` (${reason})`}`;
    case "aborting":
      return by === "client" ? "rolling back, its client wants it" : "rolling back";
    case "finished":
      return `end: ${status}${undone ? ", undone" : ""}`;
    case "parked":
      return `parked by ${by}${reason === "" ? "" : `: ${reason}`}`;
    case "digest_recorded":
      return "submitted again by its client";
    case "hastened":
      return "told to go on now";
    default:
      return kind.replaceAll("_", " ");
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
