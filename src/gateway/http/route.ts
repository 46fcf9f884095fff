/**
 * A route as data: what the server registers, what metrics count it as, how it answers. The tables of routes are the
 * only places that name paths.
 */
import type { TSchema } from "typebox";
import type { ErrorCode } from "../../core/errors.js";
import type { Reply } from "../../core/input.js";
import type { HttpAnswer, RefusalBody } from "./answer.js";

/** What a route may look at. */
export interface HttpRequest {
  /** Empty when none was sent. */
  readonly body: Uint8Array;
  /** First value of a name in the query string, `""` when not given. */
  query(name: string): string;
  /** Part of the path, decoded. */
  param(name: string): string;
  /** Makes a call that may be held; the wait ends when the client is gone or the server stops. */
  waiting(call: (signal: AbortSignal) => Promise<Reply>): Promise<Reply>;
}

/** The methods that some route takes. */
export type Method = "GET" | "POST" | "DELETE" | "PUT" | "PATCH" | "HEAD" | "OPTIONS";

export interface Route {
  readonly methods: readonly Method[];
  /** `:name` stands for one part of the path. */
  readonly path: string;
  /** Label `api` of metrics. */
  readonly name: string;
  handle(request: HttpRequest): HttpAnswer | Promise<HttpAnswer>;
  readonly refusalBody?: RefusalBody;
  /** What the OpenAPI document says; routes without are not in it. */
  readonly doc?: RouteDoc;
  /** Not counted: the metrics page and probes would count themselves. */
  readonly uncounted?: boolean;
  /** Asked often, by POST on a fixed path, and looks at the body alone: the front may serve it. */
  readonly hot?: boolean;
}

/** A route for people and generators. Schemas are JSON Schema; the answers of tests are checked against them. */
export interface RouteDoc {
  /** Unique name of the operation. */
  readonly id: string;
  readonly summary: string;
  readonly tag: string;
  /** Members of the query string, by name. */
  readonly query?: Readonly<Record<string, TSchema>>;
  readonly body?: TSchema;
  /** The body of 200. */
  readonly answer: TSchema;
  readonly refusals: readonly ErrorCode[];
}
