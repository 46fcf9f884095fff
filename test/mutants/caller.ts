/**
 * Breaks of what calls have in common: what is remembered of their URLs, how an owner ends them, what holds them while
 * they last.
 */
import type { Mutant } from "./mutant.js";

/** All breaks of calls. */
export const callerMutants: readonly Mutant[] = [
  {
    name: "URLs are judged by addresses that the node had",
    file: "src/caller/known.ts",
    find: "    for (const urls of Object.values(this.#known)) urls.clear();\n",
    replace: "",
    tests: ["test/caller/locate.test.ts"],
    rule: "judges a URL anew when the node has got other addresses since",
  },
  {
    name: "a call that has ended is stopped by its owner's end",
    file: "src/caller/ending.ts",
    find: "    this.#stops.take(id);",
    replace: "",
    tests: ["test/caller/ending.test.ts"],
    rule: "not those that were taken back",
  },
  {
    name: "a slot that is given back keeps its value",
    file: "src/slotmap.ts",
    find: "    this.#values[slot] = undefined;\n",
    replace: "",
    tests: ["test/slotmap.test.ts"],
    rule: "forgets what was taken out",
  },
];
