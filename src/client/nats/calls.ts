// Calls that this client makes itself to NATS participants (tcc try, xa action, a check-back): the branch in headers,
// percent-encoded as in a query.

import type { NatsConnection } from "nats";
import type { ParticipantTransport } from "../call.js";
import type { BranchIdentity } from "../identity.js";
import { natsRequest } from "./endpoint.js";

const scheme = "nats://";

/** Lets a client call NATS participants: `createClient({ participants: [natsCalls(connection)] })`. */
export function natsCalls(connection: NatsConnection): ParticipantTransport {
  return {
    takes: (url) => url.startsWith(scheme),
    async call({ url, branch, body, headers }, signal) {
      const named = { ...headers, ...branchHeaders(branch) };
      const reply = await natsRequest(connection, url.slice(scheme.length), body, named, signal);
      const status = reply.headers?.get("Status") || reply.headers?.get("Nats-Service-Error-Code") || "200";
      return { status: Number(status), text: reply.string() || (reply.headers?.get("Nats-Service-Error") ?? "") };
    },
  };
}

function branchHeaders({ gid, transType, branchId, op, dtm, phase2Url }: BranchIdentity) {
  const texts = { gid, trans_type: transType, branch_id: branchId, op, dtm, phase2_url: phase2Url };
  const present = Object.entries(texts).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return Object.fromEntries(present.map(([name, text]) => [name, encodeURIComponent(text)]));
}
