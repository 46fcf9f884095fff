/**
 * Which store a node uses: our URL (`lmdb:DIR`, `memory:`, `mysql://…`), or DTM's Driver, Host, Port, User, Password,
 * Db.
 */
import { urlHost } from "../wire/url.js";
import type { Values } from "./keys.js";

/** Where transactions are kept. `url` of MySQL holds the password; show it with `masked`. */
export type StoreChoice = { readonly kind: "lmdb"; readonly dir: string } | { readonly kind: "memory" } | MysqlChoice;

/** `url` is for people; connect by `connectUrl`. `tls` is absent where the database is called in plain text. */
export interface MysqlChoice extends SharedChoice {
  readonly kind: "mysql";
  readonly url: string;
  readonly tls?: StoreTls;
}

/** PEM texts; empty: the system's authorities, no certificate. */
export interface StoreTls {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** Of a database that nodes share. */
interface SharedChoice {
  /** Of one node; at least three are needed. */
  readonly maxConnections: number;
  /** A node does not make or change tables. */
  readonly migrateByHand: boolean;
  /** Newest format that the node offers to write; 0 = the newest that it knows. */
  readonly formatMax: number;
}

/** The embedded store of a node that was told nothing. */
export const defaultDir = "tandem-data";

/** The store of a URL, or what is wrong with it. */
export function storeOfUrl(url: string, values: Values): StoreChoice | { readonly problem: string } {
  if (url === "memory:") return { kind: "memory" };
  if (url.startsWith("lmdb:")) {
    const dir = url.slice("lmdb:".length);
    return dir === "" ? { problem: "names no folder; needs lmdb:DIR" } : { kind: "lmdb", dir };
  }
  const needs = "needs lmdb:DIR, memory: or mysql://USER:PASSWORD@HOST:PORT/DB";
  if (!url.startsWith("mysql://") || !URL.canParse(url)) return { problem: `is no store of this version; ${needs}` };
  const { hostname, username, pathname } = new URL(url);
  if (hostname === "") return { problem: `names no host; ${needs}` };
  if (username === "") return { problem: `names no user; ${needs}` };
  if (!/^\/[^/]{1,64}$/.test(pathname)) return { problem: `names no database; ${needs}` };
  return { kind: "mysql", url, ...sharedOf(values) };
}

/** The store of DTM's keys, or what is wrong, in DTM's words where it has some (S-CFG-1). */
export function storeOfDriver(values: Values): StoreChoice | { readonly problem: string } {
  const driver = values["Store.Driver"];
  if (driver === "boltdb") return { kind: "lmdb", dir: defaultDir };
  if (driver !== "mysql")
    return { problem: `Store.Driver '${driver}' is no store of this version; needs boltdb or mysql` };
  const { "Store.Host": host, "Store.Port": port, "Store.User": user, "Store.Password": password } = values;
  if (host === "") return { problem: "Store.Host: Db host not valid ; Store.Driver mysql needs it" };
  if (port === 0) return { problem: "Store.Port: Db port not valid ; Store.Driver mysql needs it" };
  if (user === "") return { problem: "Store.User: Db user not valid ; Store.Driver mysql needs it" };
  const url = new URL(`mysql://${urlHost(host)}:${port}`);
  url.username = encodeURIComponent(user);
  url.password = encodeURIComponent(password);
  url.pathname = encodeURIComponent(values["Store.Db"]);
  return { kind: "mysql", url: url.href, ...sharedOf(values) };
}

/** The URL by which the driver connects, TLS included. Never to be shown: it may hold a private key. */
export function connectUrl({ url, tls }: Pick<MysqlChoice, "url" | "tls">): string {
  if (tls === undefined) return url;
  const { ca, cert, key } = tls;
  const ssl = {
    rejectUnauthorized: true,
    verifyIdentity: true,
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
  };
  const full = new URL(url);
  full.searchParams.set("ssl", JSON.stringify(ssl));
  return full.href;
}

function sharedOf(values: Values): SharedChoice {
  return {
    maxConnections: values["Store.MaxOpenConns"],
    migrateByHand: values["Store.MigrateByHand"],
    formatMax: values["Store.FormatMax"],
  };
}

/**
 * A URL with its password hidden, for logs and messages; hides too much rather than too little when it is malformed.
 */
export function masked(url: string): string {
  return url.replace(/(\/\/[^:@/]*:).*@/, "$1***@").replace(/^((?:nats|tls):\/\/)[^:@/]+@/, "$1***@");
}
