/**
 * The digest of a submit (D2): equal exactly when the content as sent is equal, whatever the protocol, the order of
 * names and the place of the payloads. Stored with the transaction: its definition can never change.
 */
import { hash } from "node:crypto";
import type { Options, TransType } from "../core/transaction.js";

/** What counts as content. */
export interface Content {
  readonly type: TransType;
  readonly options: Options;
  readonly steps: readonly { readonly action: string; readonly compensate: string; readonly payload: Uint8Array }[];
  readonly queryPrepared: string;
  /** Canonical form. */
  readonly customData: string;
}

/**
 * sha-256, hex, over a JSON line that holds everything but the payloads, and then the payloads. `wait_result` and
 * `branch_headers` are left out (D2); so is a saga's `concurrent`, which is only informative (S-OPT-6) and which gRPC
 * cannot carry (S-OPT-11).
 */
export function digestOf({ type, options, steps, queryPrepared, customData }: Content): string {
  const line = JSON.stringify([
    type,
    options.timeoutToFailS ?? 0,
    options.requestTimeoutS ?? 0,
    options.retryIntervalS ?? 0,
    options.retryLimit ?? 0,
    type !== "saga" && options.concurrent,
    queryPrepared,
    customData,
    steps.map(({ action, compensate, payload }) => [action, compensate, payload.length]),
  ]);
  return hash("sha256", Buffer.concat([Buffer.from(`${line}\n`), ...steps.map(({ payload }) => payload)]), "hex");
}
