// Which branch and op a delivery is for, read from whatever carries it: a URL, query parameters, a web framework's
// request, gRPC metadata, headers or a plain object. Ids are opaque here: they are checked for presence and length,
// never changed, and reach a database only as bound parameters.

import { InvalidBranch } from "./errors.js";

/**
 * The four ids of one delivery, and the address of the coordinator where the caller gave one (tcc try, xa action,
 * check-back).
 */
export interface BranchIdentity {
  readonly transType: string;
  readonly gid: string;
  readonly branchId: string;
  readonly op: string;
  /** Base URL of the coordinator, only on calls made by an initiator. */
  readonly dtm?: string;
  /** Where phase two of an XA branch is to be sent, only on XA actions. */
  readonly phase2Url?: string;
}

/** Reads one value by key: URLSearchParams, Headers, gRPC Metadata (a list of values). */
interface KeyedSource {
  get(key: string): unknown;
}

/** A request whose `url` ends in the query string: Fetch, Fastify, Express, Hono's `c.req`, node's IncomingMessage. */
export interface RequestLike {
  readonly url: string;
}

/** Anything an identity can be read from. A string is a URL or a bare query string. */
export type BranchSource = string | URL | KeyedSource | RequestLike | Readonly<Record<string, unknown>>;

/** Column widths of the barrier table; a longer id would be cut by INSERT IGNORE and meet another id's row. */
export const idLengthMax = { gid: 128, branchId: 128, op: 45, transType: 45 } as const;

/** The branch a check-back or a message's local transaction stands for, whatever the query says. */
export const messageBranch = { branchId: "00", op: "msg" } as const;

const unfit = /[\u0000-\u001f\u007f]|\p{Surrogate}/u;

const wireKeys = { transType: "trans_type", gid: "gid", branchId: "branch_id", op: "op" } as const;

/** Reads and checks an identity; throws `InvalidBranch` naming every key that is missing, empty or too long. */
export function readIdentity(source: BranchSource): BranchIdentity {
  const read = reader(source);
  const entries = Object.entries(wireKeys).map(([name, key]) => [name, read(key)] as const);
  const ids = Object.fromEntries(entries) as Record<keyof typeof wireKeys, string>;
  checkIdentity(ids);
  const dtm = read("dtm");
  const phase2Url = read("phase2_url");
  return { ...ids, ...(dtm === "" ? {} : { dtm }), ...(phase2Url === "" ? {} : { phase2Url }) };
}

/** Presence and length of the four ids; lengths count characters, as the database does. */
export function checkIdentity(ids: Pick<BranchIdentity, keyof typeof wireKeys>): void {
  const keys = Object.keys(wireKeys) as (keyof typeof wireKeys)[];
  const missing = keys.filter((name) => ids[name] === "").map((name) => wireKeys[name]);
  if (missing.length > 0) {
    throw new InvalidBranch(`the delivery carries no ${missing.join(", ")}`, {
      gid: ids.gid,
      hint: "is this route called by a coordinator? Pass the request itself, or its query parameters, not its body",
    });
  }
  const broken = keys.filter((name) => unfit.test(ids[name])).map((name) => wireKeys[name]);
  if (broken.length > 0) {
    throw new InvalidBranch(`${broken.join(", ")} has control characters or half a surrogate pair`, {
      hint: "ids may hold any characters but these, which databases and headers cannot carry",
    });
  }
  const long = keys.filter((name) => ids[name].length > idLengthMax[name] && [...ids[name]].length > idLengthMax[name]);
  if (long.length === 0) return;
  const limits = long.map((name) => `${wireKeys[name]} has more than ${idLengthMax[name]} characters`);
  throw new InvalidBranch(limits.join("; "), { hint: "choose shorter ids: a barrier row cannot hold these" });
}

/** A function giving the text of a wire key, "" when absent. Query names win over metadata names. */
function reader(source: BranchSource): (key: string) => string {
  if (typeof source === "string") return queryReader(source);
  if (source instanceof URL) return (key) => source.searchParams.get(key) ?? "";
  if (typeof source !== "object" || source === null) {
    throw new InvalidBranch(`cannot read a branch from ${source === null ? "null" : typeof source}`, {
      hint: "pass the request itself, its URL or its query parameters",
    });
  }
  const fields = source as Readonly<Record<string, unknown>>;
  const plain = carriesIds(fields);
  if (!plain && typeof fields.url === "string") return queryReader(fields.url);
  if (!plain && typeof fields.get === "function") {
    const keyed = source as KeyedSource;
    return (key) => textOf(keyed.get(key)) || textOf(keyed.get(metadataKey(key)));
  }
  return (key) => textOf(own(fields, key)) || textOf(own(fields, metadataKey(key))) || textOf(own(fields, camel(key)));
}

/** True for an object that has the ids as members of its own; a `url` beside them is business data. */
export function carriesIds(fields: Readonly<Record<string, unknown>>): boolean {
  return Object.hasOwn(fields, "gid") || Object.hasOwn(fields, "dtm-gid");
}

/** gRPC metadata and NATS headers carry the same names behind `dtm-`; `dtm` itself becomes `dtm-dtm`. */
const metadataKey = (key: string): string => `dtm-${key}`;

const camel = (key: string): string => key.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

const own = (fields: Readonly<Record<string, unknown>>, key: string): unknown =>
  Object.hasOwn(fields, key) ? fields[key] : undefined;

/** The query part of a URL, or the whole text where there is no question mark. */
function queryReader(text: string): (key: string) => string {
  const parameters = new URLSearchParams(text.slice(text.indexOf("?") + 1).replace(/#.*$/s, ""));
  return (key) => parameters.get(key) ?? "";
}

/** First of several values; bytes as UTF-8; everything that is not text counts as absent. */
function textOf(value: unknown): string {
  const first: unknown = Array.isArray(value) ? value[0] : value;
  if (typeof first === "string") return first;
  return first instanceof Uint8Array ? new TextDecoder().decode(first) : "";
}
