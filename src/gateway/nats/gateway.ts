/**
 * The NATS gateway: every operation by request-reply at `<prefix>.api.<operation>`, any node of the cluster answering.
 * Registered as a NATS micro-service, so that ordinary NATS tools find, describe and measure it.
 */
import { headers, type NatsConnection, RequestStrategy, type Service, type ServiceMsg } from "nats";
import { errors } from "../../core/errors.js";
import { type Refusal, refused } from "../../core/input.js";
import type { Clock } from "../../ports/clock.js";
import type { Meters } from "../../ports/meters.js";
import type { Log } from "../../ports/observer.js";
import type { InputLimits } from "../../wire/limits.js";
import { Arriving, tooManyArriving } from "../arriving.js";
import { refusalOf } from "../failure.js";
import type { Operations } from "../operations.js";
import { type Form, formOf, readFields, typeOf, write } from "./body.js";
import { type Operation, operationTable, type Result } from "./operations.js";

/** What the composition root hands to the gateway. */
export interface NatsGatewayDeps {
  readonly operations: Operations;
  readonly limits: InputLimits;
  /** Bytes of requests in memory; 256 MiB of this gateway's own when not given. */
  readonly arriving?: Arriving;
  readonly metrics: Pick<Meters, "api">;
  readonly log: Log;
  readonly clock: Clock;
  /** First tokens of the subjects. */
  readonly prefix: string;
  /** Whose requests these are: nodes of another cluster on the same subjects would take them from one another. */
  readonly clusterId: string;
  readonly version: string;
  /** Runs its task once there is a connection; subscriptions outlive interruptions. */
  readonly whenConnected: (task: (connection: NatsConnection) => void) => void;
}

/** Requests being answered at a time, and their bytes; refused beyond. */
const inFlightMax = 10_000;
const inFlightBytesMax = 256 << 20;

/** All nodes of a cluster share the work. */
const queue = "tandem";

/** While another cluster has the subjects: milliseconds until they are looked at again. */
const prefixAgainMs = 5000;

/**
 * Serves as soon as there is a connection, until it is closed: then no request is taken, those begun are answered.
 * Where nodes of another cluster answer under the same prefix it does not serve, and says so.
 */
export function createNatsGateway(deps: NatsGatewayDeps): { close(): Promise<void> } {
  const { prefix, log, clock, whenConnected } = deps;
  const ending = new AbortController();
  let service: Service | undefined;
  const serve = async (connection: NatsConnection): Promise<void> => {
    const other = await otherCluster(connection, deps);
    if (ending.signal.aborted) return;
    if (other === undefined) {
      service = await register(connection, deps, ending.signal);
      return log.info("nats_api", { subject: `${prefix}.api.*` });
    }
    log.error("nats_prefix_taken", { prefix, by: other, effect: "no NATS API", advice: "set another Cluster.Prefix" });
    clock.after(prefixAgainMs, () => begin(connection));
  };
  const begin = (connection: NatsConnection) => {
    if (ending.signal.aborted) return;
    serve(connection).catch((cause) => {
      log.error("nats_api_failed", { cause: String(cause) });
      clock.after(prefixAgainMs, () => begin(connection));
    });
  };
  whenConnected(begin);
  return {
    async close() {
      ending.abort();
      await service?.stop().catch((cause) => log.warn("nats_api_stop_failed", { cause: String(cause) }));
    },
  };
}

/** Id of another cluster that answers under this prefix, as its nodes say of themselves; nobody there is an error. */
async function otherCluster(
  connection: NatsConnection,
  { prefix, clusterId }: NatsGatewayDeps,
): Promise<string | undefined> {
  const others = connection.services.client({ strategy: RequestStrategy.JitterTimer, maxWait: 500, jitter: 100 });
  try {
    for await (const { metadata } of await others.info("tandem"))
      if (metadata?.prefix === prefix && metadata.cluster !== clusterId) return metadata.cluster;
  } catch {
    return undefined;
  }
  return undefined;
}

async function register(connection: NatsConnection, deps: NatsGatewayDeps, signal: AbortSignal): Promise<Service> {
  const { prefix, clusterId, version } = deps;
  const description = "Distributed transactions: saga, TCC, XA, two-phase message, workflow";
  const metadata = { prefix, cluster: clusterId };
  const tallies: Tallies = new Map();
  const statsHandler = async (endpoint: unknown) => correct(endpoint as Partial<CountedEndpoint>, tallies);
  const service = await connection.services.add({
    name: "tandem",
    version,
    description,
    queue,
    metadata,
    statsHandler,
  });
  const group = service.addGroup(`${prefix}.api`);
  const table = operationTable({ ...deps, nowMs: () => deps.clock.nowMs() });
  const answer = answering(deps, signal, tallies);
  for (const [name, operation] of Object.entries(table)) group.addEndpoint(name, { handler: answer(name, operation) });
  return service;
}

/** What became of an endpoint's requests. The library counts a request as over when its handler returns: too early. */
interface Tally {
  processingMs: number;
  errors: number;
  lastError: string | undefined;
}

/** By the endpoint's name. */
type Tallies = Map<string, Tally>;

/** An endpoint as the library holds it, with what it says in `$SRV.STATS`; times in nanoseconds. */
interface CountedEndpoint {
  readonly name: string;
  readonly stats: {
    readonly num_requests: number;
    processing_time: number;
    average_processing_time: number;
    num_errors: number;
    last_error?: string | undefined;
  };
}

/** Puts what really was in the place of what the library has counted. */
function correct({ name, stats }: Partial<CountedEndpoint>, tallies: Tallies): null {
  const tally = tallies.get(name ?? "");
  if (tally === undefined || stats === undefined) return null;
  stats.processing_time = Math.round(tally.processingMs * 1e6);
  stats.average_processing_time = Math.round(stats.processing_time / Math.max(1, stats.num_requests));
  stats.num_errors = tally.errors;
  stats.last_error = tally.lastError;
  return null;
}

/** Makes handlers, which share a bound of requests under way. */
function answering(deps: NatsGatewayDeps, signal: AbortSignal, tallies: Tallies) {
  const { limits, log, clock, metrics, arriving = new Arriving(inFlightBytesMax) } = deps;
  let inFlight = 0;
  return (name: string, operation: Operation) => {
    const meter = metrics.api("nats", name);
    const tally: Tally = { processingMs: 0, errors: 0, lastError: undefined };
    tallies.set(name, tally);
    return (error: Error | null, message: ServiceMsg) => {
      if (error !== null) return;
      const startedMs = clock.monotonicMs();
      inFlight++;
      const isTooMuch = !arriving.change(message.data.length) || inFlight > inFlightMax;
      void carryOut(message, operation, limits, log, isTooMuch, signal).then((status) => {
        inFlight--;
        arriving.change(-message.data.length);
        const tookMs = clock.monotonicMs() - startedMs;
        tally.processingMs += tookMs;
        if (status >= 400) {
          tally.errors++;
          tally.lastError = `status ${status}`;
        }
        meter.served(status < 400, tookMs, status);
      });
    };
  };
}

async function carryOut(
  message: ServiceMsg,
  operation: Operation,
  limits: InputLimits,
  log: Log,
  isTooMuch: boolean,
  signal: AbortSignal,
): Promise<number> {
  let form: Form = "json";
  let result: Result;
  try {
    form = formOf(message.headers?.get("Content-Type") ?? "");
    result = isTooMuch
      ? { ...refused("OVERLOADED", tooManyArriving), retryAfterS: 1 }
      : await unlessAborted(signal, operation(readFields(form, message.data, limits), signal));
  } catch (error) {
    result = refusalOf(error, log);
  }
  try {
    return respond(message, form, result);
  } catch (error) {
    return respond(message, form, {
      ...refused("TOO_LARGE", "the answer is larger than a message of this NATS, ask for less or by HTTP"),
      ...(String(error).includes("MAX_PAYLOAD") ? {} : refusalOf(error, log)),
    });
  }
}

/** A held answer ends with the gateway; what was accepted goes on (D1). */
async function unlessAborted(signal: AbortSignal, work: Promise<Result>): Promise<Result> {
  let stop = () => {};
  const aborted = new Promise<Result>((resolve) => {
    stop = () => resolve({ ...refused("UNAVAILABLE", "this node stops, ask again with the same gid"), retryAfterS: 1 });
    signal.addEventListener("abort", stop, { once: true });
  });
  return Promise.race([work, aborted]).finally(() => signal.removeEventListener("abort", stop));
}

/** Gives the status that was answered. */
function respond(message: ServiceMsg, form: Form, result: Result): number {
  const head = headers();
  head.set("Content-Type", typeOf(form));
  if (!isRefusal(result)) {
    head.set("Status", "200");
    message.respond(write(form, result), { headers: head });
    return 200;
  }
  const { http, result: word } = errors[result.code];
  head.set("Status", String(http));
  if (http === 503 || http === 429 || result.retryAfterS !== undefined)
    head.set("Retry-After", String(result.retryAfterS ?? 1));
  const { branchId, op, status } = result.progress ?? {};
  const progress = result.progress && { branch_id: branchId, op, status };
  const body = { dtm_result: word, message: result.message, progress };
  message.respondError(http, result.message.replace(/[\r\n]+/g, " "), write(form, body), { headers: head });
  return http;
}

function isRefusal(result: Result): result is Refusal {
  return (result as { readonly kind?: unknown }).kind === "refused";
}
