/**
 * A shared store has either one node that runs alone or nodes of one cluster: who comes second waits for one lease,
 * because the first may just have died, and then gives up naming it (reliability 3).
 */
import type { Clock } from "../src/ports/clock.js";
import type { Leases, NodeRow, Sight } from "../src/ports/leases.js";

/** Another node lives on this store, and the two may not run beside each other. */
export class OwnedElsewhere extends Error {
  override readonly name = "OwnedElsewhere";
  readonly owner: string;

  constructor(owner: NodeRow) {
    const kind =
      owner.address === "" ? "which runs alone" : `which belongs to a cluster and listens at ${owner.address}`;
    super(`the store belongs to node '${owner.name}', ${kind}`);
    this.owner = owner.name;
  }
}

/** Who wants to use the store. An empty address: alone. */
export interface Newcomer {
  readonly name: string;
  readonly address: string;
}

/** A living node beside which this one may not run. Its own name does not count: it takes that one's place. */
export function obstacle({ nodes, storeNowMs }: Sight, { name, address }: Newcomer): NodeRow | undefined {
  return nodes.find(
    (node) =>
      node.name !== name &&
      node.state !== "fenced" &&
      node.leaseUntilMs >= storeNowMs &&
      (address === "" || node.address === ""),
  );
}

/**
 * Resolves when nobody is in the way. Asked again after joining it settles a race: of two that see each other the one
 * with the greater name gives way at once (`joined`).
 * @throws OwnedElsewhere after one lease and a little more
 */
export async function waitForRoom(
  leases: Leases,
  clock: Clock,
  leaseMs: number,
  newcomer: Newcomer,
  joined = false,
): Promise<void> {
  const untilMs = clock.monotonicMs() + leaseMs + 500;
  for (;;) {
    const owner = obstacle(await leases.look(), newcomer);
    if (owner === undefined) return;
    const givesWay = joined && newcomer.name > owner.name;
    if (givesWay || clock.monotonicMs() >= untilMs) throw new OwnedElsewhere(owner);
    await new Promise<void>((resolve) => void clock.after(250, resolve));
  }
}
