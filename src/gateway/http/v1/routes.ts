/**
 * `/api/v1`: what DTM lacks (D14): one transaction with its history, retry and park, the participants with their
 * breakers, the node. Every route says what it takes and gives; the OpenAPI document is made from that.
 */
import { Type } from "typebox";
import type { Reply } from "../../../core/input.js";
import { topicCategory } from "../../../ports/topics.js";
import { branchesJson, headJson, transactionJson } from "../../../wire/encode.js";
import { readText } from "../../../wire/fields.js";
import { historyJson } from "../../../wire/history.js";
import { InvalidInput } from "../../../wire/invalid.js";
import { parseObject } from "../../../wire/json.js";
import type { Operations } from "../../operations.js";
import { subscribersOf } from "../../topicoperations.js";
import { refusalAnswer, replyAnswer, valueAnswer } from "../answer.js";
import type { HttpGatewayDeps } from "../gateway.js";
import { readInteger, readLimit, readStatus, readType } from "../query.js";
import type { HttpRequest, Route, RouteDoc } from "../route.js";
import { backupRoute } from "./backup.js";
import * as shapes from "./schemas.js";
import { nodeStatusJson, targetJson, topicJson } from "./values.js";

/** Where it lives. */
export const v1Base = "/api/v1";

type Handle = Route["handle"];

function get(path: string, doc: RouteDoc, handle: Handle): Route {
  return { methods: ["GET"], path: v1Base + path, name: `v1.${doc.id}`, doc, handle };
}

function post(path: string, doc: RouteDoc, handle: Handle): Route {
  return { ...get(path, doc, handle), methods: ["POST"] };
}

/** All of them but the document itself. */
export function v1Routes(deps: HttpGatewayDeps): readonly Route[] {
  const backup = backupRoute(`${v1Base}/backup`, deps.backup, deps.limits);
  return [...transactionRoutes(deps), ...commandRoutes(deps), ...nodeRoutes(deps), backup];
}

const unavailable = ["UNAVAILABLE", "OVERLOADED"] as const;
const page = { limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100 }), cursor: Type.String() };

function transactionRoutes({ operations, clock }: HttpGatewayDeps): readonly Route[] {
  return [
    get(
      "/transactions",
      {
        id: "listTransactions",
        summary: "Transactions, newest first, page by page",
        tag: "transactions",
        query: {
          ...page,
          status: shapes.status,
          trans_type: shapes.transType,
          unfinished: Type.Boolean(),
          parked: Type.Boolean(),
          created_from: Type.Integer({ description: "Milliseconds since the epoch, inclusive." }),
          created_to: Type.Integer({ description: "Milliseconds since the epoch, inclusive." }),
        },
        answer: Type.Object({ transactions: Type.Array(shapes.head), next: Type.Optional(Type.String()) }),
        refusals: ["BAD_REQUEST", ...unavailable],
      },
      async ({ query }) => {
        const { heads, next } = await operations.list(filterOf(query), query("cursor"), readLimit(query("limit")));
        return valueAnswer({ transactions: heads.map(headJson), next });
      },
    ),
    get(
      "/transactions/:gid",
      {
        id: "getTransaction",
        summary: "One transaction with its branches",
        tag: "transactions",
        answer: Type.Object({ transaction: shapes.transaction, branches: Type.Array(shapes.branch) }),
        refusals: ["BAD_REQUEST", "NOT_FOUND", ...unavailable],
      },
      async ({ param }) => {
        const reply = await operations.query(param("gid"));
        if (reply.kind === "refused") return refusalAnswer(reply);
        if (reply.kind === "accepted" || reply.transaction === undefined) return replyAnswer(unknownGid);
        const { transaction: tx, blocked } = reply;
        return valueAnswer({
          transaction: transactionJson(tx, clock.nowMs(), blocked),
          branches: branchesJson(tx, blocked),
        });
      },
    ),
    get(
      "/transactions/:gid/history",
      {
        id: "getHistory",
        summary: "What happened to a transaction, event by event",
        tag: "transactions",
        answer: Type.Object({ gid: Type.String(), events: Type.Array(shapes.historyEvent) }),
        refusals: ["BAD_REQUEST", "NOT_FOUND", ...unavailable],
      },
      async ({ param }) => {
        const rows = await operations.history(param("gid"));
        if (rows.length === 0) return replyAnswer(unknownGid);
        return valueAnswer({ gid: param("gid"), events: historyJson(rows) });
      },
    ),
  ];
}

const unknownGid: Reply = { kind: "refused", code: "NOT_FOUND", message: "gid: no such transaction is stored" };

function filterOf(query: HttpRequest["query"]) {
  return {
    status: readStatus(query("status")),
    type: readType(query("trans_type")),
    unfinished: readFlag("unfinished", query("unfinished")),
    parked: readFlag("parked", query("parked")),
    createdFromMs: readInteger(query("created_from")),
    createdToMs: readInteger(query("created_to")),
  };
}

function readFlag(name: string, text: string): boolean | undefined {
  if (text === "") return undefined;
  if (text === "true" || text === "false") return text === "true";
  throw new InvalidInput(`${name}: other text met, true or false needed`);
}

function commandRoutes({ operations, limits }: HttpGatewayDeps): readonly Route[] {
  const command = (
    word: string,
    id: string,
    summary: string,
    run: (gid: string, request: HttpRequest) => ReturnType<Operations["unpark"]>,
    body?: typeof shapes.parkBody,
  ) =>
    post(
      `/transactions/:gid/${word}`,
      {
        id,
        summary,
        tag: "transactions",
        ...(body && { body }),
        answer: shapes.accepted,
        refusals: ["BAD_REQUEST", "NOT_FOUND", "REFUSED", ...unavailable],
      },
      async (request) => replyAnswer(await run(request.param("gid"), request)),
    );
  return [
    command("retry", "retryTransaction", "Calls what waits for a later time now; un-parks", (gid) =>
      operations.hasten(gid),
    ),
    command(
      "park",
      "parkTransaction",
      "Starts no call and fires no timeout until it is un-parked",
      (gid, { body }) => {
        const fields = body.length === 0 ? {} : parseObject(body, limits);
        return operations.park(gid, readText(fields, "by") || "operator", readText(fields, "reason"));
      },
      shapes.parkBody,
    ),
    command("unpark", "unparkTransaction", "Lets a parked transaction go on", (gid) => operations.unpark(gid)),
    command("stop", "stopTransaction", "Ends it as failed without calling anybody", (gid) => operations.forceStop(gid)),
  ];
}

function nodeRoutes({ operations, store, stats, targets, node, clock, cluster }: HttpGatewayDeps): readonly Route[] {
  return [
    get(
      "/cluster",
      {
        id: "getCluster",
        summary: "Nodes, shards by owner and epoch, leases, and what is on the move; of a lone node just its name",
        tag: "node",
        answer: shapes.cluster,
        refusals: [],
      },
      () => valueAnswer(cluster?.() ?? { node: node.name, clustered: false }),
    ),
    get(
      "/targets",
      {
        id: "listTargets",
        summary: "Participants as this node sees them, with their breakers",
        tag: "node",
        answer: Type.Object({ targets: Type.Array(shapes.target) }),
        refusals: [],
      },
      async () => valueAnswer({ targets: (await targets.list()).map(targetJson) }),
    ),
    get(
      "/topics",
      {
        id: "listTopics",
        summary: "Topics with their subscribers, by name, page by page",
        tag: "topics",
        query: page,
        answer: Type.Object({ topics: Type.Array(shapes.topic), next: Type.Optional(Type.String()) }),
        refusals: ["BAD_REQUEST", ...unavailable],
      },
      async ({ query }) => {
        const limit = readLimit(query("limit"));
        const { entries, next } = await operations.scanKeyValues(topicCategory, query("cursor"), limit);
        return valueAnswer({ topics: entries.map((entry) => topicJson(entry, subscribersOf(entry))), next });
      },
    ),
    get(
      "/status",
      {
        id: "getStatus",
        summary: "The node: version, store, load, transactions by type and status",
        tag: "node",
        answer: shapes.nodeStatus,
        refusals: [],
      },
      async () => {
        const counts = await store.count().catch(() => undefined); // the rest is worth seeing then all the more
        return valueAnswer(nodeStatusJson(node, stats(), counts, clock.nowMs()));
      },
    ),
  ];
}
