/**
 * The OpenAPI 3.1 document, made from the table of routes: what is served and what is documented cannot differ.
 */
import { type TSchema, Type } from "typebox";
import { errors } from "../../../core/errors.js";
import type { Json } from "../../../wire/encode.js";
import { valueAnswer } from "../answer.js";
import type { Route, RouteDoc } from "../route.js";
import { v1Base } from "./routes.js";
import { refusal } from "./schemas.js";

/** `GET /api/v1/openapi.json`: the document of these routes. */
export function openApiRoute(routes: readonly Route[], version: string): Route {
  const answer = valueAnswer(openApiOf(routes, version));
  return { methods: ["GET"], path: `${v1Base}/openapi.json`, name: "v1.openapi", handle: () => answer };
}

/** The document of all routes that say something about themselves. */
export function openApiOf(routes: readonly Route[], version: string): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const route of routes) {
    if (route.doc === undefined) continue;
    const path = route.path.replace(/:(\w+)/g, "{$1}");
    const { doc, methods } = route;
    const operations = methods.map((method, i) => [method.toLowerCase(), operationOf(route, doc, i)] as const);
    paths[path] = { ...paths[path], ...Object.fromEntries(operations) };
  }
  return {
    openapi: "3.1.0",
    info: { title: "Tandem", version, description: "Distributed transactions, wire-compatible with DTM." },
    paths,
    components: { schemas: { Refusal: refusal } },
  };
}

/** @param nth of the route's methods: names of operations are unique in a document */
function operationOf(route: Route, doc: RouteDoc, nth: number): Json {
  const inPath = [...route.path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: Type.String(),
  }));
  const inQuery = Object.entries(doc.query ?? {}).map(([name, schema]) => ({ name, in: "query", schema }));
  return {
    operationId: nth === 0 ? doc.id : `${doc.id}By${route.methods[nth]}`,
    summary: doc.summary,
    tags: [doc.tag],
    parameters: [...inPath, ...inQuery],
    requestBody: doc.body && { required: true, content: jsonContent(doc.body) },
    responses: { 200: { description: "As asked", content: jsonContent(doc.answer) }, ...refusalsOf(doc) },
  };
}

function refusalsOf(doc: RouteDoc): Readonly<Record<number, Json>> {
  const content = { "application/json": { schema: { $ref: "#/components/schemas/Refusal" } } };
  const byStatus = doc.refusals.map((code) => [errors[code].http, { description: code, content }] as const);
  return Object.fromEntries(byStatus);
}

function jsonContent(schema: TSchema): Json {
  return { "application/json": { schema } };
}
