// The coordinator as the client sees it: operations with JSON bodies, answered by a status and a JSON object.
// Transports (HTTP here; gRPC, NATS and in-process elsewhere) are endpoints of this shape; failover and retries are
// the same for all.

import { invalidInput, reasonOf, TandemError } from "./errors.js";
import { type Telemetry, untold } from "./telemetry.js";

/**
 * Operations of DTM's API. `newGid` and `query` read; all others may be repeated with the same content without harm.
 */
export type Operation =
  | "newGid"
  | "prepare"
  | "submit"
  | "abort"
  | "registerBranch"
  | "prepareWorkflow"
  | "query"
  | "subscribe"
  | "unsubscribe"
  | "deleteTopic";

/** Members by DTM's names; for reading operations they become parameters. */
export type ApiBody = Readonly<Record<string, unknown>>;

/** An answer in HTTP's terms, whatever the transport. */
export interface ApiAnswer {
  readonly status: number;
  readonly body: ApiBody;
}

/** One address of a coordinator. */
export interface Endpoint {
  /** For messages to people. */
  readonly address: string;
  /** Resolves with every answer the coordinator gave; rejects when none came, also when `signal` ended the wait. */
  call(operation: Operation, body: ApiBody, signal: AbortSignal): Promise<ApiAnswer>;
  close?(): Promise<void>;
}

/** Settings of one call. */
export interface ApiOptions {
  readonly signal?: AbortSignal;
  /** Longest wait for one answer; default 10 s. */
  readonly timeoutMs?: number;
}

/** Time as the client sees it; a test kit gives one of its own. */
export interface ClientClock {
  nowMs(): number;
  /** Resolves after `ms`, rejects at once with the signal's reason when it is aborted. */
  pause(ms: number, signal?: AbortSignal): Promise<void>;
}

/** The coordinator behind all its endpoints. */
export interface Api {
  readonly clock: ClientClock;
  readonly telemetry: Telemetry;
  /**
   * Resolves with the answer that an endpoint gave. Asks again, at another endpoint, after a lost connection and after
   * 502, 503, 504; rejects with DTX_UNREACHABLE when that did not help either: then the request may or may not have
   * arrived.
   */
  call(operation: Operation, body: ApiBody, options?: ApiOptions): Promise<ApiAnswer>;
  close(): Promise<void>;
}

/** How often and how long a call is tried. */
export interface RetryPolicy {
  /** Tries in all, default 5. */
  readonly attempts: number;
  /** No try starts later than this after the first one, default 10 s. */
  readonly totalMs: number;
  /** Longest pause before the second try; it doubles with each further one, up to 2 s. Default 100 ms. */
  readonly firstBackoffMs: number;
}

/** Five tries within ten seconds: longer than a take-over by another node takes. */
export const defaultRetry: RetryPolicy = { attempts: 5, totalMs: 10_000, firstBackoffMs: 100 };

const defaultTimeoutMs = 10_000;
const backoffMaxMs = 2_000;

/** Tries endpoints in turn, starting with the one that answered last. */
export function failover(
  endpoints: readonly Endpoint[],
  policy: RetryPolicy = defaultRetry,
  clock: ClientClock = realClock,
  telemetry: Telemetry = untold,
): Api {
  if (endpoints.length === 0) {
    const hint = 'write createClient({ endpoints: ["http://host:36789"] })';
    throw invalidInput("the client has no endpoint", { hint });
  }
  let preferred = 0;

  async function attempt(at: Endpoint, operation: Operation, body: ApiBody, options: ApiOptions): Promise<ApiAnswer> {
    const limit = AbortSignal.timeout(options.timeoutMs ?? defaultTimeoutMs);
    const signal = options.signal === undefined ? limit : AbortSignal.any([limit, options.signal]);
    const answer = await at.call(operation, body, signal);
    if (!awaySoon.has(answer.status)) return answer;
    throw new Error(`${at.address} answered ${answer.status}: ${String(answer.body.message ?? "")}`);
  }

  return {
    clock,
    telemetry,
    async call(operation, body, options = {}) {
      const deadline = clock.nowMs() + policy.totalMs;
      for (let count = 1; ; count++) {
        options.signal?.throwIfAborted();
        const used = preferred;
        try {
          return await attempt(endpoints[used]!, operation, body, options);
        } catch (error) {
          options.signal?.throwIfAborted();
          const waitMs = Math.random() * Math.min(backoffMaxMs, policy.firstBackoffMs * 2 ** (count - 1));
          if (count >= policy.attempts || clock.nowMs() + waitMs > deadline)
            throw unreachable(endpoints, operation, body, error);
          // Calls that fail at the same time leave the endpoint once, not each in its turn.
          if (preferred === used) preferred = (used + 1) % endpoints.length;
          await clock.pause(waitMs, options.signal);
        }
      }
    },
    close: async () => {
      await Promise.all(endpoints.map((endpoint) => endpoint.close?.()));
    },
  };
}

/** No owner now, overloaded, or a proxy without a backend: another endpoint, or a little later, will do. */
const awaySoon = new Set([429, 502, 503, 504]);

const maybeArrived = "It may have arrived: ask query, or repeat with the same gid";

function unreachable(endpoints: readonly Endpoint[], operation: Operation, body: ApiBody, cause: unknown): TandemError {
  const where = endpoints.map(({ address }) => address).join(", ");
  const gid = typeof body.gid === "string" ? body.gid : undefined;
  return new TandemError("DTX_UNREACHABLE", `no coordinator answered ${operation} at ${where}: ${reasonOf(cause)}`, {
    cause,
    gid,
    hint: `does a coordinator run there (npx tandem serve)?${gid === undefined ? "" : ` ${maybeArrived}`}`,
  });
}

const realClock: ClientClock = {
  nowMs: () => Date.now(),
  pause: (ms, signal) =>
    new Promise((resolve, reject) => {
      const stop = () => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", stop);
        resolve();
      }, ms);
      if (signal?.aborted) stop();
      else signal?.addEventListener("abort", stop, { once: true });
    }),
};

/**
 * The coordinator said no: bad content (400), unknown gid (404), a state that does not allow it (409). `status` is its
 * answer's.
 */
export class Rejected extends TandemError {
  override readonly name = "Rejected";
  readonly status: number;

  constructor(operation: Operation, answer: ApiAnswer, gid?: string) {
    const said = String(answer.body.message ?? answer.body.dtm_result ?? "without a reason");
    super("DTX_REJECTED", `the coordinator answered ${operation} with ${answer.status}: ${said}`, {
      gid,
      ...(answer.status === 404 && { hint: 'is this a coordinator? An endpoint is its address, "http://host:36789"' }),
    });
    this.status = answer.status;
  }
}

/** The body of a 200 answer; throws `Rejected` for any other. */
export async function accepted(api: Api, operation: Operation, body: ApiBody, options?: ApiOptions): Promise<ApiBody> {
  const answer = await api.call(operation, body, options);
  if (answer.status === 200) return answer.body;
  throw new Rejected(operation, answer, typeof body.gid === "string" ? body.gid : undefined);
}
