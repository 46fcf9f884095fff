// tandem/opentelemetry: spans of transactions, calls, steps, deliveries and barriers, and a count of what barriers
// decided. Uses what the application has registered with @opentelemetry/api; without that nothing is recorded.

import {
  type Attributes,
  context,
  type Meter,
  metrics,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  type TextMapGetter,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import type { BarrierResult } from "../barrier/core.js";
import { barrierFrom, type Delivery } from "../barrier/delivery.js";
import type { BarrierCallOptions, DeliverySource, Guard } from "../barrier/guard.js";
import { errorCode, messageOf } from "../errors.js";
import type { Incoming, Route } from "../participant/route.js";
import type { Activity, Telemetry } from "../telemetry.js";

/** Settings of `openTelemetry`. Default: the registered global providers. */
export interface OpenTelemetryOptions {
  readonly tracer?: Tracer;
  readonly meter?: Meter;
}

/** For `createClient({ telemetry })`, and for what stands outside of a client. */
export interface OpenTelemetry extends Telemetry {
  /** The same routes with a span for each delivery, continuing the caller's trace. */
  routes(routes: readonly Route[]): readonly Route[];
  /**
   * The same guard with a span for each call, and the counter `tandem.barrier.calls` by `op` and `outcome` (`executed`,
   * `duplicate`, `null-compensation`, `suspended`, `refused`, `ongoing`, `error`).
   */
  guard<Tx, G extends Guard<Tx>>(guard: G & Guard<Tx>): G;
}

/** Telemetry by way of @opentelemetry/api. */
export function openTelemetry(options: OpenTelemetryOptions = {}): OpenTelemetry {
  const tracer = options.tracer ?? trace.getTracer("tandem");
  const meter = options.meter ?? metrics.getMeter("tandem");
  const calls = meter.createCounter("tandem.barrier.calls", { description: "Barrier calls by op and outcome." });
  const spans = spansOf(tracer);
  return {
    during: ({ name, url, ...ids }: Activity, work) => {
      const kind = url === undefined ? SpanKind.INTERNAL : SpanKind.CLIENT;
      const target = url === undefined ? {} : { "url.full": url };
      return spans(`tandem ${name}`, kind, { ...attributesOf(ids), ...target }, work);
    },
    headers() {
      const carrier: Record<string, string> = {};
      propagation.inject(context.active(), carrier);
      return carrier;
    },
    routes: (routes) => routes.map((one) => tracedRoute(spans, one)),
    guard: <Tx, G extends Guard<Tx>>(guard: G & Guard<Tx>): G => {
      const counted = countedGuard<Tx>(guard, spans, (op, outcome) => calls.add(1, { op, outcome }));
      return { ...guard, ...counted };
    },
  };
}

type Spans = <T>(name: string, kind: SpanKind, attributes: Attributes, work: (span: Span) => Promise<T>) => Promise<T>;

/** A span around work; an error is noted on it, a refusal as an ordinary end. */
const spansOf =
  (tracer: Tracer): Spans =>
  (name, kind, attributes, work) =>
    tracer.startActiveSpan(name, { kind, attributes }, async (span) => {
      try {
        return await work(span);
      } catch (error) {
        const code = errorCode(error);
        if (code !== undefined) span.setAttribute("tandem.error", code);
        if (code !== "DTX_FAILURE" && code !== "DTX_ONGOING") {
          span.setStatus({ code: SpanStatusCode.ERROR, message: messageOf(error) });
          if (error instanceof Error) span.recordException(error);
        }
        throw error;
      } finally {
        span.end();
      }
    });

function attributesOf({ gid, branchId, op }: Pick<Activity, "gid" | "branchId" | "op">): Attributes {
  return {
    "tandem.gid": gid,
    ...(branchId !== undefined && { "tandem.branch_id": branchId }),
    ...(op !== undefined && { "tandem.op": op }),
  };
}

const headersOf: TextMapGetter<Incoming> = {
  get: ({ header }, name) => header?.(name.toLowerCase()),
  keys: () => [],
};

function tracedRoute(spans: Spans, one: Route): Route {
  return {
    path: one.path,
    handle(incoming) {
      const query = new URLSearchParams(incoming.url.split("?")[1]);
      const text = (key: string) => query.get(key) ?? "";
      const ids = { gid: text("gid"), branchId: text("branch_id"), op: text("op") };
      const attributes = { ...attributesOf(ids), "url.path": one.path };
      return context.with(propagation.extract(context.active(), incoming, headersOf), () =>
        spans(`tandem ${ids.op} ${one.path}`, SpanKind.SERVER, attributes, async (span) => {
          const answer = await one.handle(incoming);
          span.setAttribute("http.response.status_code", answer.status);
          if (answer.status === 500) span.setStatus({ code: SpanStatusCode.ERROR, message: answer.body.slice(0, 500) });
          return answer;
        }),
      );
    },
  };
}

function countedGuard<Tx>(
  guard: Guard<Tx>,
  spans: Spans,
  count: (op: string, outcome: string) => void,
): Pick<Guard<Tx>, "run" | "within"> {
  const told = <T>(
    source: DeliverySource,
    work: (delivery: Delivery) => Promise<BarrierResult<T>>,
  ): Promise<BarrierResult<T>> => {
    const delivery = barrierFrom(source);
    const { op } = delivery.branch;
    return spans("tandem barrier", SpanKind.INTERNAL, attributesOf(delivery.branch), async (span) => {
      let outcome = "error";
      try {
        const result = await work(delivery);
        outcome = result.kind;
        return result;
      } catch (error) {
        outcome = outcomes[errorCode(error) ?? ""] ?? "error";
        throw error;
      } finally {
        span.setAttribute("tandem.barrier.outcome", outcome);
        count(op, outcome);
      }
    });
  };
  return {
    run: async <T>(source: DeliverySource, business: (tx: Tx) => Promise<T>, options?: BarrierCallOptions) =>
      told(source, (delivery) => guard.run(delivery, business, options)),
    within: async <T>(tx: Tx, source: DeliverySource, business: (tx: Tx) => Promise<T>, options?: BarrierCallOptions) =>
      told(source, (delivery) => guard.within(tx, delivery, business, options)),
  };
}

const outcomes: Readonly<Record<string, string>> = {
  DTX_FAILURE: "refused",
  DTX_ONGOING: "ongoing",
  DTX_DUPLICATED: "duplicate",
};
