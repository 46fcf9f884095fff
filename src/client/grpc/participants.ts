// Participants behind a gRPC server (@grpc/grpc-js): either the routes of this package, whose messages are JSON text,
// or methods of a service of one's own with its protobuf messages. Answers are status codes: ABORTED refuses,
// FAILED_PRECONDITION says "not yet".

import type { handleUnaryCall, Metadata, Server, ServerUnaryCall } from "@grpc/grpc-js";
import { ProtobufReader } from "../../wire/protobuf.js";
import type { Delivery } from "../barrier/delivery.js";
import { barrierFrom } from "../barrier/delivery.js";
import { handling } from "../context.js";
import { mustSucceed, type Route, type ServeRoutesOptions, tell, unwrapped, warn } from "../participant/route.js";
import { type GrpcStatus, toGrpc } from "../result.js";

const idKeys = ["gid", "trans_type", "branch_id", "op", "dtm", "phase2_url"] as const;

/** The branch of a call by its metadata (`dtm-gid`, `dtm-op`, …). Throws `InvalidBranch` naming what is missing. */
export function deliveryOf(metadata: Metadata): Delivery {
  return barrierFrom(identityFields(metadata));
}

function identityFields(metadata: Metadata): Readonly<Record<string, string>> {
  return Object.fromEntries(idKeys.map((key) => [key, textIn(metadata, `dtm-${key}`) ?? ""]));
}

function textIn(metadata: Metadata, key: string): string | undefined {
  return metadata.get(key)[0]?.toString();
}

/**
 * Serves routes as methods of `service`: the route `/debit` as `/bank.Bank/debit`. A defined step's address is then
 * `step.at("grpc://host:port/bank.Bank")`. Messages are JSON text. The route of a workflow is served for DTM's
 * `workflow.Workflow/Execute` as well.
 */
export function addRoutes(
  server: Server,
  service: string,
  routes: readonly Route[],
  options: ServeRoutesOptions = {},
): void {
  for (const one of routes) {
    const path = `/${service}${one.path}`;
    const wrapped = path === "/workflow.Workflow/Execute";
    const handle: handleUnaryCall<Buffer, Buffer> = (call, done) => {
      const body = wrapped ? workflowInput(call.request) : call.request;
      const query = new URLSearchParams(identityFields(call.metadata));
      const header = (name: string) => textIn(call.metadata, name);
      one.handle({ ...options, url: `${one.path}?${query}`, body, header }).then((answer) => {
        if (answer.status === 200) done(null, Buffer.from(wrapped ? "" : answer.body, "utf8"));
        else done(statusOf(answer.status, answer.body));
      }, done);
    };
    server.register(path, handle, raw, raw, "unary");
  }
}

const raw = (bytes: Buffer): Buffer => bytes;

/** A message `WorkflowData`: its first field is the input. */
function workflowInput(message: Buffer): Buffer {
  const reader = new ProtobufReader(message);
  let input: Buffer = Buffer.alloc(0);
  while (reader.next()) {
    if (reader.field === 1) input = reader.bytes() ?? input;
    else reader.skip();
  }
  return input;
}

const codes: Readonly<Record<number, GrpcStatus["code"]>> = { 400: 3, 409: 10, 425: 9 };

/** A failure with details goes as the JSON that HTTP would carry: a status has one text only. */
function statusOf(status: number, body: string): { readonly code: number; readonly details: string } {
  const {
    error = "",
    hint,
    details,
  } = JSON.parse(body) as Readonly<{ error?: string; hint?: string; details?: unknown }>;
  const text = hint === undefined ? error : `${error} (${hint})`;
  return { code: codes[status] ?? 2, details: details === undefined ? text : body };
}

/**
 * A method of a service of one's own: `server.addService(Bank.service, { transIn: participantMethod(handler) })`. What
 * the handler gives is the reply; a barrier's result is its value. Where there is none, after a repeat for instance,
 * the reply is `empty`.
 */
export function participantMethod<Request, Reply extends object>(
  handler: (delivery: Delivery, request: Request, call: ServerUnaryCall<Request, Reply>) => unknown,
  empty: Reply,
  options: ServeRoutesOptions = {},
): handleUnaryCall<Request, Reply> {
  return (call, done) => {
    const answered = async (): Promise<Reply> => {
      const delivery = deliveryOf(call.metadata);
      const value = await handling(delivery, async () => handler(delivery, call.request, call)).catch(
        (error: unknown) => {
          throw mustSucceed(delivery.branch, error);
        },
      );
      // The service's own serializer checks what the handler gave.
      return (unwrapped(value) ?? empty) as Reply;
    };
    answered().then(
      (reply) => done(null, reply),
      (error: unknown) => {
        const { code, message } = toGrpc(error);
        const query = new URLSearchParams(identityFields(call.metadata));
        if (code === 2 || code === 3) tell(options.onError ?? warn, error, `${call.getPath()}?${query}`);
        done({ code, details: message });
      },
    );
  };
}
