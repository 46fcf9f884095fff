/** What every command is given: where it writes, what surrounds it. Made once, by `main`. */
import type { Environment } from "../config/setting.js";
import type { Terminal } from "./terminal.js";

/** Surroundings of a run of the tool. */
export interface Context {
  readonly terminal: Terminal;
  readonly environment: Environment;
  /** How this tool is called from the same folder, for lines to be pasted: `tandem`, or `node dist/src/cli/main.js`. */
  readonly command: string;
  /**
   * From now on a signal to end (SIGTERM, SIGINT) is only noted: resolves with its name. A second one ends the process.
   */
  untilStopped(): Promise<string>;
}
