/**
 * Participants over HTTP, plain and JSON-RPC: puts the request together, counts the time, judges the answer.
 * One deadline covers everything: waiting for a connection, connecting, headers and the whole body.
 */
import type { Answer, Call } from "../ports/caller.js";
import type { Ending } from "./ending.js";
import type { Exchange } from "./exchange.js";
import { Limit } from "./limit.js";
import { jsonRpcRequest, plainRequest } from "./request.js";
import { judgeHttp, judgeJsonRpc, unknown } from "./result.js";
import type { HttpUrl } from "./url.js";

/** Makes one call over `exchange`. Never rejects. */
export function callHttp(
  exchange: Exchange,
  strict: boolean,
  url: HttpUrl,
  call: Call,
  ending: Ending,
): Promise<Answer> {
  const request = url.kind === "json-rpc" ? jsonRpcRequest(url, call) : plainRequest(url, call);
  if ("invalid" in request) return Promise.resolve(unknown(request.invalid));
  const judge = url.kind === "json-rpc" ? judgeJsonRpc : judgeHttp;
  return new Promise((resolve) => {
    const limit = new Limit(call.timeoutMs, ending, resolve);
    if (limit.isOver) return;
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
