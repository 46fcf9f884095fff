/**
 * How the tool ends: one exit code per kind of trouble (README and docs/operating.md list them), and the error that
 * carries one together with what to do about it.
 */

/** Codes that scripts may rely on. */
export const exitCodes = {
  ok: 0,
  /** Something unforeseen, or an answer of the server that has no code of its own. */
  failed: 1,
  /** Wrong arguments or configuration. */
  usage: 2,
  /** The folder or database belongs to another running process. */
  inUse: 3,
  /** Another process runs under this node's name, or the store went back on what it had committed. */
  ownership: 4,
  /** The store cannot be opened, read or written. */
  store: 5,
  /** No server answers. */
  unreachable: 6,
  notFound: 7,
  /** The state of the transaction forbids it. */
  refused: 8,
  portTaken: 9,
} as const;

/** Key of the table. */
export type ExitCode = keyof typeof exitCodes;

/** Ends the command: `message` says what was met, `advice` (one line each) what to do. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly exit: ExitCode;
  readonly advice: readonly string[];
  constructor(exit: ExitCode, message: string, advice: readonly string[] = [], options: ErrorOptions = {}) {
    super(message, options);
    this.exit = exit;
    this.advice = advice;
  }
}
