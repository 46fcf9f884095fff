/** The program `tandem` of the next build, as a process for tests of upgrades. */
import { startAnyNode } from "../../../cluster/node.js";
import { enter } from "../../../src/cli/enter.js";
import { nextBuild } from "./build.js";

await enter((config, shown) => startAnyNode(config, shown, nextBuild));
