// Participants in an Express app (4 or 5), before or after a JSON body parser; also for plain node:http servers.

import type { IncomingMessage, ServerResponse } from "node:http";
import { bodyBytesMax, brokenRequest, matchRoute, type Route, type ServeRoutesOptions, textOf } from "./route.js";

/** The request as Express and its parsers leave it. */
type Parsed = IncomingMessage & { readonly originalUrl?: string; readonly body?: unknown };

/** Middleware that answers the routes and passes everything else on: `app.use(tandemRoutes(routes))`. */
export function tandemRoutes(
  routes: readonly Route[],
  options: ServeRoutesOptions = {},
): (request: IncomingMessage, response: ServerResponse, next?: (error?: unknown) => void) => void {
  return (request, response, next) => {
    const found = matchRoute(routes, request.url ?? "/");
    if (found === undefined) {
      if (next !== undefined) next();
      else response.writeHead(404).end();
      return;
    }
    const url = request.url ?? "/";
    const header = (name: string) => textOf(request.headers[name]);
    bodyOf(request)
      .then((body) => found.handle({ ...options, url, body, header }), brokenRequest)
      .then(({ status, body }) => response.writeHead(status, { "content-type": "application/json" }).end(body))
      .catch((error: unknown) => response.destroy(error as Error));
  };
}

/** Takes the body from a parser that ran before, else from the wire. */
async function bodyOf(request: Parsed): Promise<string | Uint8Array> {
  if (request.readableEnded && request.body !== undefined) {
    const { body } = request;
    return typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);
  }
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > bodyBytesMax) throw new Error(`the body has more than ${bodyBytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
