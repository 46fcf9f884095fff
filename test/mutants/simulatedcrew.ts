/**
 * Breaks of crews that the simulation must notice by itself. The first is what it has found.
 */
import type { SimulatedMutant } from "./simulated.js";

/** All breaks of `cluster/crew` that it is put to the test with. */
export const crew: readonly SimulatedMutant[] = [
  {
    name: "found: the next incarnation's lease is taken for that of the one before",
    file: "cluster/crew/tenure.ts",
    find: "if (this.#shared.incarnation !== this.incarnation) return",
    replace: "if (this.#shared.incarnation < 0) return",
    rules: ["LEASE"],
    seeds: [300],
  },
  {
    name: "an engine ignores that shards are lost",
    file: "cluster/crew/hand.ts",
    find: "        this.#tenure.drop(order.shards);\n        return this.#engine.lost(new Set(order.shards));\n",
    replace: "        return;\n",
    rules: ["S10", "S8", "S2", "LEASE"],
  },
  {
    name: "engines do not share the lease",
    file: "cluster/crew/crew.ts",
    find: "    shared.leaseUntilMs = untilMs;\n",
    replace: "    shared.leaseUntilMs = untilMs + 3000;\n",
    rules: ["LEASE"],
  },
  {
    name: "engines do not share the store's time",
    file: "cluster/crew/crew.ts",
    find: "    this.#ports.shared.aheadMs = aheadMs;\n",
    replace: "    this.#ports.shared.aheadMs ??= aheadMs > 0 ? undefined : 0;\n",
    rules: ["L1", "L2", "TOPIC", "S9"],
  },
  {
    name: "an engine takes its shards without their transactions",
    file: "cluster/crew/hand.ts",
    find: "if (this.#tenure.take(order.epochs)) this.#engine.gained();",
    replace: "this.#tenure.take(order.epochs);",
    rules: ["L2"],
    seeds: [1295, 1880],
  },
  {
    name: "an engine answers for shards of another",
    file: "cluster/crew/crew.ts",
    find: "return this.#talks[engineOf(shardOf(gid), this.#talks.length)]!;",
    replace: "return this.#talks[shardOf(gid) % 7 === 0 ? 0 : engineOf(shardOf(gid), this.#talks.length)]!;",
    rules: ["L1", "S9", "TOPIC"],
  },
  {
    name: "engines forget the remainder of a message",
    file: "cluster/crew/messages.ts",
    find: "for (const message of packr.unpack(bytes) as readonly In[]) listener(message);",
    replace: "for (const message of (packr.unpack(bytes) as readonly In[]).slice(0, 8)) listener(message);",
    rules: ["L1", "S10", "S9"],
  },
];
