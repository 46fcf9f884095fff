#!/usr/bin/env node
/**
 * The program `tandem`: nodes with a store of their own, and nodes of a cluster.
 */
import { enter } from "../src/cli/enter.js";
import { startAnyNode } from "./node.js";

await enter(startAnyNode);
