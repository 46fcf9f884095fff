// A terminal that keeps what was written, and a run of the tool with it, for the tests of the commands.
import pc from "picocolors";
import { run } from "../../src/cli/program.js";
import type { StartNode } from "../../src/cli/serve.js";
import type { Terminal } from "../../src/cli/terminal.js";

/** What a run of the tool left behind. */
export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** What a run may be given. */
export interface Surroundings {
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly startNode?: StartNode;
  readonly stopped?: Promise<string>;
  /** Answer to every question; none means that nobody is there to be asked. */
  readonly answer?: string;
  readonly columns?: number;
}

/** A terminal without colour, 80 wide, and the lines it got. */
export function recorder({ answer, columns = 80 }: Pick<Surroundings, "answer" | "columns"> = {}) {
  const out: string[] = [];
  const err: string[] = [];
  const paint = pc.createColors(false);
  const terminal: Terminal = {
    out: (line) => void out.push(line),
    err: (line) => void err.push(line),
    paint,
    paintErr: paint,
    columns,
    interactive: answer !== undefined,
    ask: async () => answer ?? "",
  };
  return { terminal, out, err };
}

/** Runs the tool. A node that nobody gave cannot be started. */
export async function tandem(args: readonly string[], surroundings: Surroundings = {}): Promise<Outcome> {
  const { terminal, out, err } = recorder(surroundings);
  const noNode: StartNode = () => Promise.reject(new Error("this test starts no node"));
  const { environment = {}, stopped = Promise.resolve("SIGTERM"), startNode = noNode } = surroundings;
  const code = await run(args, { terminal, environment, command: "tandem", untilStopped: () => stopped }, startNode);
  return { code, out: out.join("\n"), err: err.join("\n") };
}
