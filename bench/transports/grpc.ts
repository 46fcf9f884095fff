// The patterns over DTM's gRPC API with gRPC participants: bare HTTP/2 and hand-made messages, since a library's
// client would cost more than the server that is measured.
import { type ClientHttp2Session, connect } from "node:http2";
import { frameOf } from "../../src/wire/grpc.js";
import { ProtobufWriter } from "../../src/wire/protobuf.js";
import type { Pattern } from "../patterns.js";
import type { Initiator } from "./transport.js";

/** One request of a transaction: an operation of the coordinator, or (a try) a participant's method. */
interface Request {
  readonly to: "coordinator" | "participant";
  readonly path: string;
  readonly message: Uint8Array;
  readonly metadata?: Readonly<Record<string, string>>;
}

const payload = Buffer.from(JSON.stringify({ amount: 30, from: "a", to: "b" }));

/** Opens a client of `grpc://host:port`. */
export async function openGrpc(address: string, pattern: Pattern, participantPort: number): Promise<Initiator> {
  const coordinator = connect(`http://${new URL(address).host}`);
  const participant = connect(`http://127.0.0.1:${participantPort}`);
  for (const session of [coordinator, participant]) session.on("error", () => {});
  const requests = scripts[pattern](`127.0.0.1:${participantPort}/${pattern}`);
  return {
    async run(gid) {
      for (const request of requests(gid)) {
        const status = await call(request.to === "coordinator" ? coordinator : participant, request);
        if (status !== "0") return `${request.path}: ${status}`;
      }
      return undefined;
    },
    close() {
      coordinator.destroy();
      participant.destroy();
    },
  };
}

/** Status of a call, `0` for OK; never rejects. */
function call(session: ClientHttp2Session, { path, message, metadata }: Request): Promise<string> {
  return new Promise((resolve) => {
    const headers = {
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      ...metadata,
    };
    let status = "no answer";
    const told = (more: Readonly<Record<string, unknown>>) => {
      if (more["grpc-status"] !== undefined)
        status = [more["grpc-status"], more["grpc-message"]].filter(Boolean).join(" ");
    };
    try {
      const stream = session.request(headers);
      stream
        .on("response", told)
        .on("trailers", told)
        .on("error", (error) => {
          status = error.message;
        });
      stream.on("close", () => resolve(status));
      stream.resume();
      stream.end(frameOf(message));
    } catch (error) {
      resolve(String(error));
    }
  });
}

type Script = (participant: string) => (gid: string) => readonly Request[];

const scripts: Readonly<Record<Pattern, Script>> = {
  saga: (at) => (gid) => [operation("Submit", transaction(gid, "saga", [`${at}/accept`, `${at}/accept`]))],
  rollback: (at) => (gid) => [operation("Submit", transaction(gid, "saga", [`${at}/accept`, `${at}/refuse`]))],
  msg: (at) => (gid) => {
    const message = transaction(gid, "msg", [`${at}/accept`, `${at}/accept`], `${at}/accept`);
    return [operation("Prepare", message), operation("Submit", message)];
  },
  tcc: (at) => (gid) => {
    const whole = new ProtobufWriter().text(1, gid).text(2, "tcc").finish();
    const branches = ["01", "02"].flatMap((branchId) => [
      operation("RegisterBranch", branch(gid, branchId, `${at}/accept`)),
      tried(gid, branchId, at),
    ]);
    return [operation("Prepare", whole), ...branches, operation("Submit", whole)];
  },
};

function operation(name: string, message: Uint8Array): Request {
  return { to: "coordinator", path: `/dtmgimp.Dtm/${name}`, message };
}

function transaction(gid: string, type: string, actions: readonly string[], queryPrepared = ""): Uint8Array {
  const steps = actions.map((action) => (type === "saga" ? { action, compensate: action } : { action }));
  const message = new ProtobufWriter().text(1, gid).text(2, type);
  for (const _ of actions) message.bytes(5, payload);
  return message.text(6, queryPrepared).text(7, JSON.stringify(steps)).finish();
}

function branch(gid: string, branchId: string, url: string): Uint8Array {
  const message = new ProtobufWriter().text(1, gid).text(2, "tcc").text(3, branchId);
  for (const op of ["confirm", "cancel"]) message.bytes(5, new ProtobufWriter().text(1, op).text(2, url).finish());
  return message.bytes(6, payload).finish();
}

/** The initiator calls the try itself, with the metadata that DTM's client sends. */
function tried(gid: string, branchId: string, at: string): Request {
  const metadata = { "dtm-gid": gid, "dtm-trans_type": "tcc", "dtm-branch_id": branchId, "dtm-op": "try" };
  return { to: "participant", path: `${at.slice(at.indexOf("/"))}/accept`, message: payload, metadata };
}
