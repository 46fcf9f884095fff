/**
 * Reads the URLs of participants: which protocol a URL is called by (S-BR-2, S-BR-30), where it leads, and why some
 * can never be called (D4). Nothing is resolved here.
 *
 * Path and query stay as they were written: no dot segments are folded, nothing is decoded. Only what cannot stand in a
 * request line is percent-encoded.
 */
import type { Protocol } from "../core/transaction.js";
import type { Target } from "../ports/caller.js";
import { urlHost } from "../wire/url.js";

/** An address that plain HTTP or JSON-RPC can call. */
export interface HttpUrl extends Target {
  readonly kind: "http" | "json-rpc";
  readonly secure: boolean;
  /** As DNS or the kernel takes it: without brackets. */
  readonly host: string;
  readonly port: number;
  /** Value of the Host header. */
  readonly authority: string;
  /** Path as written, at least "/". */
  readonly path: string;
  /** Without "?", as written; "" when there was none. */
  readonly query: string;
}

/** An address that gRPC can call. */
export interface GrpcUrl extends Target {
  readonly kind: "grpc";
  readonly secure: boolean;
  readonly host: string;
  readonly port: number;
  /** host:port as written. */
  readonly authority: string;
  /** `/pkg.Service/Method`. */
  readonly method: string;
}

/** A subject that a NATS participant listens on. */
export interface NatsUrl extends Target {
  readonly kind: "nats";
  readonly subject: string;
  /** Nothing that HTTP could reach. */
  readonly host: "";
  readonly port: 0;
  readonly authority: string;
}

/** No caller can take the URL; `invalid` says why, in words for the client. */
export interface InvalidUrl {
  readonly kind: "invalid";
  readonly invalid: string;
}

/** A URL taken apart, by the protocol that will call it. */
export type ParsedUrl = HttpUrl | GrpcUrl | NatsUrl | InvalidUrl;

/**
 * Decides the protocol by S-BR-2 and takes the URL apart. `grpc://`, `grpcs://` and `nats://` say it themselves, in any
 * transaction.
 */
export function parseUrl(protocol: Protocol, url: string): ParsedUrl {
  if (url === "") return invalid("the URL is empty");
  if (/[\x00-\x1f\x7f]|%0[0ad]/i.test(url))
    return invalid("control characters, also encoded ones, are not allowed in a URL");
  if (/\p{Surrogate}/u.test(url)) return invalid("the URL holds half of a surrogate pair");
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(url)?.[1]?.toLowerCase();
  if (scheme === "http" || scheme === "https")
    return parseHttp(scheme, url, protocol === "json-rpc" && url.includes("method") ? "json-rpc" : "http");
  if (scheme === "grpc" || scheme === "grpcs") return parseGrpc(scheme === "grpcs", url.slice(scheme.length + 3));
  if (scheme === "nats") return parseNats(url.slice("nats://".length));
  if (scheme !== undefined) return invalid(`nothing here calls URLs of scheme '${scheme}'`);
  if (protocol === "http") return invalid("a URL of an http transaction begins with http:// or https://");
  return parseGrpc(false, url);
}

function parseHttp(scheme: "http" | "https", url: string, kind: "http" | "json-rpc"): ParsedUrl {
  const [, authority = "", path = "", query = ""] = /^[a-z]+:\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?/i.exec(url) ?? [];
  const place = parseAuthority(scheme, authority);
  if ("invalid" in place) return place;
  const origin = `${scheme}://${place.authority}`;
  const line = path === "" ? "/" : encodeRest(path);
  const target = origin + line;
  return { kind, secure: scheme === "https", ...place, path: line, query: encodeRest(query), origin, target };
}

function parseGrpc(secure: boolean, rest: string): ParsedUrl {
  const slash = rest.indexOf("/");
  if (slash < 0) return invalid("a gRPC address is host:port/package.Service/Method, here the method is missing");
  const [authority, method] = [rest.slice(0, slash), rest.slice(slash)];
  if (!/^(?:\/[\x21\x24-\x2e\x30-\x3e\x40-\x7e]+){2,}$/.test(method))
    return invalid(`a gRPC address is host:port/package.Service/Method, here the method is '${method}'`);
  if (!/:\d+$/.test(authority))
    return invalid("a gRPC address is host:port/package.Service/Method, here the port is missing");
  const place = parseAuthority(secure ? "https" : "http", authority);
  if ("invalid" in place) return place;
  const origin = `${secure ? "grpcs" : "grpc"}://${urlHost(place.host)}:${place.port}`;
  return { kind: "grpc", secure, ...place, authority, method, origin, target: origin + method };
}

/** Tokens of printable ASCII; `$` and `_` at the beginning are NATS' own subjects and inboxes. */
function parseNats(subject: string): ParsedUrl {
  const wrong = subject.split(".").find((token) => !/^[\x21-\x29\x2b-\x2d\x2f-\x3d\x3f-\x7e]+$/.test(token));
  if (wrong === "") return invalid("a NATS address is nats://subject without empty tokens");
  if (wrong !== undefined)
    return invalid(`a NATS subject has printable tokens without wildcards, here one is '${wrong}'`);
  if (/^[$_]/.test(subject)) return invalid("a NATS subject of a participant does not begin with $ or _");
  const origin = `nats://${subject}`;
  return { kind: "nats", subject, host: "", port: 0, authority: subject, origin, target: origin };
}

function parseAuthority(scheme: "http" | "https", text: string) {
  if (text.includes("@")) return invalid("user and password are not allowed in a URL");
  if (text === "" || /[\s\\]/.test(text) || !URL.canParse(`${scheme}://${text}`))
    return invalid(`'${text}' is no host and port`);
  const { hostname, host, port } = new URL(`${scheme}://${text}`);
  const number = port === "" ? (scheme === "https" ? 443 : 80) : Number(port);
  return { host: hostname.replace(/^\[|\]$/g, ""), port: number, authority: host };
}

/** Percent-encodes what may not stand in a request line; "%" stays, for what is already encoded. */
function encodeRest(text: string): string {
  return /^[\x21\x23-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e]*$/.test(text)
    ? text
    : text.replace(/[^\x21\x23-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e]/gu, (c) => encodeURIComponent(c));
}

function invalid(why: string): InvalidUrl {
  return { kind: "invalid", invalid: why };
}

/** A host and port; local ones count as one host. */
export interface Place {
  readonly host: string;
  readonly port: number;
}

/** The places of "host:port" texts; what is none is left out. */
export function placesOf(addresses: readonly string[]): readonly Place[] {
  return addresses.flatMap((address) => {
    const place = parseAuthority("http", address);
    return "invalid" in place ? [] : [place];
  });
}

/**
 * Does the address lead to one of `own`? All names of the loopback count as one, and an own address that listens
 * everywhere is met by every loopback address. A name with the dot of the root is the name without it, and an IPv4
 * address written as IPv6 is itself.
 */
export function leadsTo(own: readonly Place[], host: string, port: number): boolean {
  const wanted = plainHost(host);
  return own.some((place) => {
    if (place.port !== port) return false;
    const known = plainHost(place.host);
    return known === wanted || (isLocal(known) && isLocal(wanted));
  });
}

function plainHost(host: string): string {
  const [, high, low] = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(host) ?? [];
  if (high === undefined || low === undefined) return host.endsWith(".") ? host.slice(0, -1) : host;
  const bits = Number.parseInt(high, 16) * 65_536 + Number.parseInt(low, 16);
  return [24, 16, 8, 0].map((shift) => (bits >>> shift) & 255).join(".");
}

function isLocal(host: string): boolean {
  return /^(?:localhost|.+\.localhost|127\.\d+\.\d+\.\d+|0\.0\.0\.0|::1?)$/.test(host);
}
