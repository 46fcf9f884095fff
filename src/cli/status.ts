/**
 * `tandem status`: how a server is, at a glance: ready or not, transactions by type and status, who is being waited
 * for.
 */
import type { Api } from "./api.js";
import { printable, type Terminal, tableLines } from "./terminal.js";
import { type Fields, fields, list, text } from "./transactions/answers.js";

/** Statuses in the order of their columns. */
const statuses = ["prepared", "submitted", "aborting", "succeed", "failed"] as const;

/** Prints the state of the server and of its participants. */
export async function status(api: Api, terminal: Terminal, json: boolean): Promise<void> {
  const [node, targets] = await Promise.all([api.get("/api/v1/status"), api.get("/api/v1/targets")]);
  if (json) return terminal.out(JSON.stringify({ status: node, ...fields(targets) }, undefined, 2));
  showNode(terminal, api.url, fields(node));
  showTargets(terminal, list(fields(targets).targets).map(fields));
}

function showNode(terminal: Terminal, url: string, node: Fields): void {
  const { paint } = terminal;
  const ready = node.ready === true ? paint.green("ready") : paint.red("not ready");
  terminal.out(`${paint.bold(url)}  ${ready}  version ${text(node.version)}  store ${text(node.store)}`);
  const figures = Object.entries(fields(node.engine)).map(
    ([name, value]) => `${name.replaceAll("_", " ")} ${String(value)}`,
  );
  if (figures.length > 0) terminal.out(paint.dim(figures.join(", ")));
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
  if (rows.length === 0) terminal.out("no transactions");
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
