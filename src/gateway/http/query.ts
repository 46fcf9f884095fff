/**
 * Values of query strings. Empty means "not given" everywhere.
 */
import { type Status, statuses, type TransType } from "../../core/transaction.js";
import type { Filter } from "../../ports/store.js";
import { InvalidInput, invalid } from "../../wire/invalid.js";
import { readTransType } from "../../wire/submission.js";

/** Whole number, `undefined` when not given; DTM's words otherwise (S-HTTP-55). @throws InvalidInput */
export function readInteger(text: string): number | undefined {
  if (text === "") return undefined;
  if (/^[+-]?\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidInput(`convert to int error: ${/^[\w.-]{1,32}$/.test(text) ? text : "text"}`);
}

const limitDefault = 100;
const limitMax = 1000;

/** Size of a page: 1 to 1000; 0 and below, which meant "no limit", is the largest (S-HTTP-58). */
export function readLimit(text: string): number {
  const limit = readInteger(text) ?? limitDefault;
  return limit <= 0 ? limitMax : Math.min(limit, limitMax);
}

/** A status's own word. @throws InvalidInput for any other */
export function readStatus(text: string): Status | undefined {
  if (text === "") return undefined;
  const status = statuses.find((known) => known === text);
  if (status === undefined) throw invalid("status", "unknown status", `one of ${statuses.join(", ")}`);
  return status;
}

/** A type's own word. @throws InvalidInput for any other */
export function readType(text: string): TransType | undefined {
  return text === "" ? undefined : readTransType(text);
}

/** Filter of DTM's `all`; times are milliseconds since the epoch. */
export function readFilter(query: (name: string) => string): Filter {
  return {
    status: readStatus(query("status")),
    type: readType(query("transType")),
    createdFromMs: readInteger(query("createTimeStart")),
    createdToMs: readInteger(query("createTimeEnd")),
  };
}
