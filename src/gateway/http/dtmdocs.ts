/**
 * DTM's routes in the words of the OpenAPI document, by their names. A route without words here is a mistake that the
 * start-up finds.
 */
import { type TSchema, Type } from "typebox";
import type { ErrorCode } from "../../core/errors.js";
import type { Route, RouteDoc } from "./route.js";
import * as shapes from "./v1/schemas.js";

/** The routes with their documentation. @throws when one has none */
export function documentedDtm(routes: readonly Route[]): readonly Route[] {
  return routes.map((route) => {
    const doc = docs[route.name];
    if (doc === undefined) throw new Error(`route ${route.path} is not documented`);
    return { ...route, doc: { ...doc, id: `dtm.${route.name}` } };
  });
}

type Doc = Omit<RouteDoc, "id">;

const always: readonly ErrorCode[] = ["BAD_REQUEST", "TOO_LARGE", "UNSUPPORTED_MEDIA", "UNAVAILABLE", "OVERLOADED"];

function about(tag: string, summary: string, answer: TSchema, more: Partial<Doc> = {}): Doc {
  return { tag, summary, answer, ...more, refusals: [...always, ...(more.refusals ?? [])] };
}

const ofBody = (summary: string, body: TSchema, refusals: readonly ErrorCode[], answer: TSchema = shapes.accepted) =>
  about("dtm transactions", summary, answer, { body, refusals });

const register = ofBody("Registers a branch of a tcc or xa, or a step of a workflow", shapes.branchBody, [
  "NOT_FOUND",
  "REFUSED",
]);

const limit = Type.Integer({ description: "1 to 1000, default 100" });
const topicQuery = { topic: Type.String(), url: Type.String() };

const docs: Readonly<Record<string, Doc>> = {
  ping: about("dtm node", "Whether somebody answers", Type.Object({ msg: Type.Literal("pong") })),
  version: about("dtm node", "Version of the server", Type.Object({ version: Type.String() })),
  newgid: about(
    "dtm transactions",
    "A gid that nobody else has",
    Type.Object({ dtm_result: Type.Literal("SUCCESS"), gid: Type.String() }),
  ),
  prepare: ofBody("Opens a transaction that is to be submitted or aborted", shapes.transactionBody, ["REFUSED"]),
  submit: ofBody("Runs a transaction; of a workflow: records its end", shapes.transactionBody, [
    "NOT_FOUND",
    "REFUSED",
    "ONGOING",
  ]),
  abort: ofBody("Rolls a tcc or xa back, drops a prepared msg", shapes.transactionBody, [
    "NOT_FOUND",
    "REFUSED",
    "ONGOING",
  ]),
  forcestop: ofBody("Ends a transaction as failed without calling anybody", shapes.gidBody, ["NOT_FOUND", "REFUSED"]),
  resetnextcrontime: ofBody("Calls what waits for a later time now", shapes.gidBody, ["NOT_FOUND"]),
  registerbranch: register,
  registertccbranch: register,
  registerxabranch: register,
  prepareworkflow: ofBody(
    "Opens a workflow, or gives what is recorded of it",
    shapes.transactionBody,
    ["REFUSED"],
    Type.Object({
      progresses: Type.Array(shapes.branch),
      transaction: shapes.transaction,
      lease: Type.Optional(Type.Enum(["granted", "held"])),
    }),
  ),
  query: about(
    "dtm transactions",
    "One transaction with its branches; nulls when there is none",
    Type.Object({
      branches: Type.Array(shapes.branch),
      transaction: Type.Union([shapes.transaction, Type.Null()]),
    }),
    { query: { gid: Type.String() } },
  ),
  all: about(
    "dtm transactions",
    "Transactions, newest first, page by page",
    Type.Object({
      next_position: Type.String(),
      transactions: Type.Union([Type.Array(shapes.transaction), Type.Null()]),
    }),
    {
      query: {
        gid: Type.String(),
        position: Type.String(),
        limit,
        status: shapes.status,
        transType: shapes.transType,
        createTimeStart: Type.Integer({ description: "Milliseconds since the epoch." }),
        createTimeEnd: Type.Integer({ description: "Milliseconds since the epoch." }),
      },
    },
  ),
  resetcrontime: about(
    "dtm transactions",
    "Makes transactions due now that would wait longer than `timeout` seconds",
    Type.Object({ has_remaining: Type.Boolean(), succeed_count: Type.Integer() }),
    { query: { timeout: Type.Integer(), limit } },
  ),
  subscribe: about("dtm topics", "Adds a subscriber to a topic", shapes.accepted, {
    query: { ...topicQuery, remark: Type.String() },
    refusals: ["REFUSED"],
  }),
  unsubscribe: about("dtm topics", "Removes a subscriber from a topic", shapes.accepted, {
    query: topicQuery,
    refusals: ["NOT_FOUND"],
  }),
  topic: about("dtm topics", "Deletes a topic", shapes.accepted, { refusals: ["NOT_FOUND"] }),
  querykv: about("dtm topics", "Key-values of a category, of a key", Type.Object({ kv: Type.Array(shapes.keyValue) }), {
    query: { cat: Type.String(), key: Type.String() },
  }),
  scankv: about(
    "dtm topics",
    "Key-values, page by page",
    Type.Object({ kv: Type.Array(shapes.keyValue), next_position: Type.String() }),
    { query: { cat: Type.String(), position: Type.String(), limit } },
  ),
};
