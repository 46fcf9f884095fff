/**
 * The log: JSON lines, written synchronously so that the last words of a process are not lost. Secrets never get here;
 * as a second wall, fields that sound like one are hidden.
 */
import pino from "pino";
import type { Log } from "./ports/observer.js";

/** Fields that are hidden wherever they stand. */
const secrets = ["password", "token", "*.password", "*.token"];

/** A log that ends with the process. */
export interface FileLog extends Log {
  close(): void;
}

/** Outputs: `stderr`, `stdout` or a file to append to. `close` flushes. */
export function createLog(level: string, outputs: readonly string[]): FileLog {
  const streams = outputs.map((output) => pino.destination({ dest: destinationOf(output), sync: true, mkdir: true }));
  const options = {
    level,
    base: undefined,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths: secrets, censor: "***" },
  };
  const logger = pino(options, pino.multistream(streams.map((stream) => ({ stream, level: level as pino.Level }))));
  return {
    ...(logger.isLevelEnabled("debug") && { debug: (event, fields) => logger.debug(fields ?? {}, event) }),
    info: (event, fields) => logger.info(fields ?? {}, event),
    warn: (event, fields) => logger.warn(fields ?? {}, event),
    error: (event, fields) => logger.error(fields ?? {}, event),
    close: () => {
      for (const stream of streams) stream.end();
    },
  };
}

function destinationOf(output: string): string | number {
  if (output === "stdout") return 1;
  return output === "stderr" ? 2 : output;
}
