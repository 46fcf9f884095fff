/**
 * Operations as subjects: what each reads from its body and answers, under the names that DTM's routes use (D14).
 */
import { type Refusal, type Reply, refused } from "../../core/input.js";
import { type Status, statuses } from "../../core/transaction.js";
import { readBody } from "../../wire/body.js";
import { branchesJson, headJson, type Json, keyValueJson, progressesJson, transactionJson } from "../../wire/encode.js";
import { readBoolean, readNumber, readText } from "../../wire/fields.js";
import { historyJson } from "../../wire/history.js";
import { invalid } from "../../wire/invalid.js";
import type { Fields } from "../../wire/json.js";
import type { InputLimits } from "../../wire/limits.js";
import { branchBodyOf } from "../../wire/registration.js";
import { readTransType } from "../../wire/submission.js";
import type { Operations } from "../operations.js";

/** What an operation gives: an answer's body, or why there is none. */
export type Result = Json | Refusal;

/** One operation; `signal` ends the wait for a result. */
export type Operation = (fields: Fields, signal: AbortSignal) => Promise<Result>;

/** What the table relies on. */
export interface TableDeps {
  readonly operations: Operations;
  readonly limits: InputLimits;
  readonly version: string;
  readonly nowMs: () => number;
}

const done: Json = { dtm_result: "SUCCESS" };

/** All operations by the last token of their subject. */
export function operationTable(deps: TableDeps): Readonly<Record<string, Operation>> {
  return { ...changes(deps), ...looks(deps), ...topics(deps) };
}

function plain(reply: Reply): Result {
  return reply.kind === "refused" ? reply : done;
}

function changes({ operations, limits, nowMs }: TableDeps): Readonly<Record<string, Operation>> {
  const gid = (fields: Fields) => readText(fields, "gid");
  return {
    newGid: async () => ({ ...done, gid: operations.newGid() }),
    prepare: async (fields) => plain(await operations.prepare(readBody(fields, limits))),
    submit: async (fields, signal) => plain(await operations.submit(readBody(fields, limits), signal)),
    abort: async (fields, signal) => plain(await operations.abort(readBody(fields, limits), signal)),
    registerBranch: async (fields) => plain(await operations.registerBranch(branchBodyOf(fields))),
    async prepareWorkflow(fields) {
      const reply = await operations.prepareWorkflow(readBody(fields, limits));
      if (reply.kind !== "transaction" || reply.transaction === undefined) return plain(reply);
      const { transaction: tx, lease } = reply;
      return { progresses: progressesJson(tx), transaction: transactionJson(tx, nowMs()), lease };
    },
    forceStop: async (fields) => plain(await operations.forceStop(gid(fields))),
    resetNextCronTime: async (fields) => plain(await operations.hasten(gid(fields))),
    async resetCronTime(fields) {
      const timeoutS = fields.timeout === undefined ? undefined : readNumber(fields, "timeout");
      const result = await operations.resetCronTime(timeoutS, limitOf(fields));
      return { has_remaining: result.hasRemaining, succeed_count: result.succeedCount };
    },
    park: async (fields) =>
      plain(await operations.park(gid(fields), readText(fields, "by") || "operator", readText(fields, "reason"))),
    unpark: async (fields) => plain(await operations.unpark(gid(fields))),
  };
}

function looks({ operations, version, nowMs }: TableDeps): Readonly<Record<string, Operation>> {
  return {
    version: async () => ({ version }),
    async query(fields) {
      const reply = await operations.query(readText(fields, "gid"));
      if (reply.kind !== "transaction") return plain(reply);
      const { transaction: tx, blocked } = reply;
      if (tx === undefined) return { branches: [], transaction: null };
      return { branches: branchesJson(tx, blocked), transaction: transactionJson(tx, nowMs(), blocked) };
    },
    async all(fields) {
      const page = await operations.all(filterOf(fields), readText(fields, "position"), limitOf(fields));
      const transactions = page.transactions.map((tx) => transactionJson(tx, nowMs()));
      return { next_position: page.next, transactions };
    },
    async list(fields) {
      const { heads, next } = await operations.list(filterOf(fields), readText(fields, "cursor"), limitOf(fields));
      return { transactions: heads.map(headJson), next };
    },
    async history(fields) {
      const rows = await operations.history(readText(fields, "gid"));
      if (rows.length === 0) return refused("NOT_FOUND", "gid: no such transaction is stored");
      return { gid: readText(fields, "gid"), events: historyJson(rows) };
    },
  };
}

function topics({ operations }: TableDeps): Readonly<Record<string, Operation>> {
  return {
    subscribe: async (fields) => {
      const [topic, url, remark] = ["topic", "url", "remark"].map((name) => readText(fields, name));
      return plain(await operations.subscribe(topic!, url!, remark!));
    },
    unsubscribe: async (fields) =>
      plain(await operations.unsubscribe(readText(fields, "topic"), readText(fields, "url"))),
    deleteTopic: async (fields) => plain(await operations.deleteTopic(readText(fields, "topic"))),
    async queryKV(fields) {
      const found = await operations.queryKeyValues(readText(fields, "cat"), readText(fields, "key"));
      return { kv: found.map(keyValueJson) };
    },
    async scanKV(fields) {
      const position = readText(fields, "position");
      const page = await operations.scanKeyValues(readText(fields, "cat"), position, limitOf(fields));
      return { kv: page.entries.map(keyValueJson), next_position: page.next ?? "" };
    },
  };
}

/** Pages are small, because an answer must fit into one message. */
const limits = { usual: 100, most: 1000 } as const;

function limitOf(fields: Fields): number {
  const limit = readNumber(fields, "limit");
  if (!Number.isInteger(limit) || limit < 0) throw invalid("limit", "other number", `0 to ${limits.most}`);
  return limit === 0 ? limits.usual : Math.min(limit, limits.most);
}

function filterOf(fields: Fields) {
  const type = readText(fields, "trans_type");
  const status = readText(fields, "status");
  if (status !== "" && !statuses.includes(status as Status))
    throw invalid("status", "unknown status", `one of ${statuses.join(", ")}`);
  const number = (name: string) => (fields[name] === undefined ? undefined : readNumber(fields, name));
  const flag = (name: string) => (fields[name] === undefined ? undefined : readBoolean(fields, name));
  return {
    status: status === "" ? undefined : (status as Status),
    type: type === "" ? undefined : readTransType(type),
    unfinished: flag("unfinished"),
    parked: flag("parked"),
    createdFromMs: number("created_from"),
    createdToMs: number("created_to"),
  };
}
