/**
 * The service dtmgimp.Dtm: decode, operation, encode. The operations are those of HTTP and JSON-RPC.
 */
import type { Reply } from "../../core/input.js";
import { InvalidInput } from "../../wire/invalid.js";
import type { InputLimits } from "../../wire/limits.js";
import type { Operations } from "../operations.js";
import { gidReply, progressesReply, readBranch, readGidRequest, readRequest, readTopic } from "./messages.js";
import type { CallContext, Methods, Result, UnaryMethod } from "./method.js";
import { statusOf } from "./status.js";

const empty: Result = { message: new Uint8Array(0) };

/** Paths of the service with their methods. */
export function dtmMethods(operations: Operations, limits: InputLimits): Methods {
  const unary = (name: string, handle: UnaryMethod["handle"]): readonly [string, UnaryMethod] => [
    `/dtmgimp.Dtm/${name}`,
    { kind: "unary", name: name.toLowerCase(), handle },
  ];
  const plain = (name: string, run: (message: Buffer, context: CallContext) => Promise<Reply>) =>
    unary(name, async (message, context) => emptyResult(await run(message, context)));
  return new Map([
    unary("NewGid", async () => ({ message: gidReply(operations.newGid()) })),
    plain("Submit", async (message, context) => {
      const body = readRequest(message, limits);
      return operations.submit(body, body.options.waitResult ? context.signal : undefined);
    }),
    plain("Prepare", async (message) => operations.prepare(readRequest(message, limits))),
    plain("Abort", async (message, context) => operations.abort(readRequest(message, limits), context.signal)),
    plain("RegisterBranch", async (message) => operations.registerBranch(readBranch(message))),
    unary("PrepareWorkflow", async (message) => {
      const reply = await operations.prepareWorkflow(readRequest(message, limits));
      if (reply.kind !== "transaction" || reply.transaction === undefined) return emptyResult(reply);
      if (reply.lease === "held") return held(reply.transaction.gid);
      return { message: progressesReply(reply.transaction) };
    }),
    unary("Query", async (message) => {
      const reply = await operations.query(readGidRequest(message));
      if (reply.kind !== "transaction") return emptyResult(reply);
      return reply.transaction === undefined ? empty : { message: progressesReply(reply.transaction) };
    }),
    plain("Subscribe", async (message) => {
      const { topic, url, remark } = readTopic(message);
      return operations.subscribe(topic, url, remark);
    }),
    plain("Unsubscribe", async (message) => {
      const { topic, url } = readTopic(message);
      return operations.unsubscribe(topic, url);
    }),
    plain("DeleteTopic", async (message) => {
      const { topic } = readTopic(message);
      if (topic === "") throw new InvalidInput("empty topic");
      return operations.deleteTopic(topic);
    }),
  ]);
}

function emptyResult(reply: Reply): Result {
  return reply.kind === "refused" ? { status: statusOf(reply) } : empty;
}

/** The reply has no place for "another one holds it", so who asked for a lease and did not get it is told to wait. */
function held(gid: string): Result {
  return {
    status: statusOf({ kind: "refused", code: "ONGOING", message: `gid ${gid}: another executor holds it. ONGOING` }),
  };
}
