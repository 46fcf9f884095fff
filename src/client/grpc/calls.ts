// Calls that this client makes itself to gRPC participants (tcc try, xa action, a check-back): the branch in metadata,
// the payload's bytes as message, the reply's bytes as text.

import { type ChannelCredentials, Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import type { ParticipantCall, ParticipantTransport } from "../call.js";
import { invalidInput } from "../errors.js";
import type { BranchIdentity } from "../identity.js";
import { unary } from "./endpoint.js";
import { answerOf } from "./messages.js";

/** Settings of `grpcCalls`. */
export interface GrpcCallsOptions {
  /** For `grpcs://` URLs; default: TLS with the system's authorities. */
  readonly credentials?: ChannelCredentials;
}

/** `grpc://host:port/package.Service/Method`, `grpcs://…`, or without scheme as DTM writes it. */
const form = /^(?:(grpcs?):\/\/)?([^\s/]+:\d{1,5})(\/[^\s/]+\/[^\s]+)$/;

/** Lets a client call gRPC participants: `createClient({ participants: [grpcCalls()] })`. One connection per host. */
export function grpcCalls(options: GrpcCallsOptions = {}): ParticipantTransport {
  const clients = new Map<string, Client>();
  const clientOf = (secure: boolean, host: string): Client => {
    const key = `${secure} ${host}`;
    const known = clients.get(key);
    if (known !== undefined) return known;
    const made = new Client(
      host,
      secure ? (options.credentials ?? credentials.createSsl()) : credentials.createInsecure(),
    );
    clients.set(key, made);
    return made;
  };
  return {
    takes: (url) => form.test(url),
    async call(call, signal) {
      const [, scheme, host = "", method = ""] = form.exec(call.url) ?? [];
      const client = clientOf(scheme === "grpcs", host);
      try {
        const reply = await unary(client, method, Buffer.from(call.body), signal, metadataOf(call));
        return { status: 200, text: reply.toString("utf8"), bytes: reply };
      } catch (error) {
        const { code, details } = error as Partial<ServiceError>;
        const answer = typeof code === "number" ? answerOf(code, details ?? "") : undefined;
        if (answer === undefined) throw error;
        return { status: answer.status, text: details?.startsWith("{") ? details : JSON.stringify(answer.body) };
      }
    },
    close: async () => {
      for (const client of clients.values()) client.close();
      clients.clear();
    },
  };
}

function metadataOf({ branch, headers }: ParticipantCall): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers ?? {})) metadata.set(name.toLowerCase(), value);
  for (const [key, value] of Object.entries(branchMetadata(branch))) metadata.set(key, value);
  return metadata;
}

/** DTM's names. Throws DTX_INVALID_INPUT for ids that metadata cannot carry. */
function branchMetadata(branch: BranchIdentity): Readonly<Record<string, string>> {
  const { gid, transType, branchId, op, dtm = "", phase2Url } = branch;
  if (!/^[\x20-\x7e]*$/.test(gid)) {
    throw invalidInput(`gRPC cannot carry the gid ${JSON.stringify(gid)}`, {
      gid,
      hint: "gids of transactions with gRPC participants have printable ASCII characters only",
    });
  }
  return {
    "dtm-gid": gid,
    "dtm-trans_type": transType,
    "dtm-branch_id": branchId,
    "dtm-op": op,
    "dtm-dtm": dtm,
    ...(phase2Url === undefined ? {} : { "dtm-phase2_url": phase2Url }),
  };
}
