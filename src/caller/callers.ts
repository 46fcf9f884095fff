/**
 * All ways of calling a participant behind the port `Callers`: the URL picks the way (S-BR-2).
 * A new protocol is one folder or file, one kind of URL in `url.ts` and one line in the table below.
 */
import type { Protocol } from "../core/transaction.js";
import {
  type Answer,
  type Call,
  type Callers,
  type HeaderProvider,
  joinHeaders,
  type Target,
} from "../ports/caller.js";
import { GrpcCaller } from "./grpc/grpc.js";
import { callHttp } from "./http.js";
import { createHttp1Exchange } from "./http1/exchange.js";
import { callNats, type NatsAccess, refuseSubject } from "./nats.js";
import { sendProvided, type TargetHeaders, targetHeaders } from "./provide.js";
import { Resolver } from "./resolve.js";
import { unknown } from "./result.js";
import { type TlsOptions, tlsProfiles } from "./tls.js";
import { createUndiciExchange } from "./undici.js";
import {
  type GrpcUrl,
  type HttpUrl,
  leadsTo,
  type NatsUrl,
  type ParsedUrl,
  type Place,
  parseUrl,
  placesOf,
} from "./url.js";

/** What an operator may choose about calls. */
export interface CallerOptions {
  /** Judge HTTP answers by their status alone, any 2xx being success (D5). Default false. */
  readonly strictResults?: boolean;
  /** "host:port" of this node's own APIs: no branch may lead there (D4). Asked again at every look-up. */
  readonly ownAddresses?: () => readonly string[];
  /** Open HTTP connections to one origin. Default 256, the engine's default for calls in flight. */
  readonly connectionsPerOrigin?: number;
  /** What is read of an answer's body. Default 1 MiB. */
  readonly bodyBytesMax?: number;
  /** How long an unused connection is kept, milliseconds. Default 4,000. */
  readonly idleMs?: number;
  readonly tls?: TlsOptions;
  /** For participants at nats://subject; without it there are none. */
  readonly nats?: NatsAccess;
  /** Added to what is sent to a participant, over what submitters say. */
  readonly targetHeaders?: TargetHeaders;
  /** Asked at each call; over everything else. */
  readonly headers?: HeaderProvider | undefined;
  /** Name to call instead of `localhost` and `127.0.0.1`, for a server inside a container (S-BR-3). Default none. */
  readonly localhostAs?: string;
}

/** Most URLs whose parts are remembered; past it all are forgotten. */
const urlsMax = 10_000;

/** Opens no connection until the first call. */
export function createCallers(options: CallerOptions = {}): Callers {
  const { strictResults = false, ownAddresses = () => [], localhostAs } = options;
  const { targetHeaders: byTarget = {} } = options;
  const { connectionsPerOrigin = 256, bodyBytesMax = 1 << 20, idleMs = 4000 } = options;
  const limits = { connectionsPerOrigin, bodyBytesMax, idleMs };
  const tls = tlsProfiles(options.tls ?? {});
  const resolver = new Resolver();
  const plain = createHttp1Exchange(limits, resolver.lookup);
  const secure = createUndiciExchange(limits, tls, resolver.lookup);
  const http: Way<HttpUrl> = (url, call, signal) =>
    callHttp(url.secure ? secure : plain, strictResults, url, call, signal);
  const overGrpc = new GrpcCaller(tls, (host) => resolver.resolve(host));
  const grpc: Way<GrpcUrl> = (url, call, signal) => overGrpc.call(url, call, signal);
  const nats: Way<NatsUrl> = (url, call, signal) => callNats(options.nats, bodyBytesMax, url, call, signal);
  const ways: Ways = { http, "json-rpc": http, grpc, nats };

  let own: readonly Place[] = [];
  let ownTexts: readonly string[] = [];
  const ownPlaces = (): readonly Place[] => {
    const texts = ownAddresses();
    const same = texts.length === ownTexts.length && texts.every((text, i) => text === ownTexts[i]);
    if (!same) [own, ownTexts] = [placesOf(texts), [...texts]];
    return own;
  };
  const urls = new Map<string, ParsedUrl>();
  const parse = (protocol: Protocol, url: string): ParsedUrl => {
    const key = `${protocol} ${url}`;
    const known = urls.get(key);
    if (known !== undefined) return known;
    if (urls.size >= urlsMax) urls.clear();
    const parsed = parseUrl(protocol, localhostAs === undefined ? url : elsewhere(url, localhostAs));
    urls.set(key, parsed);
    return parsed;
  };

  return {
    locate: (protocol, url) => {
      const parsed = parse(protocol, url);
      if (parsed.kind === "invalid") return parsed;
      const refused = parsed.kind === "nats" ? refuseSubject(parsed.subject, options.nats) : undefined;
      if (refused !== undefined) return { invalid: refused };
      if (leadsTo(ownPlaces(), parsed.host, parsed.port))
        return { invalid: `${parsed.authority} is this server itself, which is no participant` };
      return parsed satisfies Target;
    },
    call: (call, signal) => {
      const url = parse(call.protocol, call.url);
      if (url.kind === "invalid") return Promise.resolve(unknown(url.invalid));
      const send = (final: Call, until: AbortSignal) => (ways[url.kind] as Way<Reachable>)(url, final, until);
      const fixed = targetHeaders(byTarget, url);
      const told = fixed === undefined ? call : { ...call, headers: joinHeaders(call.headers, fixed) };
      return options.headers === undefined ? send(told, signal) : sendProvided(options.headers, told, signal, send);
    },
    close: async () => {
      overGrpc.close();
      await Promise.all([plain.close(), secure.close()]);
    },
  };
}

type Reachable = Exclude<ParsedUrl, { kind: "invalid" }>;

type Way<U> = (url: U, call: Call, signal: AbortSignal) => Promise<Answer>;

/** The only table of protocols, by the kind of URL. */
type Ways = { readonly [K in Reachable["kind"]]: Way<Extract<Reachable, { kind: K }>> };

function elsewhere(url: string, name: string): string {
  return url.replace("localhost", name).replace("127.0.0.1", name);
}
