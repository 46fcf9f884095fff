/**
 * `tandem status`: how a server is, at a glance: ready or not, transactions by type and status, who is being waited
 * for.
 */
import type { Api } from "./api.js";
import { showCluster } from "./cluster.js";
import { printable, type Terminal, tableLines } from "./terminal.js";
import { type Fields, fields, list, text, timeMs } from "./transactions/answers.js";
import { span } from "./transactions/span.js";

/** Statuses in the order of their columns. */
const statuses = ["prepared", "submitted", "aborting", "succeed", "failed"] as const;

/** Prints the state of the server and of its participants. */
export async function status(api: Api, terminal: Terminal, json: boolean): Promise<void> {
  const paths = ["status", "targets", "cluster"];
  const [node, targets, cluster] = await Promise.all(paths.map((path) => api.get(`/api/v1/${path}`)));
  if (json) return terminal.out(JSON.stringify({ status: node, ...fields(targets), cluster }, undefined, 2));
  showNode(terminal, api.url, fields(node));
  showCluster(terminal, fields(cluster));
  showTargets(terminal, list(fields(targets).targets).map(fields));
}

/** Figures of the engine that are worth a word, with the word. */
const figures: readonly (readonly [string, string])[] = [
  ["resident", "in memory"],
  ["commits_queued", "waiting for the disk"],
  ["calls_in_flight", "calls on the wire"],
  ["calls_waiting", "calls held back"],
];

function showNode(terminal: Terminal, url: string, node: Fields): void {
  const { paint } = terminal;
  const ready = node.ready === true ? paint.green("ready") : paint.red("NOT READY: its store takes no writes");
  const remarks = ["overloaded", "recovering"].filter((name) => node[name] === true).map((name) => paint.yellow(name));
  terminal.out([paint.bold(url), ready, ...remarks].join("  "));
  const upMs = timeMs(node.time) - timeMs(node.start_time);
  terminal.out(
    paint.dim(`${text(node.node)}, version ${text(node.version)}, up ${span(upMs)}, store ${text(node.store)}`),
  );
  terminal.out(paint.dim(figures.map(([name, word]) => `${text(node[name])} ${word}`).join(", ")));
  terminal.out("");
  const counts = list(node.transactions).map(fields);
  const types = [...new Set(counts.map((count) => text(count.trans_type)))];
  const rows = types.map((type) => [
    type,
    ...statuses.map((one) => {
      const found = counts.find((count) => count.trans_type === type && count.status === one);
      return text(found?.transactions) || "-";
    }),
  ]);
  if (node.transactions === undefined) terminal.out(paint.yellow("its transactions cannot be counted now"));
  else if (rows.length === 0) terminal.out("no transactions");
  else for (const line of tableLines(["type", ...statuses], rows, terminal)) terminal.out(line);
}

function showTargets(terminal: Terminal, targets: readonly Fields[]): void {
  const troubled = targets.filter((target) => target.breaker !== "closed" || Number(target.waiting) > 0);
  terminal.out("");
  if (troubled.length === 0) {
    terminal.out(`${targets.length} participants known, none is being waited for`);
    return;
  }
  const rows = troubled.map((target) => [
    printable(text(target.target)),
    text(target.breaker),
    text(target.in_flight),
    text(target.waiting),
    printable(text(target.last_error)),
  ]);
  for (const line of tableLines(["participant", "breaker", "calls", "waiting", "last error"], rows, terminal)) {
    terminal.out(line);
  }
}
