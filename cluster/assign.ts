/**
 * Which node should own a shard: the highest of hash(shard, node) wins (rendezvous hashing), so that a node that comes
 * or goes moves only its own share. A wish: the shard table says who does own it.
 */
import { murmur3 } from "../src/core/shard.js";

const encoder = new TextEncoder();

/** The node that should own `shard`, `undefined` without nodes. Independent of the order of `nodes`. */
export function desiredOwner(shard: number, nodes: readonly string[]): string | undefined {
  let best: { readonly node: string; readonly weight: number } | undefined;
  for (const node of nodes) {
    const weight = murmur3(encoder.encode(`${shard}/${node}`), 0x9e3779b9);
    if (best === undefined || weight > best.weight || (weight === best.weight && node < best.node))
      best = { node, weight };
  }
  return best?.node;
}

/**
 * `desiredOwner` that remembers its answers for as long as the nodes stay the same: a node asks for all of its shards
 * at every look, and they change once in a blue moon.
 */
export function rememberedOwner(): typeof desiredOwner {
  const known = new Map<number, string | undefined>();
  let of = "";
  return (shard, nodes) => {
    const now = nodes.join("\n");
    if (now !== of) known.clear();
    of = now;
    if (!known.has(shard)) known.set(shard, desiredOwner(shard, nodes));
    return known.get(shard);
  };
}
