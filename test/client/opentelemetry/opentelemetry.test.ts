// One trace from the initiator through the coordinator to the participants and their barriers, with OpenTelemetry's own
// SDK; and what barriers decided as a metric.

import { createServer } from "node:http";
import { context, metrics, propagation, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type MemoryBarrier, type MemoryTx, memoryBarrier } from "../../../src/client/barrier/memory.js";
import {
  type Client,
  createClient,
  defineStep,
  defineTccStep,
  Failure,
  type Route,
  workflow,
} from "../../../src/client/index.js";
import { openTelemetry } from "../../../src/client/opentelemetry/index.js";
import { tandemRoutes } from "../../../src/client/participant/express.js";
import { type Embedded, startEmbedded } from "../../../src/embedded/embedded.js";
import { listen, stop } from "../e2e/service.js";
import { until } from "../e2e/suite.js";

const exporter = new InMemorySpanExporter();
const counted = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
const reader = new PeriodicExportingMetricReader({ exporter: counted, exportIntervalMillis: 3_600_000 });
const meters = new MeterProvider({ readers: [reader] });
const spans = (name: string) => exporter.getFinishedSpans().filter((span) => span.name === name);
const parentOf = (span: ReadableSpan | undefined) => span?.parentSpanContext?.spanId;
const idOf = (span: ReadableSpan | undefined) => span?.spanContext().spanId;

describe("a client with OpenTelemetry", () => {
  const http = createServer((request, response) => tandemRoutes(routes, { onError: () => {} })(request, response));
  let routes: readonly Route[] = [];
  let coordinator: Embedded;
  let client: Client;
  let url = "";
  let db: MemoryBarrier;

  const add = (tx: MemoryTx, amount: number) => tx.update("sum", (now) => Number(now ?? 0) + amount);
  const steps = (guard: MemoryBarrier) => ({
    add: defineStep<MemoryTx, number>({
      ...{ path: "/add", guard },
      action: (tx, amount) => add(tx, amount),
      compensate: (tx, amount) => add(tx, -amount),
    }),
    refuse: defineStep<MemoryTx, number>({
      ...{ path: "/refuse", guard },
      action: async () => {
        throw new Failure("no");
      },
      compensate: async () => {},
    }),
    broken: defineStep<MemoryTx, number>({
      ...{ path: "/broken", guard },
      action: async () => {
        throw new Error("oops");
      },
      compensate: async () => {},
    }),
    hold: defineTccStep<MemoryTx, number, number>({
      ...{ path: "/hold", guard },
      try: async (_tx, amount) => amount,
      confirm: async () => {},
      cancel: async () => {},
    }),
  });
  let at: ReturnType<typeof steps>;

  beforeAll(async () => {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    propagation.setGlobalPropagator(new W3CTraceContextPropagator());
    trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
    metrics.setGlobalMeterProvider(meters);
    const telemetry = openTelemetry();
    db = telemetry.guard(memoryBarrier());
    at = steps(db);
    routes = telemetry.routes(Object.values(at).flatMap((step) => step.routes));
    coordinator = await startEmbedded({ store: "memory:", retryIntervalSeconds: 1 });
    client = createClient({ endpoints: [coordinator.endpoint], telemetry });
    url = await listen(http);
  });
  afterAll(async () => {
    await stop(http);
    await coordinator?.close(100);
    await meters.shutdown();
    for (const api of [context, propagation, trace, metrics]) api.disable();
  });
  beforeEach(() => exporter.reset());

  it("has one trace of a saga: initiator, delivery through the coordinator, barrier", async () => {
    const caller = trace.getTracer("test").startSpan("order");
    const gid = client.newGid();
    await context.with(trace.setSpan(context.active(), caller), () =>
      client.saga({ gid, wait: "10s" }).step(at.add.at(url), 5).submit(),
    );
    caller.end();
    const [saga] = spans("tandem saga");
    const [delivery] = spans("tandem action /add");
    const [barrier] = spans("tandem barrier");
    expect(parentOf(saga)).toBe(caller.spanContext().spanId);
    expect(parentOf(delivery)).toBe(idOf(saga));
    expect(parentOf(barrier)).toBe(idOf(delivery));
    expect(new Set([saga, delivery, barrier].map((span) => span?.spanContext().traceId)).size).toBe(1);
    expect(saga?.attributes).toMatchObject({ "tandem.gid": gid });
    expect(delivery?.kind).toBe(SpanKind.SERVER);
    expect(delivery?.attributes).toMatchObject({
      ...{ "tandem.gid": gid, "tandem.branch_id": "01", "tandem.op": "action", "http.response.status_code": 200 },
    });
    expect(barrier?.attributes).toMatchObject({ "tandem.barrier.outcome": "executed" });
  });

  it("shows a try that the client calls itself, below its tcc, and the confirm in the same trace", async () => {
    await client.tcc({ wait: "10s" }, (t) => t.call(at.hold.at(url), 1));
    const [tcc] = spans("tandem tcc");
    const [call] = spans("tandem try");
    const [tried] = spans("tandem try /hold");
    expect([parentOf(call), parentOf(tried)]).toEqual([idOf(tcc), idOf(call)]);
    expect(call?.kind).toBe(SpanKind.CLIENT);
    expect(call?.attributes).toMatchObject({ "url.full": at.hold.at(url).try });
    expect(parentOf(spans("tandem confirm /hold/confirm")[0])).toBe(idOf(tcc));
  });

  it("shows the steps of a workflow, their calls, and its rollback", async () => {
    const journey = workflow("journey", async (flow) => {
      await flow.step("book", {
        run: (scope) => scope.call(at.add.at(url).action, 3),
        rollback: (scope) => scope.call(at.add.at(url).compensate, 3),
      });
      throw new Failure("changed my mind");
    });
    const flows = client.workflows([journey], { callbackUrl: `${url}/workflow` });
    await expect(flows.execute(journey)).rejects.toThrow("changed my mind");
    const [run] = spans("tandem workflow journey");
    const [book, undo] = [spans("tandem action book")[0], spans("tandem rollback book")[0]];
    expect([parentOf(book), parentOf(undo)]).toEqual([idOf(run), idOf(run)]);
    expect(parentOf(spans("tandem action")[0])).toBe(idOf(book));
    expect(run?.attributes).toMatchObject({ "tandem.error": "DTX_FAILURE" });
    expect(run?.status.code, "a refusal is no breakdown").toBe(SpanStatusCode.UNSET);
  });

  it("marks what broke, and not what was refused", async () => {
    await client.saga({ wait: "10s" }).step(at.refuse.at(url), 1).submit();
    const [refused] = spans("tandem action /refuse");
    expect(refused?.status.code).toBe(SpanStatusCode.UNSET);
    expect(refused?.attributes).toMatchObject({ "http.response.status_code": 409 });
    await client.saga({ timeoutToFail: "1s" }).step(at.broken.at(url), 1).submit();
    await until(
      () => spans("tandem action /broken").length > 0,
      () => exporter.getFinishedSpans().map(({ name }) => name),
    );
    const [broken] = spans("tandem action /broken");
    expect(broken?.status.code).toBe(SpanStatusCode.ERROR);
    expect(broken?.status.message).toContain("oops");
  });

  it("counts what barriers decided, by op", async () => {
    const key = { gid: client.newGid(), transType: "saga", branchId: "01" };
    const ask = (op: string) =>
      db.run({ url: `?${new URLSearchParams({ ...key, op, trans_type: "saga", branch_id: "01" })}` }, async () => 1);
    await ask("action");
    await ask("action");
    await reader.forceFlush();
    const points = counted
      .getMetrics()
      .flatMap(({ scopeMetrics }) => scopeMetrics)
      .flatMap((scope) => scope.metrics)
      .filter(({ descriptor }) => descriptor.name === "tandem.barrier.calls")
      .flatMap(({ dataPoints }) => dataPoints.map(({ attributes, value }) => ({ ...attributes, value })));
    expect(points).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ op: "action", outcome: "duplicate", value: 1 }),
        expect.objectContaining({ op: "action", outcome: "refused" }),
        expect.objectContaining({ op: "action", outcome: "error" }),
      ]),
    );
    expect(Object.keys(points[0] ?? {})).not.toContain("gid");
  });

  it("keeps what else an adapter's guard can do", () => {
    expect(db.values.get("sum")).toBeDefined();
  });
});
