/**
 * Certificates for calls: one set for all targets, and own ones for single targets (a private authority, a client
 * certificate). PEM texts, read from files by whoever starts the process.
 */
import { rootCertificates } from "node:tls";

/** How a target proves who it is, and how we do. */
export interface TlsProfile {
  /** Authorities trusted beside the usual ones. */
  readonly ca?: string | undefined;
  /** Client certificate and its key. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/** `targets` is keyed by "host:port" or "host"; the more exact one counts, alone. */
export interface TlsOptions extends TlsProfile {
  readonly targets?: Readonly<Record<string, TlsProfile>> | undefined;
}

/** Options for `node:tls`; the same object for the same profile. */
export interface TlsMaterial {
  readonly ca?: string[];
  readonly cert?: string;
  readonly key?: string;
}

/** What is known of targets that are called over TLS. */
export interface TlsProfiles {
  of(host: string, port: number): TlsMaterial;
  /** Whether the target has a profile of its own: plain gRPC addresses of such targets are called over TLS. */
  isNamed(host: string, port: number): boolean;
}

/** Compiles the options once. */
export function tlsProfiles(options: TlsOptions): TlsProfiles {
  const common = material(options);
  const named = new Map(Object.entries(options.targets ?? {}).map(([name, profile]) => [name, material(profile)]));
  const find = (host: string, port: number) => named.get(`${host}:${port}`) ?? named.get(host);
  return {
    of: (host, port) => find(host, port) ?? common,
    isNamed: (host, port) => find(host, port) !== undefined,
  };
}

function material({ ca, cert, key }: TlsProfile): TlsMaterial {
  return {
    ...(ca !== undefined && { ca: [...rootCertificates, ca] }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
  };
}
