/** What every command is given: where it writes, what surrounds it. Made once, by `main`. */
import type { Environment } from "../config/setting.js";
import type { Terminal } from "./terminal.js";

/** Surroundings of a run of the tool. */
export interface Context {
  readonly terminal: Terminal;
  readonly environment: Environment;
  /** Resolves with the name of the first signal that asks the process to end. */
  readonly stopped: Promise<string>;
}
