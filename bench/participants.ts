// The load generator's side of the participants' process: starts it, and tells which transactions completed and when.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { Socket } from "node:net";
import { fileURLToPath } from "node:url";

/** Called for each completed transaction with its index and the instant of its last call. */
export type OnCompleted = (index: number, atUs: number) => void;

/** A running process of participants. One for the whole benchmark, used by one round at a time. */
export class Participants {
  readonly port: number;
  readonly #process: ChildProcess;
  #onCompleted: OnCompleted = () => {};
  readonly #repeated: number[] = [];
  #rest: Buffer = Buffer.alloc(0);

  private constructor(child: ChildProcess, port: number, reports: Socket) {
    this.#process = child;
    this.port = port;
    reports.on("data", (bytes) => this.#read(bytes));
  }

  static async start(): Promise<Participants> {
    const program = fileURLToPath(new URL("./participant.ts", import.meta.url));
    const child = fork(program, {
      execArgv: ["--import", "tsx"],
      stdio: ["ignore", "inherit", "inherit", "pipe", "ipc"],
    });
    const reports = child.stdio[3];
    if (!(reports instanceof Socket)) throw new Error("no pipe to the participants");
    const [message] = (await once(child, "message")) as [{ readonly port: number }];
    child.once("exit", (code, signal) => {
      if (signal !== "SIGTERM") throw new Error(`the participants died: ${code ?? signal}`);
    });
    return new Participants(child, message.port, reports);
  }

  /** Replaces the listener. */
  listen(onCompleted: OnCompleted): void {
    this.#onCompleted = onCompleted;
  }

  /**
   * Calls so far that came a second time or should not have come, of transactions with these indices: a coordinator may
   * still repeat a call when another one is at work.
   */
  repeated(from: number, to: number): number {
    return this.#repeated.filter((index) => index >= from && index < to).length;
  }

  close(): void {
    this.#process.kill("SIGTERM");
  }

  #read(bytes: Buffer): void {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const whole = all.length - (all.length % 16);
    for (let at = 0; at < whole; at += 16) {
      const index = all.readDoubleLE(at);
      if (index < 0) this.#repeated.push(-1 - index);
      else this.#onCompleted(index, all.readDoubleLE(at + 8));
    }
    this.#rest = all.subarray(whole);
  }
}
