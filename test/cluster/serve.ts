/**
 * One process of the built program, for tests that need no fleet.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";

/** A process; `ready` resolves to the URL of its HTTP API, `said` is all that it has written. */
export interface Run {
  readonly child: ReturnType<typeof spawn>;
  readonly ready: Promise<string>;
  readonly ended: Promise<number | null>;
  readonly said: () => string;
}

/** Starts the built program on a store, with ports of its own choice. */
export function serve(
  url: string,
  flags: readonly string[] = [],
  environment: Readonly<Record<string, string>> = {},
): Run {
  const ports = ["--http-port", "0", "--grpc-port", "0"];
  const child = spawn(process.execPath, ["dist/cluster/main.js", "serve", "--store", url, ...ports, ...flags], {
    env: { PATH: process.env.PATH, ...environment },
  });
  let text = "";
  const ended = once(child, "exit").then(([code]) => code as number | null);
  const ready = new Promise<string>((resolve) => {
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (part: string) => {
        text += part;
        const found = /tandem ready http=(\S+)/.exec(text)?.[1];
        if (found !== undefined) resolve(found);
      });
  });
  return { child, ready, ended, said: () => text };
}
