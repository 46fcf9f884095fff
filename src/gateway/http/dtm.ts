/**
 * DTM's routes about transactions (S-HTTP-10…22): decode, operate, encode. Everything more than that belongs elsewhere.
 */
import type { Reply } from "../../core/input.js";
import { readBody, type TransactionBody } from "../../wire/body.js";
import { branchesJson, progressesJson, transactionJson, withoutResultWords } from "../../wire/encode.js";
import { readText } from "../../wire/fields.js";
import { parseObject } from "../../wire/json.js";
import type { InputLimits } from "../../wire/limits.js";
import { branchBodyOf } from "../../wire/registration.js";
import type { Operations } from "../operations.js";
import { type HttpAnswer, refusalAnswer, replyAnswer, valueAnswer, workflowRefusalBody } from "./answer.js";
import { readFilter, readInteger, readLimit } from "./query.js";
import type { HttpRequest, Method, Route } from "./route.js";
import { topicRoutes } from "./topics.js";

/** What the routes below `/api/dtmsvr` rely on. */
export interface DtmDeps {
  readonly operations: Operations;
  readonly limits: InputLimits;
  readonly version: string;
  readonly nowMs: () => number;
}

/** Where DTM's API lives (S-GEN-8). */
export const dtmBase = "/api/dtmsvr";

const anyMethod: readonly Method[] = ["GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS"];

/** All routes that DTM has, with its aliases. */
export function dtmRoutes(deps: DtmDeps): readonly Route[] {
  const pong = valueAnswer({ msg: "pong" });
  const version = valueAnswer({ version: deps.version });
  return [
    { methods: anyMethod, path: "/api/ping", name: "ping", handle: () => pong },
    { methods: ["GET"], path: `${dtmBase}/version`, name: "version", handle: () => version },
    {
      methods: ["GET"],
      path: `${dtmBase}/newGid`,
      name: "newgid",
      handle: () => valueAnswer({ dtm_result: "SUCCESS", gid: deps.operations.newGid() }),
    },
    ...transactionRoutes(deps),
    ...queryRoutes(deps),
    ...topicRoutes(dtmBase, deps.operations),
  ];
}

function post(name: string, handle: Route["handle"], more?: Partial<Route>): Route {
  return { methods: ["POST"], path: `${dtmBase}/${name}`, name: name.toLowerCase(), handle, ...more };
}

function hot(name: string, handle: Route["handle"], more?: Partial<Route>): Route {
  return post(name, handle, { ...more, hot: true });
}

function transactionRoutes({ operations, limits, nowMs }: DtmDeps): readonly Route[] {
  const bodyOf = ({ body }: HttpRequest): TransactionBody => readBody(parseObject(body, limits), limits);
  const gidOf = ({ body }: HttpRequest): string => readText(parseObject(body, limits), "gid");
  const register = async ({ body }: HttpRequest) =>
    replyAnswer(await operations.registerBranch(branchBodyOf(parseObject(body, limits))));
  return [
    hot("submit", async (request) => {
      const body = bodyOf(request);
      if (!body.options.waitResult) return replyAnswer(await operations.submit(body));
      return replyAnswer(await request.waiting((signal) => operations.submit(body, signal)));
    }),
    hot("prepare", async (request) => replyAnswer(await operations.prepare(bodyOf(request)))),
    hot("abort", async (request) => {
      const body = bodyOf(request);
      return replyAnswer(await request.waiting((signal) => operations.abort(body, signal)));
    }),
    hot("registerBranch", register),
    hot("registerTccBranch", register),
    hot("registerXaBranch", register),
    post("forceStop", async (request) => replyAnswer(await operations.forceStop(gidOf(request)))),
    post("resetNextCronTime", async (request) => replyAnswer(await operations.hasten(gidOf(request)))),
    hot(
      "prepareWorkflow",
      async (request) => workflowAnswer(await operations.prepareWorkflow(bodyOf(request)), nowMs()),
      { refusalBody: workflowRefusalBody },
    ),
  ];
}

/** What prepareWorkflow gives (S-WF-3); `lease` only to those who asked for one (C-WF-7). */
function workflowAnswer(reply: Reply, nowMs: number): HttpAnswer {
  if (reply.kind === "refused") return refusalAnswer(reply, workflowRefusalBody);
  if (reply.kind === "accepted" || reply.transaction === undefined)
    throw new Error(`prepareWorkflow was answered '${reply.kind}' without a transaction`);
  const { transaction: tx, lease } = reply;
  const body = JSON.stringify({ progresses: progressesJson(tx), transaction: transactionJson(tx, nowMs), lease });
  return { status: 200, body: withoutResultWords(body) };
}

/** What query gives: nulls for an unknown gid (S-HTTP-50). */
function queryAnswer(reply: Reply, nowMs: number): HttpAnswer {
  if (reply.kind === "refused") return refusalAnswer(reply);
  if (reply.kind === "accepted") throw new Error("query was answered 'accepted'");
  const { transaction: tx, blocked } = reply;
  if (tx === undefined) return valueAnswer({ branches: [], transaction: null });
  return valueAnswer({ branches: branchesJson(tx, blocked), transaction: transactionJson(tx, nowMs, blocked) });
}

function queryRoutes({ operations, nowMs }: DtmDeps): readonly Route[] {
  return [
    {
      methods: ["GET"],
      path: `${dtmBase}/query`,
      name: "query",
      handle: async ({ query }) => queryAnswer(await operations.query(query("gid")), nowMs()),
    },
    {
      methods: ["GET"],
      path: `${dtmBase}/all`,
      name: "all",
      handle: async ({ query }) => {
        const limit = readLimit(query("limit"));
        const filter = readFilter(query);
        if (query("gid") !== "") return allOfGid(await operations.query(query("gid")), nowMs());
        const { transactions, next } = await operations.all(filter, query("position"), limit);
        return valueAnswer({
          next_position: next,
          transactions: transactions.map((tx) => transactionJson(tx, nowMs())),
        });
      },
    },
    {
      methods: ["GET", "POST"], // writes, so POST as well (S-ODD-11)
      path: `${dtmBase}/resetCronTime`,
      name: "resetcrontime",
      handle: async ({ query }) => {
        const timeoutS = readInteger(query("timeout"));
        const result = await operations.resetCronTime(timeoutS, readLimit(query("limit")));
        return valueAnswer({ has_remaining: result.hasRemaining, succeed_count: result.succeedCount });
      },
    },
  ];
}

/** `null` in place of the list when there is none (S-HTTP-56). */
function allOfGid(reply: Reply, nowMs: number): HttpAnswer {
  if (reply.kind === "refused") return refusalAnswer(reply);
  const tx = reply.kind === "transaction" ? reply.transaction : undefined;
  return valueAnswer({ next_position: "", transactions: tx === undefined ? null : [transactionJson(tx, nowMs)] });
}
