/**
 * Defects that the simulation has found, planted again: it must find each of them anew.
 */
import type { SimulatedMutant } from "./simulated.js";

/** What the simulation itself has found, planted again. */
export const found: readonly SimulatedMutant[] = [
  {
    name: "found: a jump of the wall clock stops timers",
    file: "cluster/member.ts",
    find: "        clock.anchor(storeNowMs, sentMs);",
    replace: "",
    rules: ["L1", "TOPIC", "S9"],
  },
  {
    name: "found: a branch is called again while its answer waits for its turn",
    file: "src/engine/actor.ts",
    find: `        this.tell({ kind: "answered", op, ...answer }); // in`,
    replace: `        this.#calls.delete(op);\n        this.tell({ kind: "answered", op, ...answer }); // in`,
    rules: ["S8"],
  },
  {
    name: "found: a held call goes while the final commit is in flight",
    file: "src/engine/actor.ts",
    find: "    this.#calls.withdraw(decision.calls); // must not go while the decision is on its way to the store (S8)\n",
    replace: "",
    rules: ["S8"],
  },
  {
    name: "found: recovery takes a stale state for the newest",
    file: "src/engine/recovery.ts",
    find: "      await this.#revive(absent.flatMap((gid) => this.#engine.reserve(gid) ?? []));\n",
    replace:
      "      const stale = await this.#store.load(absent).catch(() => []);\n" +
      "      for (const [i, gid] of absent.entries())\n" +
      "        if (i in stale && !this.#engine.knows(gid)) this.#engine.reserve(gid)?.fill(stale[i]);\n",
    rules: ["S8", "L1"],
  },
  {
    name: "found: a refusal is no sign of life of the store",
    file: "src/engine/committer.ts",
    find: "          this.#available(); // it has spoken; else a node with no other work would refuse all for ever\n",
    replace: "",
    rules: ["L1", "S9"],
  },
  {
    name: "found: an outage lasts though nobody asks the store any more",
    file: "src/engine/committer.ts",
    find: "        this.#unavailableSinceMs = undefined; // nobody asks the store any more: the next commit finds out how it is\n",
    replace: "",
    rules: ["L1", "S9"],
    seeds: [733_834, 740_611],
  },
  {
    name: "found: a stopped transaction goes on when it is looked at",
    file: "src/engine/engine.ts",
    find: "    if (this.#isolated.has(gid)) return this.stored(gid); // an actor would go on with it\n",
    replace: "",
    rules: ["S8"],
  },
  {
    name: "found: a hand-over that failed leaves the old epoch in use",
    file: "cluster/holdings.ts",
    find: " && row.epoch > (this.#givenUp.get(row.shard) ?? -1)",
    replace: "",
    rules: ["S2", "S8"],
  },
  {
    name: "found: a claim's late answer brings back what was given up since",
    file: "cluster/holdings.ts",
    find: "row.epoch > (this.#givenUp.get(row.shard) ?? -1)",
    replace: "(this.#table[row.shard]?.row !== row || row.epoch > (this.#givenUp.get(row.shard) ?? -1))",
    rules: ["S2"],
    seeds: [508_338, 508_378],
  },
  {
    name: "found: a commit in doubt of a lost shard is settled under the next epoch",
    file: "src/engine/actor.ts",
    find: "isAbandoned: () => this.#over,",
    replace: "isAbandoned: () => false,",
    rules: ["S3"],
    seeds: [443_778],
  },
  {
    name: "found: an answer to an earlier process of the same name counts",
    file: "cluster/link.ts",
    find: "this.#nextId = Math.floor(random() * firstIdMax);",
    replace: "this.#nextId = Math.floor(random() * 0) + 1;",
    rules: ["S1", "S9", "wait"],
    seeds: [1724],
  },
];
