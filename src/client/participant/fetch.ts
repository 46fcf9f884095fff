// Participants behind anything that speaks the Fetch API: Hono, Next.js route handlers, Deno, Bun, service tests.

import type { HttpAnswer } from "../result.js";
import { brokenRequest, matchRoute, type Route, type ServeRoutesOptions } from "./route.js";

const json = { "content-type": "application/json" };

/** An answer as a Fetch response. */
export const toResponse = ({ status, body }: HttpAnswer): Response => new Response(body, { status, headers: json });

/** Answers requests for the routes; `undefined` for other paths, so that it can stand before other handlers. */
export function fetchHandler(
  routes: readonly Route[],
  options: ServeRoutesOptions = {},
): (request: Request) => Promise<Response | undefined> {
  return async (request) => {
    const found = matchRoute(routes, request.url);
    if (found === undefined) return undefined;
    try {
      const header = (name: string) => request.headers.get(name) ?? undefined;
      return toResponse(await found.handle({ ...options, url: request.url, body: await request.text(), header }));
    } catch (error) {
      return toResponse(brokenRequest(error));
    }
  };
}
