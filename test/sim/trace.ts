/**
 * What a run said: one line for each thing that happened, at its virtual time. The hash of all lines is the run's
 * fingerprint; the lines themselves are kept only for the story of a failing seed.
 */
import { createHash } from "node:crypto";
import type { Scheduler } from "./scheduler.js";

/** Lines hashed at once. */
const chunkLines = 512;

export class Trace {
  readonly #hash = createHash("sha256");
  readonly #lines: string[] = [];
  readonly #chunk: string[] = [];
  readonly #keep: boolean;
  readonly #startMs: number;
  readonly #scheduler: Pick<Scheduler, "nowMs">;

  constructor(scheduler: Pick<Scheduler, "nowMs">, keep: boolean) {
    this.#scheduler = scheduler;
    this.#startMs = scheduler.nowMs;
    this.#keep = keep;
  }

  /** Empty unless the lines are kept. */
  get lines(): readonly string[] {
    return this.#lines;
  }

  say(line: string): void {
    const micros = Math.round((this.#scheduler.nowMs - this.#startMs) * 1000);
    this.#chunk.push(`${micros} ${line}`);
    if (this.#keep) this.#lines.push(`${(micros / 1e6).toFixed(4).padStart(9)} s  ${line}`);
    if (this.#chunk.length >= chunkLines) this.#flush();
  }

  hash(): string {
    this.#flush();
    return this.#hash.digest("hex").slice(0, 16);
  }

  #flush(): void {
    this.#hash.update(this.#chunk.join("\n"));
    this.#chunk.length = 0;
  }
}
