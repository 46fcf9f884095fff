/**
 * What operators measure of a node in a cluster: its lease and shards, the others as it sees them, requests and
 * messages between them, and how often each thing happened that changes owners.
 */
import type { GaugeValues, Meters } from "../src/ports/meters.js";
import type { Log } from "../src/ports/observer.js";
import type { Member } from "./member.js";

/** Lines of the log that are counted. */
const events = [
  ...["joined", "join_failed", "suspended", "resumed", "fenced", "peer_dead", "claimed", "handed_over", "shard_lost"],
  ...["hand_over_interrupted", "ownership_interrupted", "format_raised"],
] as const;

/** A log that also counts. */
export interface CountingLog extends Log {
  /** Lines of each counted event so far. */
  counts(): GaugeValues;
}

/** Writes to `log` and counts what changes owners. */
export function counting(log: Log): CountingLog {
  const counts = new Map<string, number>(events.map((event) => [event, 0]));
  const note = (event: string) => {
    const before = counts.get(event);
    if (before !== undefined) counts.set(event, before + 1);
  };
  const debug = log.debug?.bind(log);
  return {
    ...(debug && { debug }),
    info(event, fields) {
      note(event);
      log.info(event, fields);
    },
    warn(event, fields) {
      note(event);
      log.warn(event, fields);
    },
    error(event, fields) {
      note(event);
      log.error(event, fields);
    },
    counts: () => [...counts].map(([event, count]) => [{ event }, count]),
  };
}

/** Where the gauges read what they show. */
export interface ClusterGauges {
  readonly member: Pick<Member, "keeper" | "view" | "link" | "coordinator">;
  readonly log: CountingLog;
  /** Connections of fenced nodes that could not be ended for want of a privilege. */
  readonly killsDenied: () => number;
  /** `undefined` for a node without NATS. */
  readonly natsConnected: (() => boolean) | undefined;
}

/** Registers all of them. */
export function registerClusterGauges(
  metrics: Pick<Meters, "gauge" | "total">,
  { member, log, killsDenied, natsConnected }: ClusterGauges,
): void {
  const { keeper, view, link, coordinator } = member;
  const one = (name: string, help: string, read: () => number) => metrics.gauge(name, help, [], () => [[{}, read()]]);
  one(
    "tandem_lease_seconds",
    "Left of this node's lease; below zero it stands still",
    () => keeper.remainingMs() / 1000,
  );
  one("tandem_shards_owned", "Shards that this node owns", () => keeper.owned.size);
  one("tandem_shards_without_owner", "Shards of nobody or of a node that was fenced", () => {
    const numbers = view.shards.map(({ shard }) => view.ownerOf(shard));
    return numbers.filter((owner) => owner === undefined).length;
  });
  metrics.gauge("tandem_nodes", "Nodes as this one sees them", ["state"], () =>
    (["live", "leaving", "late"] as const).map((state) => [{ state }, nodesIn(state, member)]),
  );
  one("tandem_requests_elsewhere", "Requests that wait for the answer of another node", () => link.outstanding);
  one(
    "tandem_requests_without_owner",
    "Requests that wait for their shard to have an owner",
    () => coordinator.waiting,
  );
  if (natsConnected !== undefined)
    one("tandem_nats_connected", "1 while this node is connected to NATS", () => Number(natsConnected()));
  metrics.total("tandem_cluster_events_total", "What changed owners, by the log's words", ["event"], log.counts);
  metrics.total("tandem_messages_troubled_total", "Messages between nodes not sent or not read", [], () => [
    [{}, link.troubles],
  ]);
  metrics.total("tandem_kills_denied_total", "Connections of fenced nodes that could not be ended", [], () => [
    [{}, killsDenied()],
  ]);
}

/** `late`: its lease is over and nobody has fenced it yet. */
function nodesIn(state: "live" | "leaving" | "late", { view }: Pick<Member, "view">): number {
  return view.nodes.filter((node) => {
    if (node.state === "fenced") return false;
    return (node.leaseUntilMs < view.storeNowMs ? "late" : node.state) === state;
  }).length;
}
