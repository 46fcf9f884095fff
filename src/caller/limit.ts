/**
 * The end of a call, for all protocols: its answer, its deadline or its owner's ending, whichever comes first; the
 * others count for nothing any more.
 */
import type { Answer } from "../ports/caller.js";
import type { Ending } from "./ending.js";
import { timedOut, unknown } from "./result.js";

/** Ends a call once: by its answer, its deadline or the ending. The deadline begins when it is made. */
export class Limit {
  readonly #resolve: (answer: Answer) => void;
  readonly #ending: Ending;
  readonly #timer: NodeJS.Timeout;
  #stop: number | undefined;
  #abort: (() => void) | undefined;
  #settled = false;

  constructor(timeoutMs: number, ending: Ending, resolve: (answer: Answer) => void) {
    this.#resolve = resolve;
    this.#ending = ending;
    this.#timer = setTimeout(() => this.#give(timedOut(`no answer within ${timeoutMs} ms`)), timeoutMs);
    const giveUp = () => this.#give(unknown("the call was given up by its owner"));
    if (ending.isOver) giveUp();
    else this.#stop = ending.add(giveUp);
  }

  /** Whether the call has ended already: by an ending that came before it began. */
  get isOver(): boolean {
    return this.#settled;
  }

  /** How to end what is under way, when deadline or ending come first. */
  guard(abort: () => void): void {
    this.#abort = abort;
  }

  /** The first answer counts. */
  settle(answer: Answer): void {
    if (this.#settled) return;
    this.#settled = true;
    clearTimeout(this.#timer);
    if (this.#stop !== undefined) this.#ending.remove(this.#stop);
    this.#resolve(answer);
  }

  #give(answer: Answer): void {
    const abort = this.#abort;
    this.settle(answer);
    abort?.();
  }
}
