/**
 * Refusals that no route makes: by the framework, by the HTTP parser, for unknown paths.
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
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

/** An error of the HTTP parser, or of the socket. */
type ConnectionError = Error & { readonly code?: string };

/**
 * What the library tells a connection whose bytes are no HTTP, or whose request never ends. All requests before are
 * answered first, whether they have been or are still to be: what a client is told depends neither on the pieces in
 * which its bytes come nor on when. So a tick passes, in which whoever reads the body gets what came of it before the
 * error; no longer one, since the client's end would come in between. Only the first error of a connection counts,
 * each further piece makes one more.
 */
export function refusalOfConnections(): (error: ConnectionError, socket: Socket) => void {
  const refused = new WeakSet<Socket>();
  return (error, socket) => {
    if (error.code === "ECONNRESET" || !socket.writable) socket.destroy();
    else if (!refused.has(socket)) process.nextTick(refuseAfterAnswers, error, socket);
    refused.add(socket);
  };
}

/** CONNECT is refused in its turn, too. Node alone would cut the connection, and answers that are still to come. */
export function refuseTunnels(server: Server): void {
  server.on("connect", (_request, duplex) => {
    const socket = duplex as Socket; // nobody else looks after it any more, nor reads
    const destroy = () => socket.destroy();
    socket.on("error", destroy).on("finish", destroy).setTimeout(server.requestTimeout, destroy);
    refuseAfterAnswers(new Error("CONNECT"), socket);
  });
}

function refuseAfterAnswers(error: ConnectionError, socket: Socket): void {
  const answer = answerInProgress(socket);
  if (answer !== undefined && comesAnyway(answer)) {
    answer.once("close", () => refuseAfterAnswers(error, socket));
  } else if (!socket.writable || answer?.headersSent) socket.destroy();
  else refuseBareSocket(error, socket);
}

/** Whether an answer does not wait for more of its request: that is whole, or its body is not read. */
function comesAnyway({ req }: ServerResponse<IncomingMessage>): boolean {
  return req.complete || req.readableFlowing === null;
}

/** A refusal on a socket that no answer is on its way to; the last that is said there. */
export function refuseBareSocket({ code }: ConnectionError, socket: Socket): void {
  const { status, words } = rawRefusal(code);
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
