/**
 * What follows from a URL for all calls that go there: its parts, whether it may be called, the operator's headers.
 * Remembered, since a transaction asks for each of its URLs several times.
 */
import type { Protocol } from "../core/transaction.js";
import type { Call, Target } from "../ports/caller.js";
import { type NatsAccess, refuseSubject } from "./nats.js";
import { type TargetHeaders, targetHeaders } from "./provide.js";
import { leadsTo, type ParsedUrl, type Place, parseUrl, placesOf } from "./url.js";

/** See `CallerOptions`. */
export interface KnownOptions {
  readonly ownAddresses: () => readonly string[];
  readonly nats: NatsAccess | undefined;
  readonly targetHeaders: TargetHeaders;
  readonly localhostAs: string | undefined;
}

/** Of one URL as transactions of one protocol have it. */
export interface Known {
  readonly url: ParsedUrl;
  /** Where calls go, or why there can be none. */
  readonly target: Target | { readonly invalid: string };
  /** The operator's for that place. */
  readonly headers: Call["headers"] | undefined;
}

/** Most URLs of one protocol that are remembered; past it all are forgotten. */
const urlsMax = 10_000;

/** All URLs that were asked for, judged by the addresses that the node has now. */
export class KnownUrls {
  readonly #options: KnownOptions;
  readonly #known: { readonly [P in Protocol]: Map<string, Known> } = {
    http: new Map(),
    grpc: new Map(),
    "json-rpc": new Map(),
  };
  #own: readonly Place[] = [];
  #ownTexts: readonly string[] = [];

  constructor(options: KnownOptions) {
    this.#options = options;
  }

  look(protocol: Protocol, text: string): Known {
    this.#followAddresses();
    const urls = this.#known[protocol];
    const known = urls.get(text);
    if (known !== undefined) return known;
    if (urls.size >= urlsMax) urls.clear();
    const fresh = this.#judge(protocol, text);
    urls.set(text, fresh);
    return fresh;
  }

  #judge(protocol: Protocol, text: string): Known {
    const { localhostAs, nats, targetHeaders: byTarget } = this.#options;
    const url = parseUrl(protocol, localhostAs === undefined ? text : elsewhere(text, localhostAs));
    if (url.kind === "invalid") return { url, target: url, headers: undefined };
    const headers = targetHeaders(byTarget, url);
    const refused = url.kind === "nats" ? refuseSubject(url.subject, nats) : undefined;
    if (refused !== undefined) return { url, target: { invalid: refused }, headers };
    if (!leadsTo(this.#own, url.host, url.port)) return { url, target: url, headers };
    return { url, target: { invalid: `${url.authority} is this server itself, which is no participant` }, headers };
  }

  #followAddresses(): void {
    const texts = this.#options.ownAddresses();
    if (texts.length === this.#ownTexts.length && texts.every((text, i) => text === this.#ownTexts[i])) return;
    [this.#own, this.#ownTexts] = [placesOf(texts), [...texts]];
    for (const urls of Object.values(this.#known)) urls.clear();
  }
}

function elsewhere(url: string, name: string): string {
  return url.replace("localhost", name).replace("127.0.0.1", name);
}
