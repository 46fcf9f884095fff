/**
 * The end of a call, for all protocols: its answer, its deadline or the signal, whichever comes first; the others count
 * for nothing any more.
 */
import { setMaxListeners } from "node:events";
import type { Answer } from "../ports/caller.js";
import { timedOut, unknown } from "./result.js";

/** Ends a call once: by its answer, its deadline or the signal. The deadline begins when it is made. */
export class Limit {
  readonly #resolve: (answer: Answer) => void;
  readonly #signal: AbortSignal;
  readonly #timer: NodeJS.Timeout;
  readonly #onAbort = () => this.#give(unknown("the call was given up by its owner"));
  #abort: (() => void) | undefined;
  #settled = false;

  constructor(timeoutMs: number, signal: AbortSignal, resolve: (answer: Answer) => void) {
    this.#resolve = resolve;
    this.#signal = signal;
    this.#timer = setTimeout(() => this.#give(timedOut(`no answer within ${timeoutMs} ms`)), timeoutMs);
    setMaxListeners(0, signal); // one signal may end all calls of an owner: many listeners are no leak
    if (signal.aborted) this.#onAbort();
    else signal.addEventListener("abort", this.#onAbort);
  }

  /** Whether the call has ended already: by a signal that was given before it began. */
  get isOver(): boolean {
    return this.#settled;
  }

  /** How to end what is under way, when deadline or signal come first. */
  guard(abort: () => void): void {
    this.#abort = abort;
  }

  /** The first answer counts. */
  settle(answer: Answer): void {
    if (this.#settled) return;
    this.#settled = true;
    clearTimeout(this.#timer);
    this.#signal.removeEventListener("abort", this.#onAbort);
    this.#resolve(answer);
  }

  #give(answer: Answer): void {
    const abort = this.#abort;
    this.settle(answer);
    abort?.();
  }
}
