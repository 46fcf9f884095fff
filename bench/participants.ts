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
  #repeated = 0;
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

  /** Replaces the listener; forgets the count of repeated calls. */
  listen(onCompleted: OnCompleted): void {
    this.#onCompleted = onCompleted;
    this.#repeated = 0;
  }

  /** Calls since {@link listen} that came a second time or should not have come. */
  get repeated(): number {
    return this.#repeated;
  }

  close(): void {
    this.#process.kill("SIGTERM");
  }

  #read(bytes: Buffer): void {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const whole = all.length - (all.length % 16);
    for (let at = 0; at < whole; at += 16) {
      const index = all.readDoubleLE(at);
      if (index < 0) this.#repeated++;
      else this.#onCompleted(index, all.readDoubleLE(at + 8));
    }
    this.#rest = all.subarray(whole);
  }
}
