#!/usr/bin/env node
/**
 * The program `tandem` without clusters: embedded stores only. `cluster/main.ts` is what is installed.
 */
import { startNode } from "../node.js";
import { enter } from "./enter.js";

await enter(startNode);
