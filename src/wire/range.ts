/**
 * Whole numbers of options within their ranges (D25), and the `request_timeout` of single steps and branches.
 */
import { classOf, invalid } from "./invalid.js";
import type { InputLimits } from "./limits.js";

/** The number, `undefined` for 0, which is "not given" (D23). @throws InvalidInput */
export function inRange(field: string, value: number, max: number): number | undefined {
  if (value === 0) return undefined;
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  const met = value > max ? "too large a number" : classOf(value);
  throw invalid(field, met, needed(max));
}

/**
 * Seconds that calls of one step or branch may take, as a number or as its digits. Those are what clients send: DTM's
 * own server takes texts only in these places, and passes over those that it does not know. @throws InvalidInput
 */
export function readOwnTimeout(sent: unknown, field: string, { options }: InputLimits): number | undefined {
  if (sent === undefined || sent === null || sent === "") return undefined;
  const max = options.requestTimeoutS;
  const value = typeof sent === "string" && /^\d+$/.test(sent) ? Number(sent) : sent;
  if (typeof value === "number") return inRange(field, value, max);
  throw invalid(field, classOf(sent), needed(max));
}

const needed = (max: number) => `0 (default) or a whole number from 1 to ${max}`;
