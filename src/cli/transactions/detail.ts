/**
 * How one transaction looks: its head, its branches in the order in which they are stored, its history.
 */

import { padded, printable, type Terminal, tableLines, wrapped } from "../terminal.js";
import { type Detail, type Fields, fields, type HistoryEvent, list, text, timeMs } from "./answers.js";
import { rowsOf } from "./history.js";
import { span } from "./span.js";

/** Prints all of it. */
export function showDetail(terminal: Terminal, detail: Detail, history: readonly HistoryEvent[], nowMs: number): void {
  for (const [name, value] of headLines(detail.transaction, terminal, nowMs)) {
    const [first = "", ...rest] = wrapped(value, Math.max(20, terminal.columns - 12));
    terminal.out(`${terminal.paint.dim(padded(name, 10))}  ${first}`);
    for (const more of rest) terminal.out(" ".repeat(12) + more);
  }
  if (detail.branches.length > 0) {
    terminal.out("");
    const rows = detail.branches.map((branch) => branchCells(branch, terminal));
    const head = ["branch", "op", "status", "tries", "url and last error"];
    for (const line of tableLines(head, rows, terminal, "wrap")) terminal.out(line);
  }
  if (history.length > 0) showHistory(terminal, history);
}

/** Status in colour, with what stands beside it. */
export function statusWord(tx: Fields, terminal: Terminal): string {
  const status = text(tx.status);
  const { green, yellow, red } = terminal.paint;
  const colour = { succeed: green, failed: red, aborting: yellow }[status] ?? ((word: string) => word);
  const beside = [
    tx.parked instanceof Object || tx.parked === true ? "parked" : "",
    tx.overdue === true ? "overdue" : "",
    list(tx.blocked).length > 0 ? "blocked" : "",
  ].filter((word) => word !== "");
  return colour(status) + (beside.length > 0 ? yellow(` (${beside.join(", ")})`) : "");
}

function headLines(tx: Fields, terminal: Terminal, nowMs: number): readonly (readonly [string, string])[] {
  const parked = fields(tx.parked);
  const end = text(tx.finish_time) || text(tx.rollback_time);
  const createdMs = timeMs(tx.create_time);
  const check = fields(tx.check);
  const lines: (readonly [string, string])[] = [
    ["gid", printable(text(tx.gid))],
    ["type", `${text(tx.trans_type)} over ${text(tx.protocol) || "http"}`],
    ["status", statusWord(tx, terminal)],
    ["created", `${text(tx.create_time)}, ${span(nowMs - createdMs)} ago`],
    ["ended", end === "" ? "" : `${end}, after ${span(timeMs(end) - createdMs)}`],
    ["next look", text(tx.next_cron_time)],
    [
      "parked",
      tx.parked instanceof Object ? `since ${text(parked.since)} by ${text(parked.by)}: ${text(parked.reason)}` : "",
    ],
    ["reason", text(tx.rollback_reason)],
    ["check", text(check.attempts) === "" ? "" : `${text(check.attempts)} calls, last: ${text(check.last_error)}`],
    ["result", text(tx.result)],
    ["custom", text(tx.custom_data)],
    ...list(tx.blocked)
      .map(fields)
      .map((one) => ["blocked", `${text(one.branch_id)} ${text(one.op)} by ${text(one.target)}`] as const),
  ];
  return lines.map(([name, value]) => [name, printableButColour(value)] as const).filter(([, value]) => value !== "");
}

function printableButColour(value: string): string {
  return value.includes("\x1b[") ? value : printable(value);
}

function branchCells(branch: Fields, terminal: Terminal): readonly string[] {
  const error = text(branch.last_error);
  const violations = text(branch.contract_violations);
  const remarks = [
    printable(text(branch.url)),
    text(branch.status) === "prepared" && error !== "" ? printable(error) : "",
    violations === "" ? "" : `said FAILURE ${violations} times although it must not`,
  ].filter((remark) => remark !== "");
  return [
    text(branch.branch_id),
    text(branch.op),
    statusWord({ status: text(branch.status) }, terminal),
    text(branch.attempts) || "-",
    remarks.join(": "),
  ];
}

function showHistory(terminal: Terminal, history: readonly HistoryEvent[]): void {
  const startMs = history[0]!.atMs;
  const rows = rowsOf(history).map(({ version, atMs, text: words }) => [
    `#${version}`,
    `+${span(atMs - startMs)}`,
    printable(words),
  ]);
  terminal.out("");
  for (const line of tableLines(["row", "time", "what the coordinator wrote"], rows, terminal, "wrap"))
    terminal.out(line);
}
