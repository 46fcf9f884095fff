// Participants in a Fastify app. Inside the plugin bodies stay bytes, whatever their content type: DTM sends several.

import type { FastifyPluginAsync } from "fastify";
import { bodyBytesMax, type Route, type ServeRoutesOptions, textOf } from "./route.js";

/**
 * A plugin that mounts the routes for GET and POST: `app.register(tandemRoutes(routes))`. A prefix is not part of
 * `at(base)`.
 */
export function tandemRoutes(routes: readonly Route[], options: ServeRoutesOptions = {}): FastifyPluginAsync {
  return async (app) => {
    app.removeAllContentTypeParsers();
    app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
    for (const one of routes) {
      app.route({
        method: ["GET", "POST"],
        url: one.path,
        // A payload that the coordinator took must not be refused here, for ever, by Fastify's own limit of 1 MiB.
        bodyLimit: bodyBytesMax,
        handler: async (request, reply) => {
          const body = request.body instanceof Uint8Array ? request.body : "";
          const header = (name: string) => textOf(request.headers[name]);
          const answer = await one.handle({ ...options, url: request.url, body, header });
          return reply.code(answer.status).type("application/json").send(answer.body);
        },
      });
    }
  };
}
