/**
 * All ways of calling a participant behind the port `Callers`: the URL picks the way (S-BR-2).
 * A new protocol is one folder or file, one kind of URL in `url.ts` and one line in the table below.
 */
import { type Answer, type Call, type Callers, type HeaderProvider, joinHeaders } from "../ports/caller.js";
import { type Ending, Endings } from "./ending.js";
import { GrpcCaller } from "./grpc/grpc.js";
import { callHttp } from "./http.js";
import { createHttp1Exchange } from "./http1/exchange.js";
import { KnownUrls } from "./known.js";
import { callNats, type NatsAccess } from "./nats.js";
import { sendProvided, type TargetHeaders } from "./provide.js";
import { Resolver } from "./resolve.js";
import { unknown } from "./result.js";
import { type TlsOptions, tlsProfiles } from "./tls.js";
import { createUndiciExchange } from "./undici.js";
import type { GrpcUrl, HttpUrl, NatsUrl, ParsedUrl } from "./url.js";

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
  const http: Way<HttpUrl> = (url, call, ending) =>
    callHttp(url.secure ? secure : plain, strictResults, url, call, ending);
  const overGrpc = new GrpcCaller(tls, (host) => resolver.resolve(host));
  const grpc: Way<GrpcUrl> = (url, call, ending) => overGrpc.call(url, call, ending);
  const nats: Way<NatsUrl> = (url, call, ending) => callNats(options.nats, bodyBytesMax, url, call, ending);
  const ways: Ways = { http, "json-rpc": http, grpc, nats };

  const endings = new Endings();
  const urls = new KnownUrls({ ownAddresses, localhostAs, nats: options.nats, targetHeaders: byTarget });
  return {
    locate: (protocol, url) => urls.look(protocol, url).target,
    call: (call, signal) => {
      const { url, headers: fixed } = urls.look(call.protocol, call.url);
      if (url.kind === "invalid") return Promise.resolve(unknown(url.invalid));
      const ending = endings.of(signal);
      const send = (final: Call) => (ways[url.kind] as Way<Reachable>)(url, final, ending);
      const told = fixed === undefined ? call : { ...call, headers: joinHeaders(call.headers, fixed) };
      return options.headers === undefined ? send(told) : sendProvided(options.headers, told, ending, send);
    },
    close: async () => {
      overGrpc.close();
      await Promise.all([plain.close(), secure.close()]);
    },
  };
}

type Reachable = Exclude<ParsedUrl, { kind: "invalid" }>;

type Way<U> = (url: U, call: Call, ending: Ending) => Promise<Answer>;

/** The only table of protocols, by the kind of URL. */
type Ways = { readonly [K in Reachable["kind"]]: Way<Extract<Reachable, { kind: K }>> };
