/**
 * What operators measure (S-MET-1…8): DTM's metrics under their names, with labels whose number is bounded, and beside
 * them what this server adds (`tandem_…`). Counters are fed by the engine (as its `Observer`) and by the gateways;
 * gauges are read when somebody asks. At level `debug` every counted request and call is a line of the log, too.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { Answer } from "../ports/caller.js";
import type { GaugeValues, Meters, ServedMeter } from "../ports/meters.js";
import type { CallName, Ended, Log, Observer, StuckBranch } from "../ports/observer.js";
import { Tally } from "./tally.js";

/** DTM's buckets, seconds. */
const seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** Ages reach further than answers do. */
const ages = [...seconds, 30, 60, 300, 1800];
const batches = [1, 2, 4, 8, 16, 32, 64, 128, 256];

/** Ops that the server itself calls; a workflow's callback has its name as op and counts as `callback`. */
const knownOps: ReadonlySet<string> = new Set([
  "action",
  "compensate",
  "confirm",
  "cancel",
  "commit",
  "rollback",
  "msg",
]);

/** Targets with series of their own, 16 each; the first that are called. The rest count as `other` (S-BUG-23). */
const targetsMax = 500;

function tenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}

/** One for a process: all counters, under one registry. */
export class Metrics implements Observer, Meters {
  readonly registry = new Registry();
  readonly #log: Log;
  readonly #targets = new Set<string>();
  readonly #served = this.#tally("dtm_server_process_total", "API calls", ["type", "api", "status"]);
  readonly #response = this.#histogram("dtm_server_response_duration", "API calls, seconds", ["type", "api"], seconds);
  readonly #transactions = this.#tally("dtm_transaction_process_total", "Transactions that ended", ["model", "status"]);
  readonly #handled = this.#histogram("dtm_transaction_handled_duration", "Age at the end, seconds", ["model"], ages);
  readonly #branches = this.#tally("dtm_branch_process_total", "Branch calls", [
    "model",
    "branchid",
    "branchtype",
    "status",
  ]);
  readonly #ended = this.#tally("tandem_transactions_ended_total", "Transactions by their end", ["type", "status"]);
  readonly #calls = this.#tally("tandem_calls_total", "Calls to participants", ["target", "outcome"]);
  readonly #callSeconds = this.#histogram("tandem_call_duration_seconds", "Calls to participants", ["target"], seconds);
  readonly #timeouts = this.#counter("tandem_call_timeouts_total", "Calls given up at their deadline", ["target"]);
  readonly #late = this.#counter("tandem_late_answers_total", "Answers that came too late to count", []);
  readonly #violations = this.#counter("tandem_contract_violations_total", "FAILURE from an op that must not refuse", [
    "target",
  ]);
  readonly #breakers = this.#counter("tandem_breaker_changes_total", "Breakers that opened or closed", ["change"]);
  readonly #stuck = this.#counter("tandem_stuck_alerts_total", "Alerts about stuck branches", []);
  readonly #flushes = this.#histogram("tandem_commit_batch_size", "Transitions in one flush", [], batches);
  readonly #flushSeconds = this.#histogram("tandem_commit_duration_seconds", "Flushes of the store", [], seconds);

  constructor(log: Log, versions: { readonly http: string; readonly grpc: string }) {
    this.#log = log;
    collectDefaultMetrics({ register: this.registry });
    new Gauge({
      name: "dtm_server_info",
      help: "Libraries that speak the protocols",
      labelNames: ["gin_version", "grpc_version"],
      registers: [this.registry],
    }).set({ gin_version: versions.http, grpc_version: versions.grpc }, 1);
  }

  api(type: string, api: string): ServedMeter {
    const counts = this.#served;
    const duration = this.#response.labels(type, api);
    const log = this.#log;
    return {
      served(isOk, durationMs, status) {
        counts.inc(type, api, isOk ? "ok" : "fail");
        duration.observe(durationMs / 1000);
        log.debug?.("request", { type, api, status, ms: tenths(durationMs) });
      },
    };
  }

  gauge(
    name: string,
    help: string,
    labelNames: readonly string[],
    read: () => GaugeValues | Promise<GaugeValues>,
  ): void {
    const log = this.#log;
    new Gauge({
      name,
      help,
      labelNames: [...labelNames],
      registers: [this.registry],
      async collect() {
        try {
          const values = await read();
          this.reset();
          for (const [labels, value] of values) this.set(labels, value);
        } catch (cause) {
          log.warn("gauge_unreadable", { name, cause: String(cause) });
          this.reset();
          this.remove({}); // without labels `reset` leaves a 0
        }
      },
    });
  }

  total(name: string, help: string, labelNames: readonly string[], read: () => GaugeValues): void {
    new Counter({
      name,
      help,
      labelNames: [...labelNames],
      registers: [this.registry],
      collect() {
        this.reset();
        for (const [labels, value] of read()) this.inc(labels, value);
      },
    });
  }

  async page(): Promise<{ readonly type: string; readonly body: string }> {
    return { type: this.registry.contentType, body: await this.registry.metrics() };
  }

  finished(tx: Ended): void {
    this.#transactions.inc(tx.type, tx.status === "succeed" ? "ok" : "fail");
    this.#ended.inc(tx.type, tx.status);
    this.#handled.observe({ model: tx.type }, Math.max(0, (tx.endedAtMs ?? tx.updatedAtMs) - tx.createdAtMs) / 1000);
  }

  called(call: CallName, calledTarget: string, answer: Answer, durationMs: number): void {
    const target = this.#labelOf(calledTarget);
    const status = answer.outcome === "success" ? "ok" : "fail";
    const branchtype = knownOps.has(call.op) ? call.op : "callback";
    this.#branches.inc(call.type, bucketOf(call.branchId), branchtype, status);
    this.#calls.inc(target, answer.outcome);
    this.#callSeconds.observe({ target }, durationMs / 1000);
    if (answer.timedOut) this.#timeouts.inc({ target });
    if (answer.outcome === "failure" && mustNotRefuse(call)) this.#violations.inc({ target });
    this.#log.debug?.("call", {
      ...{ gid: call.gid, type: call.type, branch: call.branchId, op: call.op, target: calledTarget },
      ...{ outcome: answer.outcome, ...(answer.outcome !== "success" && { said: answer.detail }) },
      ms: tenths(durationMs),
    });
  }

  flushed(commits: number, durationMs: number): void {
    this.#flushes.observe(commits);
    this.#flushSeconds.observe(durationMs / 1000);
  }

  lateAnswer(call: CallName): void {
    this.#late.inc();
    this.#log.info("late answer", { gid: call.gid, branch: call.branchId, op: call.op });
  }

  breaker(target: string, open: boolean): void {
    this.#breakers.inc({ change: open ? "open" : "closed" });
    this.#log.warn(open ? "breaker opened" : "breaker closed", { target });
  }

  stuck(alert: StuckBranch): void {
    this.#stuck.inc();
    this.#log.warn("transaction stuck", { ...alert });
  }

  #labelOf(target: string): string {
    if (!this.#targets.has(target)) {
      if (this.#targets.size >= targetsMax) return "other";
      this.#targets.add(target);
    }
    return target;
  }

  #counter<T extends string>(name: string, help: string, labelNames: readonly T[]): Counter<T> {
    return new Counter({ name, help, labelNames: [...labelNames], registers: [this.registry] });
  }

  /** For what is counted for every request or call. */
  #tally(name: string, help: string, labelNames: readonly string[]): Tally {
    const tally = new Tally(labelNames);
    this.total(name, help, labelNames, () => tally.values());
    return tally;
  }

  #histogram<T extends string>(
    name: string,
    help: string,
    labelNames: readonly T[],
    buckets: readonly number[],
  ): Histogram<T> {
    return new Histogram({
      name,
      help,
      labelNames: [...labelNames],
      buckets: [...buckets],
      registers: [this.registry],
    });
  }
}

/** `01` … `09`, everything else together: as many branches as a client likes, a bounded number of series (S-MET-7). */
function bucketOf(branchId: string): string {
  return /^0\d$/.test(branchId) ? branchId : "other";
}

function mustNotRefuse({ type, op }: CallName): boolean {
  return knownOps.has(op) && op !== "msg" && !(type === "saga" && op === "action");
}
