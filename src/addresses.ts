/**
 * Under which addresses a node's own APIs can be reached, so that no branch leads there (D4). Looked up once, when the
 * node listens: an interface that comes later is not known.
 */
import { hostname, networkInterfaces } from "node:os";
import { urlHost } from "./wire/url.js";

/** What a node listens on. */
export interface Listening {
  readonly host: string;
  readonly ports: readonly number[];
  /** URL that others are told, empty: none; its port may be another one than those listened on. */
  readonly advertise: string;
}

/** What the machine is called: its name, and the addresses of its interfaces. */
export interface Machine {
  readonly name: string;
  readonly interfaces: readonly string[];
}

/** "host:port" under every name that leads to the node. */
export function ownAddresses(listening: Listening, machine: Machine = thisMachine()): readonly string[] {
  const { host, ports, advertise } = listening;
  const advertised = advertise === "" ? undefined : new URL(advertise);
  const names = [...namesOf(host, machine), ...(advertised === undefined ? [] : [advertised.hostname])];
  const addresses = names.flatMap((name) => ports.map((port) => `${urlHost(name)}:${port}`));
  return [...new Set([...addresses, ...(advertised === undefined ? [] : [advertised.host])])];
}

function namesOf(host: string, { name, interfaces }: Machine): readonly string[] {
  if (host === "0.0.0.0" || host === "::") return ["127.0.0.1", "::1", "localhost", name, ...interfaces];
  const loopback = host === "127.0.0.1" || host === "::1" || host === "localhost";
  return loopback ? [host, "localhost"] : [host, name];
}

function thisMachine(): Machine {
  const interfaces = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return { name: hostname(), interfaces: interfaces.map(({ address }) => address) };
}
