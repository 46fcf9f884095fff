/**
 * A deliberate break of the code, and the tests that must notice it.
 */

/** One break. `find` stands exactly once in the file. */
export interface Mutant {
  /** What is broken, in words; unique. */
  readonly name: string;
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  /** Test files of which one must fail. */
  readonly tests: readonly string[];
  /** Part of the name of a test that must be among the failing ones. */
  readonly rule: string;
}

/** What became of a mutant. Only `killed` is good. */
export type Verdict = "killed" | "survived" | "killed by other tests only" | "does not apply" | "tests did not run";

/** How often `find` stands in a text; a mutant applies when it is once. */
export function occurrences(text: string, find: string): number {
  return text.split(find).length - 1;
}
