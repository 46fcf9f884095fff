// The client: one object per process, made from addresses and settings, from which global transactions are started.

import {
  type Api,
  accepted,
  type ClientClock,
  defaultRetry,
  type Endpoint,
  failover,
  type RetryPolicy,
} from "./api.js";
import type { ParticipantAccess, ParticipantTransport } from "./call.js";
import { type Duration, toMs } from "./duration.js";
import type { GlobalOptions, GlobalState } from "./global.js";
import { newGid, queryState } from "./global.js";
import { type Fetch, httpEndpoint } from "./http.js";
import { type Msg, type MsgOptions, msg } from "./msg.js";
import { type Saga, type SagaOptions, saga } from "./saga.js";
import type { Initiator, Tcc } from "./tcc.js";
import type { Telemetry } from "./telemetry.js";
import { type Workflow, type Workflows, type WorkflowsOptions, workflows } from "./workflow/workflow.js";
import type { Xa } from "./xa/xa.js";

/** Where the coordinator is and how this process behaves towards it. */
export interface ClientOptions {
  /** Addresses (`http://host:36789`, DTM's path is added) or endpoints of another transport. Tried in turn. */
  readonly endpoints: readonly (string | Endpoint)[];
  /** Where participants reach the coordinator, as told to them in calls; default: the first address. */
  readonly address?: string;
  /** This service's check-back route, for messages with a local transaction. */
  readonly checkBackUrl?: string;
  /** Longest wait for a participant that this client calls itself (try, xa action); default 10 s. */
  readonly callTimeout?: Duration;
  readonly retry?: Partial<RetryPolicy>;
  /** For tests with a time of their own. */
  readonly clock?: ClientClock;
  /** Used for the coordinator's HTTP API and for participants. */
  readonly fetch?: Fetch;
  /** How participants are called that are not behind HTTP: `grpcCalls()`, `natsCalls(connection)`. */
  readonly participants?: readonly ParticipantTransport[];
  /** Maps a participant's URL to one reachable from this process. */
  readonly rewriteUrl?: (url: string) => string;
  /** Follows transactions, calls and steps: `openTelemetry()` of `tandem/opentelemetry`. */
  readonly telemetry?: Telemetry;
}

/** Starts global transactions. Ends by `close`, or at the end of an `await using` block. */
export interface Client extends AsyncDisposable {
  saga(options?: SagaOptions): Saga;
  /** Resolves to the value of `work` once confirming is decided; rejects with its error after deciding to cancel. */
  tcc<T>(work: (tcc: Tcc) => Promise<T>): Promise<T>;
  tcc<T>(options: GlobalOptions, work: (tcc: Tcc) => Promise<T>): Promise<T>;
  /** Resolves to the value of `work` once committing is decided; rejects with its error after deciding to roll back. */
  xa<T>(work: (xa: Xa) => Promise<T>): Promise<T>;
  xa<T>(options: GlobalOptions, work: (xa: Xa) => Promise<T>): Promise<T>;
  msg(options?: MsgOptions): Msg;
  /** Registers the workflows this process can run; their route must be served at `callbackUrl`. */
  workflows(list: readonly Workflow<never, unknown>[], options: WorkflowsOptions): Workflows;
  /** How a transaction stands; `undefined` if the coordinator does not know the gid. */
  query(gid: string, options?: Pick<GlobalOptions, "signal">): Promise<GlobalState | undefined>;
  /**
   * For a service's start: rejects with all that is wrong with the coordinator's addresses and this service's
   * check-back, which otherwise shows only when something has crashed.
   */
  selfCheck(): Promise<void>;
  /** A new gid, made here: lower case, sortable by time, 26 characters. */
  newGid(): string;
  /** Adds a URL to a topic's subscribers. */
  subscribe(topic: string, url: string, remark?: string): Promise<void>;
  unsubscribe(topic: string, url: string): Promise<void>;
  /** Removes a topic with all its subscribers. */
  deleteTopic(topic: string): Promise<void>;
  /** The coordinator itself, for operations that have no method of their own here. */
  readonly api: Api;
  close(): Promise<void>;
}

/** Makes a client. Nothing is sent; addresses are checked for form only. */
export function createClient(options: ClientOptions): Client {
  const fetch = options.fetch ?? ((url, init) => globalThis.fetch(url, init));
  const endpoints = options.endpoints.map((one) => (typeof one === "string" ? httpEndpoint(one, fetch) : one));
  const { telemetry } = options;
  const api = failover(endpoints, { ...defaultRetry, ...options.retry }, options.clock, telemetry);
  const rewriteUrl = options.rewriteUrl ?? ((url: string) => url);
  const transports = options.participants ?? [];
  const timeoutMs = toMs(options.callTimeout ?? "10s");
  const access: ParticipantAccess = { fetch, transports, rewriteUrl, timeoutMs, telemetry: api.telemetry };
  const initiator: Initiator = { api, access, address: options.address ?? endpoints[0]!.address };
  const close = async () => {
    await Promise.all([api.close(), ...transports.map((one) => one.close?.())]);
  };
  return {
    saga: (sagaOptions) => saga(api, sagaOptions),
    tcc: async <T>(...given: Given<Tcc, T>) => (await import("./tcc.js")).tcc(initiator, ...optionsFirst(given)),
    xa: async <T>(...given: Given<Xa, T>) => (await import("./xa/xa.js")).xa(initiator, ...optionsFirst(given)),
    msg: (msgOptions = {}) => msg(initiator, msgOptions, options.checkBackUrl),
    workflows: (list, workflowsOptions) => workflows(initiator, list, workflowsOptions),
    query: (gid, queryOptions) => queryState(api, gid, queryOptions),
    selfCheck: async () => (await import("./selfcheck.js")).selfCheck(endpoints, initiator, options.checkBackUrl),
    newGid,
    async subscribe(topic, url, remark = "") {
      await accepted(api, "subscribe", { topic, url, remark });
    },
    async unsubscribe(topic, url) {
      await accepted(api, "unsubscribe", { topic, url });
    },
    async deleteTopic(topic) {
      await accepted(api, "deleteTopic", { topic });
    },
    api,
    close,
    [Symbol.asyncDispose]: close,
  };
}

type Work<Open, T> = (open: Open) => Promise<T>;
type Given<Open, T> = [Work<Open, T>] | [GlobalOptions, Work<Open, T>];

function optionsFirst<Open, T>(given: Given<Open, T>): [GlobalOptions, Work<Open, T>] {
  return given.length === 1 ? [{}, given[0]] : given;
}
