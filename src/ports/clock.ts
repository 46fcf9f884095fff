/**
 * Time and chance, from outside: the engine has no other source of them, so a simulation decides both.
 */

/** Ends a timer that has not fired; harmless afterwards. */
export type Cancel = () => void;

export interface Clock {
  /** Milliseconds since the epoch; never runs backwards within a process. */
  nowMs(): number;
  /** Milliseconds since some start, unaffected by changes of the wall clock. */
  monotonicMs(): number;
  /** Runs `task` once after `delayMs` (at most an hour ahead, D25). A pending timer does not keep the process alive. */
  after(delayMs: number, task: () => void): Cancel;
}

/** Uniform in [0, 1). */
export type Random = () => number;
