// A server program run for tests: started in a folder of its own on a port of its own, watched, restarted, killed by
// pid.
// Relies on a POSIX shell: a watcher process holds a pipe to us and, when we die in whatever way, kills the server
// and removes its folder, so that an aborted test run leaves nothing behind.
import { type ChildProcess, spawn } from "node:child_process";
import { openSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/**
 * A server that tests talk to. One that was given by an address in the environment can be neither killed nor restarted.
 */
export interface Server {
  /** Address with protocol and, where the server has users, user; without a trailing slash. */
  readonly url: string;
  readonly port: number;
  /** `undefined` while it is down, and for a server that is not ours. */
  readonly pid: number | undefined;
  /** Where its files and its `server.log` are; empty for a server that is not ours. */
  readonly folder: string;
  /** Sends the signal and returns at once; use {@link Server.restart} or {@link Server.start} to bring it back. */
  kill(signal: NodeJS.Signals): void;
  /** Starts it again on the same port and data after a kill; resolves when it answers. Does nothing while it runs. */
  start(): Promise<void>;
  /**
   * Ends it with the signal (default SIGTERM, an orderly shutdown), waits for its end, starts it on the same port and
   * data.
   */
  restart(signal?: NodeJS.Signals): Promise<void>;
  /** Ends it for good and removes its folder. May be called twice. */
  stop(): Promise<void>;
}

/**
 * How to run one program. `ready` is polled until it resolves; it must reject, not hang, while the server is not up.
 */
export interface Program {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly folder: string;
  readonly port: number;
  readonly url: string;
  readonly uid?: number | undefined;
  ready(): Promise<void>;
}

const readyWithinMs = 60_000;
const exitWithinMs = 30_000;

/** Makes an empty folder for one server, in `TANDEM_TEST_DIR` or the system's temporary folder. */
export function makeFolder(name: string): Promise<string> {
  return mkdtemp(join(process.env.TANDEM_TEST_DIR ?? tmpdir(), `tandem-${name}-`));
}

/**
 * A loopback port that is free now. Below the range from which outgoing connections take theirs, so that nobody takes
 * it
 * while the server is down between a kill and its restart.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = 12_000 + Math.floor(Math.random() * 20_000);
    const free = await new Promise<boolean>((resolve) => {
      const probe = createServer();
      probe.once("error", () => resolve(false));
      probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
    });
    if (free) return port;
  }
  throw new Error("no free port between 12000 and 32000 after 200 attempts");
}

/**
 * Starts the program; resolves when it is ready, rejects with the end of its log when it exits or is not ready within a
 * minute.
 */
export async function run(program: Program): Promise<Server> {
  const server = new RunningProgram(program);
  try {
    await server.start();
  } catch (cause) {
    await server.stop();
    throw cause;
  }
  return server;
}

class RunningProgram implements Server {
  readonly #program: Program;
  #child: ChildProcess | undefined;
  #watcher: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  /** A signal that ends programs was sent, so it is only a matter of time. */
  #ending = false;

  constructor(program: Program) {
    this.#program = program;
  }

  get url(): string {
    return this.#program.url;
  }

  get port(): number {
    return this.#program.port;
  }

  get folder(): string {
    return this.#program.folder;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
    if (signal !== "SIGSTOP" && signal !== "SIGCONT") this.#ending = true;
  }

  async start(): Promise<void> {
    if (this.#child !== undefined && !this.#ending) return;
    await this.#waitForEnd();
    this.#spawn();
    await this.#waitForReady();
  }

  async restart(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    this.kill(signal);
    await this.#waitForEnd();
    await this.start();
  }

  async stop(): Promise<void> {
    this.kill("SIGKILL");
    await this.#waitForEnd();
    await rm(this.#program.folder, { recursive: true, force: true });
  }

  #spawn(): void {
    const { command, args, folder, uid } = this.#program;
    const log = openSync(join(folder, "server.log"), "a");
    const child = spawn(command, [...args], { cwd: folder, detached: true, stdio: ["ignore", log, log], uid });
    child.unref();
    this.#child = child;
    this.#ending = false;
    this.#watcher = child.pid === undefined ? undefined : watch(child.pid, folder);
    this.#ended = new Promise((resolve) => {
      const end = () => {
        if (this.#child === child) this.#child = undefined;
        this.#watcher?.kill("SIGKILL");
        resolve();
      };
      child.once("exit", end);
      child.once("error", end);
    });
  }

  async #waitForReady(): Promise<void> {
    const deadline = Date.now() + readyWithinMs;
    let last: unknown;
    while (Date.now() < deadline) {
      if (this.#child === undefined) throw new Error(`${this.#program.name} exited at start:\n${this.#logTail()}`);
      try {
        await this.#program.ready();
        return;
      } catch (cause) {
        last = cause;
        await delay(25);
      }
    }
    throw new Error(`${this.#program.name} not ready after ${readyWithinMs} ms:\n${this.#logTail()}`, { cause: last });
  }

  async #waitForEnd(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    // Otherwise a process that has nothing else to wait for would exit here.
    child.ref();
    const timer = setTimeout(() => child.kill("SIGKILL"), exitWithinMs);
    await this.#ended;
    clearTimeout(timer);
  }

  #logTail(): string {
    try {
      return readFileSync(join(this.#program.folder, "server.log"), "utf8").slice(-2000);
    } catch {
      return `(no log; is ${this.#program.command} executable?)`;
    }
  }
}

/** The pipe to the watcher's stdin closes when this process ends; detached, so that Ctrl-C reaches only us. */
function watch(pid: number, folder: string): ChildProcess {
  const script = `cat >/dev/null; kill -9 ${pid}; rm -rf "$0"`;
  const watcher = spawn("/bin/sh", ["-c", script, folder], { detached: true, stdio: ["pipe", "ignore", "ignore"] });
  watcher.unref();
  if (watcher.stdin instanceof Socket) watcher.stdin.unref();
  return watcher;
}

/** A server that runs elsewhere, by its address. Stopping it does nothing; killing or restarting it is refused. */
export function foreignServer(url: string, defaultPort: number): Server {
  const refuse = (): never => {
    throw new Error(`${url} was given by its address: it can't be killed or restarted; ask for a server of your own`);
  };
  return {
    url: url.replace(/\/$/, ""),
    port: Number(new URL(url).port || defaultPort),
    pid: undefined,
    folder: "",
    kill: refuse,
    start: async () => refuse(),
    restart: async () => refuse(),
    stop: async () => {},
  };
}
