/**
 * JSON-RPC 2.0 on one path (section 4): the same bodies and operations as HTTP in another envelope. HTTP says 200 to
 * everything but text that is no request at all.
 */
import { type ErrorCode, errors } from "../../core/errors.js";
import type { Refusal, Reply } from "../../core/input.js";
import type { Log } from "../../ports/observer.js";
import { readBody } from "../../wire/body.js";
import { InvalidInput } from "../../wire/invalid.js";
import { fieldsOf, parseJson } from "../../wire/json.js";
import type { InputLimits } from "../../wire/limits.js";
import { branchBodyOf } from "../../wire/registration.js";
import { refusalOf } from "../failure.js";
import type { Operations } from "../operations.js";
import { type HttpAnswer, jsonType, refusalAnswer, textType } from "./answer.js";
import type { HttpRequest, Route } from "./route.js";

/** What the JSON-RPC route relies on. */
export interface JsonRpcDeps {
  readonly operations: Operations;
  readonly limits: InputLimits;
  readonly log: Log;
}

/** Codes of the frame, and those that stand for DTM's two words (S-JRPC-5, D19). */
const codes = { parse: -32700, request: -32600, method: -32601, failure: -32901, ongoing: -32902, other: -32603 };

type Id = string | number;
type Method = (
  params: unknown,
  request: HttpRequest,
) => Promise<Reply | { readonly kind: "gid"; readonly gid: string }>;

interface Frame {
  readonly jsonrpc?: unknown;
  readonly id?: unknown;
  readonly method?: unknown;
  readonly params?: unknown;
}

/** `POST /api/json-rpc`. */
export function jsonRpcRoute(deps: JsonRpcDeps): Route {
  const methods = methodsOf(deps);
  return {
    methods: ["POST"],
    path: "/api/json-rpc",
    name: "json-rpc",
    hot: true,
    async handle(request) {
      let frame: unknown;
      try {
        frame = parseJson(request.body, deps.limits);
      } catch (error) {
        if (!(error instanceof InvalidInput) || error.refusal.code !== "BAD_REQUEST") throw error;
        return unreadable(error.message);
      }
      if (typeof frame !== "object" || frame === null || Array.isArray(frame))
        return unreadable("one request object is needed, batches are not taken");
      return answer(frame, methods, request, deps.log);
    },
  };
}

function methodsOf({ operations, limits }: JsonRpcDeps): ReadonlyMap<string, Method> {
  const bodyOf = (params: unknown) => readBody(fieldsOf(params, "params"), limits);
  return new Map<string, Method>([
    ["newGid", async () => ({ kind: "gid", gid: operations.newGid() })],
    ["prepare", async (params) => operations.prepare(bodyOf(params))],
    [
      "submit",
      async (params, request) => {
        const body = bodyOf(params);
        if (!body.options.waitResult) return operations.submit(body);
        return request.waiting((signal) => operations.submit(body, signal));
      },
    ],
    [
      "abort",
      async (params, request) => {
        const body = bodyOf(params);
        return request.waiting((signal) => operations.abort(body, signal));
      },
    ],
    ["registerBranch", async (params) => operations.registerBranch(branchBodyOf(fieldsOf(params, "params")))],
  ]);
}

async function answer(
  { jsonrpc, id, method: name, params }: Frame,
  methods: ReadonlyMap<string, Method>,
  request: HttpRequest,
  log: Log,
): Promise<HttpAnswer> {
  if (id !== undefined && id !== null && typeof id !== "string" && typeof id !== "number")
    return unreadable("id must be text or a number");
  if (jsonrpc !== "2.0" || id === undefined || id === null || id === "")
    return failed(id ?? "", codes.request, "Bad json request: jsonrpc must be '2.0' and id must not be empty");
  const method = typeof name === "string" ? methods.get(name) : undefined;
  if (method === undefined) return failed(id, codes.method, `Method not found: ${shownName(name)}`);
  try {
    const result = await method(params, request);
    if (result.kind === "refused") return refusedAnswer(id, result);
    return succeeded(id, result.kind === "gid" ? { gid: result.gid } : null);
  } catch (error) {
    return refusedAnswer(id, refusalOf(error, log));
  }
}

function refusedAnswer(id: Id, refusal: Refusal): HttpAnswer {
  return { ...failed(id, codeOf(refusal.code), refusal.message), headers: refusalAnswer(refusal).headers ?? {} };
}

function codeOf(code: ErrorCode): number {
  const { result } = errors[code];
  if (result === "FAILURE") return codes.failure;
  return result === "ONGOING" ? codes.ongoing : codes.other;
}

/** A name that can be repeated without harm. */
function shownName(name: unknown): string {
  return typeof name === "string" && /^[\w./-]{1,64}$/.test(name) ? name : "no name of a method met";
}

function succeeded(id: Id, result: unknown): HttpAnswer {
  return { status: 200, body: JSON.stringify({ error: null, id, jsonrpc: "2.0", result }) };
}

function failed(id: Id, code: number, message: string, status = 200): HttpAnswer {
  const body = JSON.stringify({ error: { code, message }, id, jsonrpc: "2.0", result: null });
  return { status, type: status === 200 ? jsonType : textType, body };
}

function unreadable(why: string): HttpAnswer {
  return failed("", codes.parse, `Parse json error: ${why}`, 400);
}
