/** The real terminal of this process. A reader that goes away (`| head`) ends the output quietly, not the work. */
import { createInterface } from "node:readline/promises";
import pc from "picocolors";
import { type Terminal, wantsColour } from "./terminal.js";

/** Nothing that goes to a file or another program is cut or wrapped. */
const pipedColumns = 100_000;

/** Terminal over the process's own streams. */
export function processTerminal(): Terminal {
  const { stdout, stderr, stdin, env } = process;
  for (const stream of [stdout, stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
    });
  }
  return {
    out: (line) => void stdout.write(`${line}\n`),
    err: (line) => void stderr.write(`${line}\n`),
    paint: pc.createColors(wantsColour(stdout.isTTY, env)),
    paintErr: pc.createColors(wantsColour(stderr.isTTY, env)),
    columns: stdout.isTTY ? Math.max(60, Math.min(stdout.columns, 160)) : pipedColumns,
    interactive: stdin.isTTY && stderr.isTTY,
    ask: async (question) => {
      const lines = createInterface({ input: stdin, output: stderr });
      try {
        return await lines.question(question);
      } finally {
        lines.close();
      }
    },
  };
}
