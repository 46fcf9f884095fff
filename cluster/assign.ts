/**
 * Which node should own a shard: the highest of hash(shard, node) wins (rendezvous hashing), so that a node that comes
 * or goes moves only its own share. A wish: the shard table says who does own it.
 */
import { murmur3 } from "../src/core/shard.js";

const encoder = new TextEncoder();

/** The node that should own `shard`, `undefined` without nodes. Independent of the order of `nodes`. */
export function desiredOwner(shard: number, nodes: readonly string[]): string | undefined {
  return heaviest(shard, nodes, weightOf);
}

/**
 * `desiredOwner` that remembers its answers for as long as the nodes stay the same, and the weights of those that stay:
 * a node asks for all of its shards at every look, and they change once in a blue moon.
 */
export function rememberedOwner(): typeof desiredOwner {
  const known = new Map<number, string | undefined>();
  let of: readonly string[] = [];
  let weights = new Map<string, Map<number, number>>();
  const weigh = (shard: number, node: string): number => {
    const its = weights.get(node)!;
    const weight = its.get(shard) ?? weightOf(shard, node);
    its.set(shard, weight);
    return weight;
  };
  return (shard, nodes) => {
    if (nodes !== of && (nodes.length !== of.length || nodes.some((node, i) => node !== of[i]))) {
      known.clear();
      weights = new Map(nodes.map((node) => [node, weights.get(node) ?? new Map<number, number>()]));
    }
    of = nodes;
    const remembered = known.get(shard);
    if (remembered !== undefined) return remembered;
    const owner = heaviest(shard, nodes, weigh);
    known.set(shard, owner);
    return owner;
  };
}

function heaviest(
  shard: number,
  nodes: readonly string[],
  weigh: (shard: number, node: string) => number,
): string | undefined {
  let best: string | undefined;
  let most = -1;
  for (const node of nodes) {
    const weight = weigh(shard, node);
    if (weight < most || (weight === most && node > best!)) continue;
    best = node;
    most = weight;
  }
  return best;
}

function weightOf(shard: number, node: string): number {
  return murmur3(encoder.encode(`${shard}/${node}`), 0x9e3779b9);
}
