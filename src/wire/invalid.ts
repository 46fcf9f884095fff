/**
 * Bad input as a value that travels up: the only thing that decoders throw. Caught in one place per protocol
 * (`refusalOf`), so that parsers read straight ahead. Messages name the field and the class of value met, never the
 * value itself: nothing a client sent is echoed into a log or an answer.
 */
import type { ErrorCode } from "../core/errors.js";
import { type Refusal, refused } from "../core/input.js";

/** What was sent cannot be taken; `refusal` is the whole answer. */
export class InvalidInput extends Error {
  override readonly name = "InvalidInput";
  readonly refusal: Refusal;

  constructor(message: string, code: ErrorCode = "BAD_REQUEST") {
    super(message);
    this.refusal = refused(code, message);
  }
}

/** `field: met met, needed needed`, as 400. */
export function invalid(field: string, met: string, needed: string): InvalidInput {
  return new InvalidInput(`${field}: ${met} met, ${needed} needed`);
}

/** As `invalid`, where the fault is size alone: 413. */
export function tooLarge(field: string, met: string, needed: string): InvalidInput {
  return new InvalidInput(`${field}: ${met} met, ${needed} needed`, "TOO_LARGE");
}

/** The class of a decoded JSON value, in words for people. */
export function classOf(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (typeof value === "string") return value === "" ? "empty text" : "text";
  if (typeof value !== "number") return typeof value;
  if (!Number.isFinite(value)) return "infinite number";
  if (value < 0) return "negative number";
  return Number.isInteger(value) ? "number" : "fraction";
}
