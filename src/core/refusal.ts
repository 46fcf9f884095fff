/**
 * Refusals that several requests share.
 */
import { type Refusal, refused } from "./input.js";
import type { Transaction, TransType } from "./transaction.js";

/** A gid that nobody knows; DTM's words (S-HTTP-39) with D4's code. */
export function notFound(): Refusal {
  return refused("NOT_FOUND", "no TransGlobal with gid: unknown found");
}

/** A gid that belongs to a transaction of another type (D21). */
export function otherType(tx: Transaction, wanted: TransType): Refusal {
  return refused("REFUSED", `gid ${tx.gid}: trans type is '${tx.type}', needed '${wanted}'. FAILURE`);
}
