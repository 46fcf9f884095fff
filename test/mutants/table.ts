/**
 * The whole table of deliberate breaks, and the few that run with the unit tests.
 */
import { adapterMutants } from "./adapters.js";
import { callerMutants } from "./caller.js";
import { coreMutants } from "./core.js";
import { crewMutants } from "./crew.js";
import { durableMutants } from "./durable.js";
import { frontMutants } from "./front.js";
import type { Mutant } from "./mutant.js";

/** Every break; `npm run mutants` applies them all. */
export const mutants: readonly Mutant[] = [
  ...[...coreMutants, ...durableMutants, ...frontMutants, ...crewMutants],
  ...callerMutants,
  ...adapterMutants,
];

/** Names of those that run in `npm test`. */
export const smallSize: readonly string[] = ["intent not written", "digest not compared", "reply before commit"];
