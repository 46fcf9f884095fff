/**
 * The bytes of a call over HTTP, before anybody sends them: S-BR-10…14 for plain HTTP, S-BR-20 and 21 for JSON-RPC.
 * Pure but for the random id of a JSON-RPC request.
 */
import { randomBytes } from "node:crypto";
import type { Call } from "../ports/caller.js";
import type { HttpUrl } from "./url.js";

/** One request, ready for any HTTP client. */
export interface HttpRequest {
  readonly url: HttpUrl;
  readonly method: "GET" | "POST";
  /** Path and query as they go into the request line. */
  readonly path: string;
  /** Name, value, name, value …; without Host, Content-Length and what concerns the connection. */
  readonly headers: readonly string[];
  /** `undefined` for GET; empty is sent as `Content-Length: 0`. */
  readonly body: Uint8Array | undefined;
}

const agent = "tandem";

/** A branch called the plain way: payload as body, identity in the query. */
export function plainRequest(url: HttpUrl, call: Call): HttpRequest | { readonly invalid: string } {
  const headers = headersOf(call.headers);
  if (typeof headers === "string") return { invalid: headers };
  const posted = call.payload.length > 0 || call.type === "xa";
  return {
    url,
    method: posted ? "POST" : "GET",
    path: `${url.path}?${url.query === "" ? "" : `${url.query}&`}${identity(call)}`,
    headers,
    body: posted ? call.payload : undefined,
  };
}

function identity({ branchId, gid, op, type }: Call): string {
  return `branch_id=${escaped(branchId)}&gid=${escaped(gid)}&op=${escaped(op)}&trans_type=${type}`;
}

/** As Go's url.QueryEscape: only letters, digits and `-_.~` stay, a blank becomes `+`. */
function escaped(value: string): string {
  if (/^[A-Za-z0-9_.~-]*$/.test(value)) return value;
  return encodeURIComponent(value.replace(/\p{Surrogate}/gu, "\ufffd"))
    .replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll("%20", "+");
}

/**
 * A branch called as a JSON-RPC method: the URL's parameter `method` names it, the payload's members are its params.
 */
export function jsonRpcRequest(url: HttpUrl, call: Call): HttpRequest | { readonly invalid: string } {
  const headers = headersOf(call.headers);
  if (typeof headers === "string") return { invalid: headers };
  const method = new URLSearchParams(url.query).get("method") ?? "";
  const body = `{"id":"${requestId()}","jsonrpc":"2.0","method":${JSON.stringify(method)},"params":${params(call)}}`;
  return {
    url,
    method: "POST",
    path: url.query === "" ? url.path : `${url.path}?${url.query}`,
    headers,
    body: Buffer.from(body),
  };
}

/**
 * The payload's members and the four of the call. The payload's text is kept as it is, so that no number loses digits;
 * only where it already has one of the four names is it written anew. What is no object is left out (S-BUG-4).
 */
function params({ payload, branchId, gid, op, type }: Call): string {
  const own = { branch_id: branchId, gid, op, trans_type: type };
  const text = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString("utf8").trim();
  const parsed = parseObject(text);
  if (parsed === undefined || Object.keys(parsed).length === 0) return JSON.stringify(own);
  if (Object.keys(own).some((name) => Object.hasOwn(parsed, name))) return JSON.stringify({ ...parsed, ...own });
  return `${text.slice(0, -1)},${JSON.stringify(own).slice(1)}`;
}

function parseObject(text: string): Record<string, unknown> | undefined {
  if (!text.startsWith("{")) return undefined;
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

const idAlphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/** 22 characters of DTM's alphabet; nobody reads them, they only must differ. */
function requestId(): string {
  return Array.from(randomBytes(22), (byte) => idAlphabet[byte % idAlphabet.length]).join("");
}

const plainHeaders: readonly string[] = [
  ...["User-Agent", agent],
  ...["Accept", "application/json"],
  ...["Content-Type", "application/json"],
];

/** Headers of S-BR-14, the branch's own over ours; or why they cannot be sent. */
function headersOf(own: Readonly<Record<string, string>>): readonly string[] | string {
  const names = Object.keys(own);
  if (names.length === 0) return plainHeaders;
  const headers = new Map([
    ["User-Agent", agent],
    ["Content-Type", "application/json"],
  ]);
  for (const name of names) {
    const value = own[name] ?? "";
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) || /[^\t\x20-\x7e\x80-\uffff]/.test(value))
      return `header '${name.slice(0, 80)}' cannot be sent: its name or value has characters that HTTP does not allow`;
    if (connectionHeaders.has(name.toLowerCase())) continue;
    headers.set(canonical(name), Buffer.from(value.trim(), "utf8").toString("latin1"));
  }
  const type = headers.get("Content-Type") ?? "";
  if (!headers.has("Accept") && /(?:application|text)\/[^;]*(?:json|xml)[^;]*(?:;|$)/i.test(type))
    headers.set("Accept", type);
  return [...headers].flat();
}

/** Those belong to the connection, not to the branch: never taken over from a transaction. */
const connectionHeaders: ReadonlySet<string> = new Set([
  ...["host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer", "expect"],
  ...["proxy-connection", "accept-encoding"],
]);

/** Go's form of a header name: a capital at the start and after each hyphen, small letters elsewhere. */
function canonical(name: string): string {
  return name.toLowerCase().replace(/(?:^|-)[a-z]/g, (c) => c.toUpperCase());
}
