// How the load generator speaks to a coordinator. One file per protocol beside this one; `openTransport` picks by the
// address.
import type { Pattern } from "../patterns.js";
import { openGrpc } from "./grpc.js";
import { openHttp } from "./http.js";

/** One client of the closed loop, with connections of its own; one transaction at a time. */
export interface Initiator {
  /**
   * Sends all requests of one transaction. `undefined` when every one was acknowledged, else what went wrong; never
   * rejects.
   */
  run(gid: string): Promise<string | undefined>;
  close(): void;
}

/** Makes clients of one protocol. */
export type Transport = (address: string, pattern: Pattern, participantPort: number) => Promise<Initiator>;

const transports: Readonly<Record<string, Transport>> = { "http:": openHttp, "grpc:": openGrpc };

/** Connects one client to `address`, whose scheme picks the protocol. */
export function openTransport(address: string, pattern: Pattern, participantPort: number): Promise<Initiator> {
  const transport = transports[new URL(address).protocol];
  if (transport === undefined) throw new Error(`no transport for ${address}; known: ${Object.keys(transports)}`);
  return transport(address, pattern, participantPort);
}
