/**
 * Hands the real world (arguments, environment, streams, signals) to `run` and leaves the process with its code.
 */
import { basename, relative } from "node:path";
import { processTerminal } from "./process.js";
import { run } from "./program.js";
import type { StartNode } from "./serve.js";

/** The first signal asks for a good end, the second one ends at once: 128 and its number, as shells have it. */
function untilStopped(): Promise<string> {
  return new Promise((resolve) => {
    let asked = false;
    for (const [signal, number] of [
      ["SIGTERM", 15],
      ["SIGINT", 2],
    ] as const) {
      process.on(signal, () => {
        if (asked) process.exit(128 + number);
        asked = true;
        resolve(signal);
      });
    }
  });
}

/** The whole program around a way to start nodes; never returns. */
export async function enter(startNode: StartNode): Promise<never> {
  const path = process.argv[1] ?? "tandem";
  const command = basename(path) === "tandem" ? "tandem" : `node ${relative(process.cwd(), path)}`;
  const context = { command, terminal: processTerminal(), environment: process.env, untilStopped };
  process.exitCode = await run(process.argv.slice(2), context, startNode);
  process.exit();
}
