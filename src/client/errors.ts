// The errors that cross the boundary between user code and the framework: what a participant throws to say "no"
// (Failure) or "not yet" (Ongoing), and what the client throws. Recognised by a registered symbol, not by
// `instanceof`, so that two copies of this package in one process understand each other; recognised through `cause`,
// so that wrapping keeps meaning.

/** Stable names of all errors thrown by the client; safe to switch on and to log. */
export type ErrorCode =
  | "DTX_FAILURE"
  | "DTX_ONGOING"
  | "DTX_DUPLICATED"
  | "DTX_INVALID_BRANCH"
  | "DTX_INVALID_INPUT"
  | "DTX_UNREACHABLE"
  | "DTX_REJECTED"
  | "DTX_NON_DETERMINISM"
  | "DTX_BARRIER";

const brand: unique symbol = Symbol.for("tandem.error") as never;

/** What may accompany an error; every member ends up as a property of the error. */
export interface ErrorContext {
  readonly cause?: unknown;
  readonly gid?: string;
  readonly branchId?: string;
  /** One sentence for the person who reads the log: what to do about it. */
  readonly hint?: string;
}

/** Base of all errors made here. `message` is what happened, `hint` what to do. */
export class TandemError extends Error {
  readonly code: ErrorCode;
  readonly gid: string | undefined;
  readonly branchId: string | undefined;
  readonly hint: string | undefined;
  readonly [brand]: ErrorCode;

  constructor(code: ErrorCode, message: string, context: ErrorContext = {}) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause });
    this.code = code;
    this[brand] = code;
    this.gid = context.gid;
    this.branchId = context.branchId;
    this.hint = context.hint;
  }
}

/** For what a user gave and cannot be taken: what is wrong with it, and in `hint` what would do. */
export const invalidInput = (message: string, context?: ErrorContext): TandemError =>
  new TandemError("DTX_INVALID_INPUT", message, context);

/**
 * A definite business "no" (HTTP 409, gRPC ABORTED): the global transaction is rolled back. Only `action`, `try`, a
 * check-back and a workflow step may say so; from any other op it is asked again for ever. `details` is any JSON
 * value; it travels in the 409 body.
 */
export class Failure extends TandemError {
  override readonly name = "Failure";
  readonly details: unknown;

  constructor(message = "", context: ErrorContext & { readonly details?: unknown } = {}) {
    super("DTX_FAILURE", message, context);
    this.details = context.details;
  }
}

/** "Not finished, ask again at the same interval" (HTTP 425, gRPC FAILED_PRECONDITION). Never rolls anything back. */
export class Ongoing extends TandemError {
  override readonly name = "Ongoing";

  constructor(message = "", context: ErrorContext = {}) {
    super("DTX_ONGOING", message, context);
  }
}

/**
 * The database broke a cycle of waiting deliveries by ending this transaction before any business code ran in it.
 * Several deliveries that wait for one that rolls back meet this in InnoDB as a matter of course; trying again at once
 * is right.
 */
export class LocksLost extends Ongoing {}

/**
 * The local transaction of a message was already committed, or was given up by a check-back. Never sent to a caller.
 */
export class Duplicated extends TandemError {
  override readonly name = "Duplicated";

  constructor(message = "", context: ErrorContext = {}) {
    super("DTX_DUPLICATED", message, context);
  }
}

/**
 * A delivery that does not say which branch it is for, or says it in a form that no barrier row can hold (HTTP 400).
 */
export class InvalidBranch extends TandemError {
  override readonly name = "InvalidBranch";

  constructor(message: string, context: ErrorContext = {}) {
    super("DTX_INVALID_BRANCH", message, context);
  }
}

/**
 * A replay met other steps than the first run. Answered "not yet" (425): nothing may go on until the code fits the
 * record again.
 */
export class NonDeterminism extends TandemError {
  override readonly name = "NonDeterminism";

  constructor(message: string, gid: string) {
    const hint =
      "deploy the handler this workflow was started with; changed steps belong into a workflow of another name";
    super("DTX_NON_DETERMINISM", message, { gid, hint });
  }
}

/**
 * The barrier could not be asked: table missing, row vanished, database away. Answered as 500, so the delivery comes
 * again.
 */
export class BarrierError extends TandemError {
  override readonly name = "BarrierError";

  constructor(message: string, context: ErrorContext = {}) {
    super("DTX_BARRIER", message, context);
  }
}

/** Wrapped deeper than this an error is not looked at; it also ends the walk through a `cause` cycle. */
const causeDepthMax = 32;

/**
 * The first code found on the error or down its `cause` chain, `undefined` for foreign errors.
 * The outermost wins: an `Ongoing` thrown because of a `Failure` is an `Ongoing`.
 */
export function errorCode(error: unknown): ErrorCode | undefined {
  return findBranded(error)?.[brand];
}

/** The branded error itself, to read `details`, `gid` or `hint` from; same search as `errorCode`. */
export function findBranded(error: unknown): TandemError | undefined {
  let current: unknown = error;
  for (let depth = 0; depth < causeDepthMax; depth++) {
    if (typeof current !== "object" || current === null) return undefined;
    if (typeof (current as Partial<TandemError>)[brand] === "string") return current as TandemError;
    current = (current as { cause?: unknown }).cause;
  }
  return undefined;
}

/** True for a business refusal, however deeply wrapped. */
export const isFailure = (error: unknown): boolean => errorCode(error) === "DTX_FAILURE";

/** True for "not yet", however deeply wrapped. */
export const isOngoing = (error: unknown): boolean => errorCode(error) === "DTX_ONGOING";

/** True if a message's local transaction had been decided before. */
export const isDuplicated = (error: unknown): boolean => errorCode(error) === "DTX_DUPLICATED";

/** Text of the innermost cause: `fetch failed` says less than `connect ECONNREFUSED 127.0.0.1:36789`. */
export function reasonOf(error: unknown): string {
  let inner = error;
  for (let depth = 0; depth < causeDepthMax; depth++) {
    const { cause } = Object(inner) as { readonly cause?: unknown };
    if (cause === undefined || cause === null) break;
    inner = cause;
  }
  return messageOf(inner);
}

/** Text of anything thrown; never empty, but for a `Failure` or `Ongoing` made without text. */
export function messageOf(error: unknown): string {
  if (error instanceof Error) return error.message || (error instanceof TandemError ? "" : error.name);
  return typeof error === "string" && error !== "" ? error : `thrown value: ${String(error)}`;
}
