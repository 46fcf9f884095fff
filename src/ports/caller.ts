/**
 * How a participant is called. One adapter per protocol in `src/caller`, picked by the URL.
 */
import type { Outcome, Protocol, TransType } from "../core/transaction.js";

/** Everything a participant is told. */
export interface Call {
  readonly gid: string;
  readonly type: TransType;
  readonly protocol: Protocol;
  /** `00` for check-backs and callbacks. */
  readonly branchId: string;
  /** `msg` for check-backs, the workflow's name for callbacks. */
  readonly op: string;
  readonly url: string;
  readonly payload: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

/** The headers of `under` and `over`; a name that both have, in whatever case, is `over`'s. */
export function joinHeaders(under: Call["headers"], over: Call["headers"]): Call["headers"] {
  const names = new Set(Object.keys(over).map((name) => name.toLowerCase()));
  const kept = Object.entries(under).filter(([name]) => !names.has(name.toLowerCase()));
  return { ...Object.fromEntries(kept), ...over };
}

/**
 * Says which headers a call carries besides its own, a participant's token for instance; asked at each call, tries
 * again included. What it says beats what submitters said. While it throws, the call waits for its next try.
 */
export type HeaderProvider = (call: Call) => Call["headers"] | Promise<Call["headers"]>;

/** What a participant answered. */
export interface Answer {
  readonly outcome: Outcome;
  /** Body or message, at most 1,024 characters of it; for `unknown` what went wrong. */
  readonly detail: string;
  /**
   * With `unknown`: the target answered in good order all the same, it just did not say yes or no (404, gRPC
   * UNIMPLEMENTED). Somebody has to mend the call, but the target is not sick: its breaker stays closed.
   */
  readonly isWell?: true;
  /** With `unknown`: the call's deadline passed. It is given up then, so an answer that comes later is not seen. */
  readonly timedOut?: true;
}

export interface Caller {
  /**
   * Makes one call. Never rejects: not reaching a participant is an answer (`unknown`). Ends by the call's own
   * deadline,
   * and within 50 ms of `signal`.
   */
  call(call: Call, signal: AbortSignal): Promise<Answer>;
  close(): Promise<void>;
}

/**
 * Where a call goes: `origin` shares connections and the limit of calls in flight, `target` (without query) a breaker.
 */
export interface Target {
  readonly origin: string;
  readonly target: string;
}

/** Why no caller can take a URL; the submit is then refused with these words (D4). */
export interface Callers extends Caller {
  /** Target of a URL as a transaction of that protocol would call it, or why that is impossible. */
  locate(protocol: Protocol, url: string): Target | { readonly invalid: string };
}
