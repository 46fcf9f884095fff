/**
 * Participants over HTTP, plain and JSON-RPC: puts the request together, counts the time, judges the answer.
 * One deadline covers everything: waiting for a connection, connecting, headers and the whole body.
 */
import { setMaxListeners } from "node:events";
import type { Answer, Call } from "../ports/caller.js";
import type { Exchange } from "./exchange.js";
import { jsonRpcRequest, plainRequest } from "./request.js";
import { judgeHttp, judgeJsonRpc, unknown } from "./result.js";
import type { HttpUrl } from "./url.js";

/** Makes one call over `exchange`. Never rejects. */
export function callHttp(
  exchange: Exchange,
  strict: boolean,
  url: HttpUrl,
  call: Call,
  signal: AbortSignal,
): Promise<Answer> {
  const request = url.kind === "json-rpc" ? jsonRpcRequest(url, call) : plainRequest(url, call);
  if ("invalid" in request) return Promise.resolve(unknown(request.invalid));
  const judge = url.kind === "json-rpc" ? judgeJsonRpc : judgeHttp;
  return new Promise((resolve) => {
    const limit = new Limit(call.timeoutMs, signal, resolve);
    limit.guard(
      exchange.send(request, (result) =>
        limit.settle(result instanceof Error ? failed(result) : judge(result, strict)),
      ),
    );
  });
}

/** What went wrong on the way, with the innermost reason: that is the one that says something. */
function failed(error: Error): Answer {
  const { cause } = error;
  const inner = cause instanceof Error ? `: ${cause.message}` : "";
  return unknown(`${error.message || (error as NodeJS.ErrnoException).code || error.name}${inner}`);
}

/** Ends a call once: by its answer, its deadline or the signal. Shared by all protocols. */
export class Limit {
  readonly #resolve: (answer: Answer) => void;
  readonly #signal: AbortSignal;
  readonly #timer: NodeJS.Timeout;
  readonly #onAbort = () => this.#give("the call was given up by its owner");
  #abort: (() => void) | undefined;
  #settled = false;

  constructor(timeoutMs: number, signal: AbortSignal, resolve: (answer: Answer) => void) {
    this.#resolve = resolve;
    this.#signal = signal;
    this.#timer = setTimeout(() => this.#give(`no answer within ${timeoutMs} ms`), timeoutMs);
    setMaxListeners(0, signal); // one signal may end all calls of an owner: many listeners are no leak
    signal.addEventListener("abort", this.#onAbort);
  }

  /** How to end what is under way; called at once where the call has ended by a deadline before. */
  guard(abort: () => void): void {
    if (!this.#settled) this.#abort = abort;
    if (this.#signal.aborted) this.#onAbort();
  }

  /** The first answer counts. */
  settle(answer: Answer): void {
    if (this.#settled) return;
    this.#settled = true;
    clearTimeout(this.#timer);
    this.#signal.removeEventListener("abort", this.#onAbort);
    this.#resolve(answer);
  }

  #give(why: string): void {
    const abort = this.#abort;
    this.settle(unknown(why));
    abort?.();
  }
}
