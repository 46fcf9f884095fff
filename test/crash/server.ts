/**
 * A real server process on a folder of its own, killed without warning again and again. A preloaded witness
 * (trace/lmdb.mjs) writes each step of each flush into a file, so that after a kill it is known what was under way.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, openSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";

/** Where the process is to kill itself: at that point of its n-th flush. */
export interface Aim {
  readonly at: "before" | "in" | "after";
  readonly flush: number;
}

/** The last thing that the witness saw: a flush decided (`D`), begun (`B`) or ended (`E`). Times are monotonic ns. */
export interface Last {
  readonly step: "D" | "B" | "E" | undefined;
  /** When the newest durable flush was begun; answers sent later are in no durable flush. */
  readonly durableBeganNs: bigint;
  readonly flushes: number;
}

const program = resolve("dist/src/cli/main.js");
const preload = resolve("test/crash/trace/preload.mjs");

export class KilledServer {
  readonly #folder: string;
  readonly #port: number;
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();

  constructor(folder: string, port: number) {
    if (!existsSync(program)) throw new Error(`${program} is missing: npm run build comes first`);
    this.#folder = folder;
    this.#port = port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get running(): boolean {
    return this.#child !== undefined;
  }

  /** Resolves when the process is gone. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  /** Starts it; resolves to whether it took requests before it was gone again (an aim may come first). */
  async start(aim: Aim | undefined): Promise<boolean> {
    rmSync(this.#trace, { force: true });
    const log = openSync(join(this.#folder, "server.log"), "a");
    const args = ["--import", preload, program, "serve", "--store", `lmdb:${join(this.#folder, "data")}`];
    const child = spawn(process.execPath, [...args, "--http-port", `${this.#port}`, "--grpc-port", "0"], {
      cwd: this.#folder,
      stdio: ["ignore", "pipe", log],
      env: {
        PATH: process.env.PATH,
        TANDEM_TRACE: this.#trace,
        TANDEM_TRACE_AIM: aim === undefined ? "" : `${aim.at}:${aim.flush}`,
      },
    });
    this.#child = child;
    this.#ended = new Promise((done) => {
      child.once("exit", () => {
        this.#child = undefined;
        done();
      });
    });
    const ready = new Promise<true>((done) => {
      let said = "";
      child.stdout?.setEncoding("utf8").on("data", (text: string) => {
        said += text;
        if (said.includes("tandem ready")) done(true);
      });
    });
    return Promise.race([ready, this.#ended.then(() => false)]);
  }

  /** As `kill -9`. The process is gone for all that matters when this returns; `ended` says when it is reaped. */
  kill(): void {
    this.#child?.kill("SIGKILL");
  }

  /** Whether the witness has seen a flush begin and not end, just now. */
  get flushing(): boolean {
    const tail = existsSync(this.#trace) ? readFileSync(this.#trace, "latin1").slice(-64).trimEnd() : "";
    return !/(^|\n)E [^\n]*$/.test(tail);
  }

  /** Reads what the witness wrote before the end. */
  last(): Last {
    const lines = existsSync(this.#trace) ? readFileSync(this.#trace, "utf8").trimEnd().split("\n") : [];
    const began = new Map<string, bigint>();
    let [step, durableBeganNs, flushes]: [Last["step"], bigint, number] = [undefined, 0n, 0];
    for (const line of lines) {
      const [letter, flush = "", ns = "0"] = line.split(" ");
      if (letter !== "D" && letter !== "B" && letter !== "E") continue;
      step = letter;
      if (letter === "B") began.set(flush, BigInt(ns));
      if (letter !== "E") continue;
      durableBeganNs = began.get(flush) ?? durableBeganNs;
      flushes++;
    }
    return { step, durableBeganNs, flushes };
  }

  /** The end of the server's log, for reports. */
  logTail(): string {
    const path = join(this.#folder, "server.log");
    return existsSync(path) ? readFileSync(path, "utf8").slice(-2000) : "(no log)";
  }

  get #trace(): string {
    return join(this.#folder, "flushes.trace");
  }
}
