/**
 * The cluster as one node sees it, for people: who lives, who owns what under which epoch, what is on its way to whom,
 * and for every shard that is not where it should be, why.
 */
import { desiredOwner } from "./assign.js";
import { candidates } from "./judge.js";
import type { Keeper } from "./keeper.js";
import type { View } from "./view.js";

/** A node as the tables say. */
export interface NodeStatus {
  readonly node: string;
  readonly incarnation: number;
  readonly state: string;
  readonly address: string;
  /** Left of its lease by the store's clock at the last look; negative: over. */
  readonly lease_ms: number;
  readonly shards: number;
}

/** A shard that its desired owner has not got. */
export interface Misplaced {
  readonly shard: number;
  readonly epoch: number;
  readonly owner: string;
  readonly desired: string;
  readonly why: string;
}

/** What `/api/v1/cluster` answers. */
export interface ClusterStatus {
  readonly node: string;
  readonly clustered: boolean;
  readonly incarnation: number;
  /** Left of the own lease by the own clock. */
  readonly lease_ms: number;
  readonly suspended: boolean;
  /** Has seen the store steadily for a lease, so it may fence others. */
  readonly may_fence: boolean;
  readonly handing_over: readonly number[];
  readonly nodes: readonly NodeStatus[];
  readonly shards: readonly { readonly shard: number; readonly owner: string; readonly epoch: number }[];
  readonly misplaced: readonly Misplaced[];
}

/** Nodes that were fenced longer ago are not shown. */
const shownForMs = 600_000;

/** As of the last look at the tables. */
export function clusterStatus(self: string, address: string, keeper: Keeper, view: View): ClusterStatus {
  const { nodes, shards, storeNowMs } = view;
  const counts = new Map<string, number>();
  for (const { owner } of shards) counts.set(owner, (counts.get(owner) ?? 0) + 1);
  const shown = nodes.filter(({ state, leaseUntilMs }) => state !== "fenced" || storeNowMs - leaseUntilMs < shownForMs);
  return {
    node: self,
    clustered: address !== "",
    incarnation: keeper.incarnation,
    lease_ms: Math.round(keeper.remainingMs()),
    suspended: keeper.suspended,
    may_fence: keeper.mayJudge,
    handing_over: [...keeper.handingOver].sort((a, b) => a - b),
    nodes: shown.map((node) => ({
      node: node.name,
      incarnation: node.incarnation,
      state: node.state,
      address: node.address,
      lease_ms: Math.round(node.leaseUntilMs - storeNowMs),
      shards: counts.get(node.name) ?? 0,
    })),
    shards: shards.map(({ shard, owner, epoch }) => ({ shard, owner, epoch })),
    misplaced: misplacedShards(view, keeper),
  };
}

function misplacedShards(view: View, keeper: Keeper): readonly Misplaced[] {
  const { nodes, shards, storeNowMs } = view;
  const live = candidates({ nodes, shards, storeNowMs });
  const byName = new Map(nodes.map((node) => [node.name, node]));
  return shards.flatMap(({ shard, epoch, owner, incarnation }) => {
    const desired = desiredOwner(shard, live) ?? "";
    if (owner === desired && byName.get(owner)?.incarnation === incarnation) return [];
    return [{ shard, epoch, owner, desired, why: why() }];

    function why(): string {
      const node = byName.get(owner);
      if (keeper.handingOver.has(shard)) return `this node hands it over to ${desired}`;
      if (owner === "") return `nobody's, ${desired || "nobody"} should claim it`;
      if (node === undefined || node.state === "fenced") return `its owner ${owner} was fenced, ${desired} takes over`;
      if (node.incarnation !== incarnation) return `its owner ${owner} has restarted, ${desired} takes over`;
      const leftMs = Math.round(node.leaseUntilMs - storeNowMs);
      if (leftMs < 0) return `the lease of its owner ${owner} is over since ${-leftMs} ms, whoever sees that fences it`;
      return `waits for ${owner} to hand it over`;
    }
  });
}
