// Participants in a Hono app.

import type { Hono } from "hono";
import type { Env } from "hono/types";
import { toResponse } from "./fetch.js";
import type { Route, ServeRoutesOptions } from "./route.js";

/** Mounts the routes for GET and POST; returns the app. */
export function mountRoutes<E extends Env>(
  app: Hono<E>,
  routes: readonly Route[],
  options: ServeRoutesOptions = {},
): Hono<E> {
  for (const one of routes) {
    app.on(["GET", "POST"], one.path, async ({ req }) => {
      const header = (name: string) => req.header(name);
      return toResponse(await one.handle({ ...options, url: req.url, body: await req.text(), header }));
    });
  }
  return app;
}
