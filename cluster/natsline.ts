/**
 * The connection of a node, or of one of its threads, to the NATS of its cluster.
 */
import type { ClusterConfig } from "../src/config/cluster.js";
import type { Clock } from "../src/ports/clock.js";
import type { Log } from "../src/ports/observer.js";
import { type NatsLine, openNats } from "./bus/nats.js";

/** Connects as the configuration says, again and again if need be. `log` hears of it. */
export function connectNats(
  { url, node, credsFile, nkeyFile, ...pem }: ClusterConfig,
  log: Log,
  clock: Clock,
): NatsLine {
  const { ca, cert, key } = pem;
  const tls = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
  const secure = Object.keys(tls).length > 0 ? { tls } : {};
  return openNats({ url, name: `tandem ${node}`, credsFile, nkeyFile, ...secure }, log, clock);
}
