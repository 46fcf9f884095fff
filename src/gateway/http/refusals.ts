/**
 * Refusals that no route makes: by the framework, by the HTTP parser, for unknown paths.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { type Refusal, refused } from "../../core/input.js";
import type { Log } from "../../ports/observer.js";
import { refusalOf } from "../failure.js";
import { type HttpAnswer, jsonType, textType } from "./answer.js";
import { BodyRefused } from "./body.js";
import type { Route } from "./route.js";

/** What the framework itself refuses, before a route is asked. */
export function refusalOfFramework(error: unknown, log: Log): Refusal {
  const { code, statusCode } = error as { readonly code?: string; readonly statusCode?: number };
  if (error instanceof BodyRefused) return error.refusal;
  if (code === "FST_ERR_BAD_URL") return refused("BAD_REQUEST", "path: malformed percent-encoding met");
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return refused("BAD_REQUEST", "request: it cannot be read");
  return refusalOf(error, log);
}

/** DTM's answer for what is not there; a known path with a slash too many is redirected (S-HTTP-5). */
export function notFoundAnswer(routes: readonly Route[]): (method: string, url: string) => HttpAnswer {
  const known = routes.map(({ methods, path }) => ({
    methods: new Set<string>(methods),
    pattern: new RegExp(`^${path.replaceAll(".", "\\.").replace(/:\w+/g, "[^/]+")}/$`),
  }));
  return (method, url) => {
    const at = url.indexOf("?");
    const path = at < 0 ? url : url.slice(0, at);
    if (!known.some(({ methods, pattern }) => methods.has(method) && pattern.test(path)))
      return { status: 404, type: textType, body: "404 page not found" };
    const location = path.slice(0, -1) + (at < 0 ? "" : url.slice(at));
    return { status: method === "GET" ? 301 : 307, type: textType, headers: { location }, body: "" };
  };
}

/**
 * Requests that are no HTTP, or never end: answered on the bare socket, then cut off. Where rubbish follows a whole
 * request whose answer is still to come, that answer is sent first, and nothing in its place.
 */
export function refuseBareSocket(error: Error & { readonly code?: string }, socket: Socket): void {
  const answering = answerInProgress(socket);
  if (error.code === "ECONNRESET" || !socket.writable || answering?.headersSent) {
    socket.destroy();
    return;
  }
  if (answering?.req.complete) {
    answering.shouldKeepAlive = false;
    answering.once("close", () => socket.destroy());
    return;
  }
  const { status, words } = rawRefusal(error.code);
  // Which route was meant may not be known, so all get what prepareWorkflow's clients need (D20).
  const body = JSON.stringify({ message: words, transaction: words });
  socket.end(
    `HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-type: ${jsonType}\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

function rawRefusal(code: string | undefined): { readonly status: string; readonly words: string } {
  if (code === "ERR_HTTP_REQUEST_TIMEOUT")
    return { status: "408 Request Timeout", words: "request: it did not arrive within its time" };
  if (code === "HPE_HEADER_OVERFLOW")
    return { status: "431 Request Header Fields Too Large", words: "headers: too many bytes met" };
  return { status: "400 Bad Request", words: "request: malformed HTTP met" };
}

/** The answer to the request that this connection is at. */
function answerInProgress(socket: Socket): ServerResponse<IncomingMessage> | undefined {
  const { _httpMessage: response } = socket as Socket & {
    readonly _httpMessage?: ServerResponse<IncomingMessage> | null;
  };
  return response ?? undefined;
}
