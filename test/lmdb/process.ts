// Starts programs of this folder as processes of their own and talks to them by lines of JSON.
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** A running program. */
export interface Peer {
  readonly pid: number;
  /** The next line it prints. Rejects when it ends first, with what it said on stderr. */
  line(): Promise<unknown>;
  kill(signal: NodeJS.Signals): void;
  /** Exit code, or `null` after a signal. */
  readonly ended: Promise<number | null>;
}

/** Runs `test/lmdb/<program>.ts`; `wrapper` is a command in front, such as unshare. */
export function startPeer(program: string, args: readonly string[], wrapper: readonly string[] = []): Peer {
  const file = fileURLToPath(new URL(`${program}.ts`, import.meta.url));
  const [command, ...rest] = [...wrapper, process.execPath, "--import", "tsx", file, ...args];
  const child = spawn(command!, rest, { stdio: ["ignore", "pipe", "pipe"] });
  const errors: string[] = [];
  child.stderr.on("data", (data) => errors.push(String(data)));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = exitOf(child);
  return {
    pid: child.pid!,
    ended,
    kill: (signal) => void child.kill(signal),
    async line() {
      const { value, done } = await lines.next();
      if (done) throw new Error(`${program} ended with ${await ended}: ${errors.join("")}`);
      return JSON.parse(value);
    },
  };
}

function exitOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
}
