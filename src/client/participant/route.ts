// A participant's endpoint, free of any web framework: path in, branch and payload out, answer back. Adapters turn
// their framework's request into an Incoming and send the HttpAnswer; nothing else is needed to support one more.

import type { CheckBack } from "../barrier/core.js";
import { barrierFrom, type Delivery } from "../barrier/delivery.js";
import { handling } from "../context.js";
import { errorCode, Failure, findBranded, InvalidBranch, invalidInput, messageOf } from "../errors.js";
import type { BranchIdentity } from "../identity.js";
import { errorAnswer, type HttpAnswer, toHttp } from "../result.js";

/** Larger bodies are refused by adapters that read them themselves. */
export const bodyBytesMax = 10 * 1024 * 1024;

/** What an adapter knows of a request. */
export interface Incoming {
  /** Path and query, or a whole URL. */
  readonly url: string;
  /** The body as received. */
  readonly body: string | Uint8Array;
  /** A header's (or metadata's) text by its lower-case name, where the adapter can read it. */
  readonly header?: (name: string) => string | undefined;
  /** Default: a process warning. */
  readonly onError?: OnError;
}

/**
 * Told of every delivery that ended in an error nobody expected, and is therefore called again: whose it was, what went
 * wrong and what to do, in one sentence, and the error itself. A refusal is no error. Made for a logger.
 */
export type OnError = (message: string, error: unknown) => void;

/** Settings that all adapters take. */
export interface ServeRoutesOptions {
  readonly onError?: OnError;
}

/** One endpoint, to be mounted at `path` for POST and GET (the coordinator calls with GET when there is no payload). */
export interface Route {
  readonly path: string;
  /** Never rejects. */
  handle(incoming: Incoming): Promise<HttpAnswer>;
}

/** What a handler gets besides its delivery: the JSON payload, `undefined` where there is none; and what came in. */
export type Handler = (delivery: Delivery, payload: unknown, incoming: Incoming) => unknown;

/** Ops whose refusal means something; from all others a refusal is asked again for ever. */
const mayRefuse = new Set(["action", "try", "msg"]);

/**
 * A route around a handler. The handler's value is answered with 200, `Failure` with 409, `Ongoing` with 425, anything
 * else it throws with 500. `guard.run` results are unwrapped: the caller gets the value, or DTM's success.
 */
export function route(path: string, handler: Handler): Route {
  return {
    path,
    handle: (incoming) =>
      answered(incoming, async () => {
        const delivery = barrierFrom({ url: incoming.url });
        try {
          return unwrapped(await handling(delivery, async () => handler(delivery, payloadOf(incoming), incoming)));
        } catch (error) {
          throw mustSucceed(delivery.branch, error);
        } finally {
          delivery.end();
        }
      }),
  };
}

/** Runs a handler, and tells of an unexpected error what is to be done about it. */
export function answered(incoming: Incoming, handler: () => unknown): Promise<HttpAnswer> {
  return toHttp(handler, (error) => tell(incoming.onError ?? warn, error, incoming.url));
}

/** `url` says whose delivery it was: its ids stand in the query. */
export function tell(onError: OnError, error: unknown, url: string): void {
  const [path = "", query] = url.split("?");
  const ids = new URLSearchParams(query);
  const [op, gid, branch] = ["op", "gid", "branch_id"].map((key) => ids.get(key) || `(no ${key})`);
  const hint = findBranded(error)?.hint ?? "it is called again until it works; to refuse it for good throw Failure";
  onError(`${op} of ${gid}/${branch} at ${path}: ${messageOf(error)} (${hint})`, error);
}

/** The default of `onError`. */
export const warn: OnError = (message, error) =>
  process.emitWarning(message, {
    ...{ type: "TandemWarning", code: "DTX_HANDLER" },
    detail: (error as Error | undefined)?.stack ?? "",
  });

/** The check-back of a service: one route for all its messages. Answers 200 only if the row proves the commit. */
export function checkBack(path: string, guard: { queryPrepared(source: Delivery): Promise<CheckBack> }): Route {
  return route(path, async (delivery) => {
    if ((await guard.queryPrepared(delivery)) === "committed") return;
    throw new Failure("the local transaction did not commit and never will", { gid: delivery.branch.gid });
  });
}

/** The first route for the path of a request, `undefined` if there is none. A trailing slash does not matter. */
export function matchRoute(routes: readonly Route[], url: string): Route | undefined {
  const path = new URL(url, "http://localhost").pathname;
  return routes.find((one) => one.path === path || `${one.path}/` === path);
}

/** The first of a header's values. */
export const textOf = (values: string | readonly string[] | undefined): string | undefined =>
  typeof values === "string" ? values : values?.[0];

/** The answer to a body that could not be read, or to anything else that went wrong before a route was reached. */
export const brokenRequest = (error: unknown): HttpAnswer => errorAnswer(error);

/**
 * A refusal where none is possible becomes an ordinary error, said aloud: the coordinator will come again until it
 * succeeds.
 */
export function mustSucceed({ op, gid, branchId }: BranchIdentity, error: unknown): unknown {
  if (errorCode(error) !== "DTX_FAILURE" || mayRefuse.has(op)) return error;
  return invalidInput(`${op} of ${gid}/${branchId} refused: ${messageOf(error)}. It cannot refuse`, {
    ...{ cause: error, gid, branchId },
    hint: "make it get through: repair what is in its way, or note it for a person and return",
  });
}

const barrierKinds: readonly unknown[] = ["executed", "duplicate", "null-compensation", "suspended"];

/** A result of the barrier by its value, which a skipped delivery has none of; anything else as it is. */
export function unwrapped(result: unknown): unknown {
  if (typeof result !== "object" || result === null) return result;
  const { kind, value, ...others } = result as { readonly kind?: unknown; readonly value?: unknown };
  return barrierKinds.includes(kind) && Object.keys(others).length === 0 ? value : result;
}

function payloadOf({ body }: Incoming): unknown {
  const text = typeof body === "string" ? body : new TextDecoder().decode(body);
  if (text.trim() === "") return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new InvalidBranch("the body is not JSON", {
      cause,
      hint: "send the payload as JSON text, or nothing where there is none",
    });
  }
}
