/**
 * Breaks of a crew: what an engine on a thread of its own may do, and what it and the main thread owe each other.
 */
import type { Mutant } from "./mutant.js";

const hand = "cluster/crew/hand.ts";
const main = "cluster/crew/crew.ts";
const tenure = "cluster/crew/tenure.ts";
const messages = "cluster/crew/messages.ts";
const whole = "test/crew/crew.test.ts";
const parts = "test/crew/parts.test.ts";

/** All breaks of `cluster/crew`. */
export const crewMutants: readonly Mutant[] = [
  {
    name: "crew: an engine is not told what it lost",
    file: hand,
    find: "        this.#tenure.drop(order.shards);\n        return this.#engine.lost(new Set(order.shards));\n",
    replace: "        return;\n",
    tests: [whole],
    rule: "end the work on them at once",
  },
  {
    name: "crew: an epoch that an engine has raised is taken back",
    file: tenure,
    find: "else if (epoch > (held ?? -1)) {",
    replace: "else if (epoch !== held) {",
    tests: [parts],
    rule: "raises an epoch, and never lowers it",
  },
  {
    name: "crew: an epoch that is over is taken up again",
    file: tenure,
    find: "if (held === undefined && epoch <= over) this.#fenced(shard, over);\n      else if",
    replace: "if (over < -1) this.#fenced(shard, over);\n      else if",
    tests: [parts],
    rule: "does not take up again what it was told to give up",
  },
  {
    name: "crew: a shard that comes back raised is not looked through",
    file: tenure,
    find: "fresh ||= held === undefined;",
    replace: "fresh ||= held === undefined && over < 0;",
    tests: [whole],
    rule: "the keeper has raised meanwhile bring back their transactions",
  },
  {
    name: "crew: the lease of the next incarnation is that of the one before",
    file: tenure,
    find: "if (this.#shared.incarnation !== this.incarnation) return",
    replace: "if (this.#shared.incarnation < 0) return",
    tests: [whole],
    rule: "of an earlier incarnation are not worked on",
  },
  {
    name: "crew: the lease is not shared",
    file: main,
    find: "    shared.leaseUntilMs = untilMs;\n",
    replace: "    if (untilMs > 0) shared.leaseUntilMs = untilMs;\n",
    tests: [whole],
    rule: "is known to every engine without a message",
  },
  {
    name: "crew: a drain is answered before it is over",
    file: hand,
    find: "return this.#done(order.id, this.#engine.drain(new Set(order.shards), order.graceMs));",
    replace:
      "void this.#engine.drain(new Set(order.shards), order.graceMs);\n" +
      "        return this.#done(order.id, Promise.resolve());",
    tests: [whole],
    rule: "are drained when every engine has drained its part",
  },
  {
    name: "crew: a close leaves callers unanswered",
    file: main,
    find: "    for (const resolve of this.#waiting.values()) resolve(undefined);\n",
    replace: "",
    tests: [whole],
    rule: "leaves nobody without an answer",
  },
  {
    name: "crew: who asks after the end waits for ever",
    file: main,
    find: "    if (this.#closed) return { id, replied: Promise.resolve(undefined) };\n",
    replace: "",
    tests: [whole],
    rule: "leaves nobody without an answer",
  },
  {
    name: "crew: who meets a bug is not answered",
    file: hand,
    find: `      answer(refused("INTERNAL", "the engine met an error of its own, it is in the log"));\n`,
    replace: "",
    tests: [whole],
    rule: "that meets a bug is answered, and the engine goes on",
  },
  {
    name: "crew: an engine goes on waiting for who has left",
    file: hand,
    find: "return this.#cancellable.get(order.id)?.abort();",
    replace: "return void this.#cancellable.delete(order.id);",
    tests: [whole],
    rule: "is not waited for by the engine any more",
  },
  {
    name: "crew: the keeper does not hear what the store has refused",
    file: hand,
    find: `    talk.say({ kind: "fenced", shard, epoch });\n`,
    replace: "",
    tests: [whole],
    rule: "that the store refuses are given up",
  },
  {
    name: "crew: the keeper does not hear of raised epochs",
    file: hand,
    find: `      talk.say({ kind: "bumped", rows });\n`,
    replace: "",
    tests: [whole],
    rule: "are told to the keeper, and stay in use",
  },
  {
    name: "crew: a connection writes that nobody has noted",
    file: hand,
    find: "    else asked?.reject(new Error(why));",
    replace: "    else asked?.resolve();",
    tests: [whole],
    rule: "write when the node has noted them",
  },
  {
    name: "crew: every engine removes what is finished",
    file: "cluster/crew/part.ts",
    find: "retention: engine === 0 ? settings.retention : undefined,",
    replace: "retention: engine >= 0 ? settings.retention : undefined,",
    tests: [parts],
    rule: "has the removal of what is finished in the first engine only",
  },
  {
    name: "crew: parts are more than the whole",
    file: "cluster/crew/part.ts",
    find: "Math.floor(limit / engines) + (engine < limit % engines ? 1 : 0)",
    replace: "Math.ceil(limit / engines)",
    tests: [parts],
    rule: "keep to the node's limits",
  },
  {
    name: "crew: what is said while something is heard is lost",
    file: messages,
    find: "    this.#sendsSoon = false;\n    this.#cancel?.();",
    replace: "    this.#cancel?.();",
    tests: [parts],
    rule: "does not lose what is said while something is heard",
  },
  {
    name: "crew: bytes are those of the message",
    file: messages,
    find: "copyBuffers: true",
    replace: "copyBuffers: false",
    tests: [parts],
    rule: "as copies that nobody else writes to",
  },
  {
    name: "crew: a shard that was lost while drained stays shut",
    file: "src/engine/engine.ts",
    find: "for (const shard of shards) if (this.#draining.has(shard)) this.#shut.add(shard);",
    replace: "for (const shard of shards) this.#shut.add(shard);",
    tests: ["test/engine/engine.test.ts"],
    rule: "serves a shard that was lost while it was being drained",
  },
];
