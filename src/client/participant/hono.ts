// Participants in a Hono app.

import type { Hono } from "hono";
import type { Env } from "hono/types";
import { toResponse } from "./fetch.js";
import type { Route } from "./route.js";

/** Mounts the routes for GET and POST; returns the app. */
export function mountRoutes<E extends Env>(app: Hono<E>, routes: readonly Route[]): Hono<E> {
  for (const one of routes) {
    app.on(["GET", "POST"], one.path, async (context) =>
      toResponse(await one.handle({ url: context.req.url, body: await context.req.text() })),
    );
  }
  return app;
}
