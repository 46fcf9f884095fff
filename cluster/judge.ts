/**
 * What a look at the tables means for one node: pure judgments, so that the keeper is left with when to act.
 * Times are the store's; a node's own clock never takes part in a judgment about another node.
 */
import type { NodeRow, ShardRow, Sight } from "../src/ports/leases.js";
import type { desiredOwner } from "./assign.js";

/** A row of the shard table and when it was learnt, monotonic milliseconds of this node. */
export interface Learnt {
  readonly row: ShardRow;
  readonly atMs: number;
}

/** Peers whose lease is over by the store's clock and whom nobody has fenced yet. */
export function deadPeers({ nodes, storeNowMs }: Sight, self: string): readonly NodeRow[] {
  return nodes.filter(
    ({ name, state, leaseUntilMs }) => name !== self && state !== "fenced" && leaseUntilMs < storeNowMs,
  );
}

/** Nodes that may be given shards: those that are leaving, fenced or late with their lease get nothing more. */
export function candidates({ nodes, storeNowMs }: Sight): readonly string[] {
  return nodes
    .filter(({ state, leaseUntilMs }) => state === "live" && leaseUntilMs >= storeNowMs)
    .map(({ name }) => name);
}

/** Shards of nobody: not `owned`, without owner, of a fenced node, of an incarnation that another has followed. */
export function orphans(
  known: readonly (Learnt | undefined)[],
  owned: ReadonlyMap<number, number>,
  { nodes }: Sight,
  fenced: ReadonlySet<string>,
): ReadonlyMap<number, ShardRow> {
  const alive = new Map(
    nodes
      .filter(({ state, name }) => state !== "fenced" && !fenced.has(name))
      .map(({ name, incarnation }) => [name, incarnation]),
  );
  const found = new Map<number, ShardRow>();
  for (const learnt of known) {
    if (learnt === undefined || owned.has(learnt.row.shard)) continue;
    if (alive.get(learnt.row.owner) !== learnt.row.incarnation) found.set(learnt.row.shard, learnt.row);
  }
  return found;
}

/** Own shards that another node should have, in ascending order. */
export function misplaced(
  owned: Iterable<number>,
  sight: Sight,
  self: string,
  desired: typeof desiredOwner,
): readonly number[] {
  const live = candidates(sight);
  const found: number[] = [];
  for (const shard of owned) if ((desired(shard, live) ?? self) !== self) found.push(shard);
  return found.sort((a, b) => a - b);
}

/** Milliseconds until the first lease of a peer is over, Infinity without peers. */
export function firstExpiryMs({ nodes, storeNowMs }: Sight, self: string): number {
  const peers = nodes.filter(({ name, state }) => name !== self && state !== "fenced");
  return Math.min(...peers.map(({ leaseUntilMs }) => leaseUntilMs - storeNowMs));
}

/**
 * A shard that the store shows with a lower epoch than it has shown before: committed transactions were lost, by a
 * fail-over or a restored backup. Only what was learnt before the look began can be held against it.
 */
export function regression(
  known: readonly (Learnt | undefined)[],
  { shards }: Sight,
  lookSentMs: number,
): { readonly shard: number; readonly was: number; readonly is: number } | undefined {
  for (const { shard, epoch } of shards) {
    const before = known[shard];
    if (before !== undefined && before.atMs < lookSentMs && before.row.epoch > epoch)
      return { shard, was: before.row.epoch, is: epoch };
  }
  return undefined;
}
