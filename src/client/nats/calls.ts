// Calls that this client makes itself to NATS participants (tcc try, xa action, a check-back): the branch in headers,
// percent-encoded as in a query.

import type { NatsConnection } from "nats";
import type { ParticipantTransport } from "../call.js";
import type { BranchIdentity } from "../identity.js";
import { classifyHttp } from "../result.js";
import { natsRequest } from "./endpoint.js";

const scheme = "nats://";
const statuses = { success: 200, failure: 409, ongoing: 425, unknown: 500 } as const;

/** Lets a client call NATS participants: `createClient({ participants: [natsCalls(connection)] })`. */
export function natsCalls(connection: NatsConnection): ParticipantTransport {
  return {
    takes: (url) => url.startsWith(scheme),
    async call({ url, branch, body, headers }, signal) {
      const named = { ...headers, ...branchHeaders(branch) };
      const reply = await natsRequest(connection, url.slice(scheme.length), body, named, signal);
      const word = reply.headers?.get("Status") || reply.headers?.get("Nats-Service-Error-Code") || "";
      const text = reply.string() || (reply.headers?.get("Nats-Service-Error") ?? "");
      // A service that gives no status says DTM's words in its text, as the coordinator reads it.
      const status = word === "" ? statuses[classifyHttp(200, text)] : Number(word);
      return { status, text, bytes: reply.data };
    },
  };
}

function branchHeaders({ gid, transType, branchId, op, dtm, phase2Url }: BranchIdentity) {
  const texts = { gid, trans_type: transType, branch_id: branchId, op, dtm, phase2_url: phase2Url };
  const present = Object.entries(texts).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return Object.fromEntries(present.map(([name, text]) => [name, encodeURIComponent(text)]));
}
