/**
 * The cluster's part of `tandem status`: nodes with their leases and shards, and what is not where it should be.
 */
import { printable, type Terminal, tableLines } from "./terminal.js";
import { type Fields, fields, list, text } from "./transactions/answers.js";

/** Most misplaced shards that are shown one by one. */
const shownMax = 10;

/** Prints nothing for a node that is alone with a store of its own. */
export function showCluster(terminal: Terminal, cluster: Fields): void {
  const nodes = list(cluster.nodes).map(fields);
  if (nodes.length === 0) return;
  const { paint } = terminal;
  terminal.out("");
  const rows = nodes.map((node) => [
    `${printable(text(node.node))}${node.node === cluster.node ? " (this one)" : ""}`,
    text(node.state),
    text(node.shards),
    Number(node.lease_ms) < 0 ? `over since ${-Number(node.lease_ms)} ms` : `${text(node.lease_ms)} ms`,
    text(node.incarnation),
    printable(text(node.address)) || "alone",
  ]);
  for (const line of tableLines(["node", "state", "shards", "lease", "incarnation", "address"], rows, terminal))
    terminal.out(line);
  if (cluster.format !== undefined) terminal.out(paint.dim(`written in format ${text(cluster.format)}`));
  if (cluster.suspended === true) terminal.out(paint.red("this node stands still: its lease is over"));
  const misplaced = list(cluster.misplaced).map(fields);
  if (misplaced.length === 0) return terminal.out("every shard is where it should be");
  terminal.out(paint.yellow(`${misplaced.length} shards are not where they should be:`));
  for (const { shard, epoch, why } of misplaced.slice(0, shownMax))
    terminal.out(`  shard ${text(shard)}, epoch ${text(epoch)}: ${printable(text(why))}`);
  if (misplaced.length > shownMax) terminal.out(`  and ${misplaced.length - shownMax} more: /api/v1/cluster`);
}
