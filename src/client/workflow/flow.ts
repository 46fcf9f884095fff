// One run of a workflow's handler: steps by their order of calls, replayed where they are recorded, run and recorded
// where not; then phase two, commits or rollbacks in reverse order. The handler must call the same steps in the same
// order every time.

import type { BarrierResult } from "../barrier/core.js";
import { Delivery } from "../barrier/delivery.js";
import type { Guard } from "../barrier/guard.js";
import { callParticipant, type ParticipantAccess } from "../call.js";
import { handling } from "../context.js";
import { type Failure, findBranded, invalidInput, isFailure, messageOf, NonDeterminism, Ongoing } from "../errors.js";
import { joinedHeaders, payloadOf, timeoutOf } from "../global.js";
import type { BranchIdentity } from "../identity.js";
import type { XaStep } from "../step.js";
import { branchIds } from "../tcc.js";
import { failedRecord, type Records, replayed, type StepRecord } from "./record.js";
import { fromPlain, toPlain } from "./value.js";

/** What a step's code gets: its branch, a delivery for barriers, and calls of participants on its behalf. */
export interface StepScope {
  readonly branch: BranchIdentity;
  readonly delivery: Delivery;
  /**
   * POSTs JSON with gid, branch and op in the query; resolves to the answer's value, rejects as a participant's answer
   * says.
   */
  call<Out = unknown>(url: string, payload?: unknown, headers?: Readonly<Record<string, string>>): Promise<Out>;
  /** The same with messages of a kind of their own: `grpcMethod`. */
  call<In, Out>(to: XaStep<In, Out>, payload: NoInfer<In>, headers?: Readonly<Record<string, string>>): Promise<Out>;
}

/** A step with what undoes it, and what is done once the whole workflow has succeeded. */
export interface Step<T> {
  /** Runs until its end is recorded, so perhaps more than once: use the scope's barrier, or ids of the branch. */
  readonly run: (scope: StepScope) => Promise<T> | T;
  /**
   * Runs if the workflow fails after this step was started; until it gets through. Not for a step that refused, unless
   * it had called a participant: a lost request of that call may still arrive, and must find itself undone (its
   * barrier knows).
   */
  readonly rollback?: (scope: StepScope) => Promise<unknown> | unknown;
  /** Runs after the handler succeeded; until it gets through. */
  readonly commit?: (scope: StepScope) => Promise<unknown> | unknown;
}

/** A step inside a local database transaction. */
export interface TxStep<Tx, T> {
  readonly run: (tx: Tx, scope: StepScope) => Promise<T>;
  /** The value of `run` when it committed before but its record was lost. Without it that value is `undefined`. */
  readonly recall?: (tx: Tx, scope: StepScope) => Promise<T>;
  readonly rollback?: (tx: Tx, scope: StepScope) => Promise<unknown>;
}

/** A step whose value is never lost. */
export interface RecalledTxStep<Tx, T> extends TxStep<Tx, T> {
  readonly recall: (tx: Tx, scope: StepScope) => Promise<T>;
}

/** A running workflow, as its handler sees it. */
export interface Flow {
  readonly gid: string;
  /** Runs or replays a step. Steps may run side by side: they are numbered when called, not when done. */
  step<T>(name: string, step: Step<T> | Step<T>["run"]): Promise<T>;
  /** Runs or replays a step that takes effect exactly once in the guard's database. */
  tx<Tx, T>(name: string, guard: Guard<Tx>, step: RecalledTxStep<Tx, T>): Promise<T>;
  tx<Tx, T>(name: string, guard: Guard<Tx>, step: TxStep<Tx, T>): Promise<T | undefined>;
}

/** How a run ended: a result, or a refusal after everything was rolled back. */
export type FlowEnd<T> =
  | { readonly kind: "succeeded"; readonly value: T }
  | { readonly kind: "failed"; readonly reason: string };

interface Started {
  readonly branchId: string;
  readonly name: string;
  readonly step: Step<unknown>;
  refused: boolean;
  /** Set once it has called a participant: a request of it may still be on the way, even if another one was refused. */
  called: boolean;
}

/** Everything else than the handler that a run needs. */
export interface FlowContext {
  readonly gid: string;
  readonly records: Records;
  readonly access: ParticipantAccess;
  readonly headers: Readonly<Record<string, string>> | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Thrown to a handler whose workflow is rolling back already: steps without a record are not run any more. */
class RollingBack extends Ongoing {}

/** Runs the handler to an end. Rejects if it cannot reach one now; then the coordinator calls again. */
export async function runFlow<T>(context: FlowContext, handler: (flow: Flow) => Promise<T>): Promise<FlowEnd<T>> {
  const { gid, records } = context;
  if (records.hasForeignRollback()) {
    throw new NonDeterminism(`workflow ${gid} is being rolled back by another client`, gid);
  }
  const run = new Run(context);
  const ended = await handler(run.flow).then(
    (value) => ({ kind: "returned", value }) as const,
    (error: unknown) => ({ kind: "threw", error }) as const,
  );
  await run.settled();
  if (run.broken !== undefined) throw run.broken;
  const intent = records.intent();
  if (intent === undefined && ended.kind === "returned") {
    await run.commit();
    return { kind: "succeeded", value: ended.value };
  }
  if (intent === undefined && ended.kind === "threw" && !isFailure(ended.error)) throw ended.error;
  const reason = intent?.reason ?? messageOf(ended.kind === "threw" ? ended.error : "");
  await run.rollback(reason);
  return { kind: "failed", reason };
}

class Run {
  readonly flow: Flow;
  /** Set when replay and record differ, whatever the handler made of it. */
  broken: NonDeterminism | undefined;
  readonly #context: FlowContext;
  readonly #nextId = branchIds("");
  readonly #started: Started[] = [];
  readonly #names = new Set<string>();
  readonly #open = new Set<Promise<unknown>>();

  constructor(context: FlowContext) {
    this.#context = context;
    this.flow = {
      gid: context.gid,
      step: (name, step) => this.#step(name, typeof step === "function" ? { run: step } : step),
      tx: <Tx, T>(name: string, guard: Guard<Tx>, step: TxStep<Tx, T>) =>
        this.#step(name, inTransaction(guard, step)) as Promise<T>,
    };
  }

  /** Resolves when no step is running any more: phase two must not overtake one. */
  async settled(): Promise<void> {
    while (this.#open.size > 0) await Promise.allSettled(this.#open);
  }

  async commit(): Promise<void> {
    for (const one of this.#started.toReversed()) if (!one.refused) await this.#phaseTwo(one, "commit");
  }

  async rollback(reason: string): Promise<void> {
    const { gid, records } = this.#context;
    const started = this.#started.filter((one) => !one.refused || one.called).map((one) => one.branchId);
    const intent = records.intent() ?? (await records.keepIntent({ reason, started }));
    const missing = intent.started.filter((id) => !this.#started.some((one) => one.branchId === id));
    if (missing.length > 0) {
      throw new NonDeterminism(
        `the handler of ${gid} no longer calls steps ${missing.join(", ")}, which must be undone`,
        gid,
      );
    }
    for (const one of this.#started.toReversed()) {
      if (intent.started.includes(one.branchId)) await this.#phaseTwo(one, "rollback");
    }
  }

  async #phaseTwo(one: Started, op: "commit" | "rollback"): Promise<void> {
    const { records, gid } = this.#context;
    const work = one.step[op];
    if (work === undefined || records.isDone(one.branchId, op)) return;
    try {
      await this.#within(one, op, work);
    } catch (error) {
      if (!isFailure(error)) throw error;
      const message = `${op} of '${one.name}' of ${gid} refused: ${messageOf(error)}. It will be called again`;
      process.emitWarning(message, { type: "TandemWarning", code: "DTX_MUST_SUCCEED" });
      throw invalidInput(message, { gid });
    }
    await records.keepDone(one.branchId, op);
  }

  /** Not async: the number is taken, and the step known, before anything else can run. */
  #step<T>(name: string, step: Step<T>): Promise<T> {
    const branchId = this.#nextId();
    const running = this.#play(branchId, name, step);
    this.#open.add(running);
    running.then(
      () => this.#open.delete(running),
      () => this.#open.delete(running),
    );
    return running;
  }

  async #play<T>(branchId: string, name: string, step: Step<T>): Promise<T> {
    const { gid, records } = this.#context;
    this.#checkName(name);
    const known = this.#find(branchId, name);
    const intent = records.intent();
    if (known === undefined && intent !== undefined && !intent.started.includes(branchId)) {
      throw new RollingBack(`workflow ${gid} is rolling back, '${name}' is not run`, { gid });
    }
    const started: Started = { branchId, name, step, refused: false, called: false };
    this.#started.push(started);
    // Values come from the record on a replay, and went through the record's text on the first run: T is the step's own
    // word.
    if (known !== undefined) return this.#settled(started, known) as T;
    if (intent !== undefined) throw new RollingBack(`workflow ${gid} is rolling back, '${name}' is not run`, { gid });
    let ended: StepRecord;
    try {
      const value = await this.#within(started, "action", step.run);
      ended = { status: "succeed", step: name, value };
    } catch (error) {
      if (!isFailure(error)) throw error;
      ended = failedRecord(name, findBranded(error) as Failure, started.called);
    }
    return this.#settled(started, await records.keep(branchId, ended)) as T;
  }

  /** Takes over what the record says of the step, whoever wrote it; then its value, or its refusal. */
  #settled(started: Started, record: StepRecord): unknown {
    started.refused = record.status === "failed";
    started.called = record.status === "failed" && record.called;
    return replayed(record, this.#context.gid, started.branchId);
  }

  #find(branchId: string, name: string): ReturnType<Records["find"]> {
    try {
      return this.#context.records.find(branchId, name);
    } catch (error) {
      if (error instanceof NonDeterminism) this.broken ??= error;
      throw error;
    }
  }

  #checkName(name: string): void {
    if (this.#names.has(name)) {
      process.emitWarning(`two steps of one workflow are called '${name}'; a replay cannot tell them apart`, {
        type: "TandemWarning",
        code: "DTX_STEP_NAME",
      });
    }
    this.#names.add(name);
  }

  async #within<T>(
    started: Started,
    op: "action" | "commit" | "rollback",
    work: (scope: StepScope) => Promise<T> | T,
  ): Promise<T> {
    const { gid, access, headers, signal } = this.#context;
    signal?.throwIfAborted();
    const { branchId, name } = started;
    const branch: BranchIdentity = { gid, transType: "workflow", branchId, op };
    const delivery = new Delivery(branch);
    const scope: StepScope = {
      branch,
      delivery,
      async call<In, Out>(to: string | XaStep<In, Out>, payload: In, own?: Readonly<Record<string, string>>) {
        const reference: XaStep<In, Out> = typeof to === "string" ? { url: to } : to;
        const { url } = reference;
        const body = payloadOf(payload, url, reference);
        if (op === "action") started.called = true;
        const all = joinedHeaders(headers, reference.headers, own);
        const call = { url, branch, body, headers: all, timeoutMs: timeoutOf(reference), signal };
        // The participant's word is taken for its type.
        return (await callParticipant(access, call, reference)) as Out;
      },
    };
    const activity = { name: `${op} ${name}`, gid, branchId, op };
    return access.telemetry.during(activity, () => handling(delivery, async () => work(scope)));
  }
}

/** Barrier around both sides; a run that committed before is recalled, one that was undone before must not go on. */
function inTransaction<Tx, T>(guard: Guard<Tx>, step: TxStep<Tx, T>): Step<T | undefined> {
  const { run, recall, rollback } = step;
  return {
    async run(scope) {
      const { gid } = scope.branch;
      const where = `a step of ${gid}`;
      // As plain JSON, which a barrier that remembers can keep; the record would make the same of it.
      const business = async (tx: Tx) => toPlain(await run(tx, scope), where);
      const result: BarrierResult<unknown> = await guard.run(scope.delivery, business);
      if (result.kind !== "executed" && result.kind !== "duplicate") {
        throw new NonDeterminism(`${where} was undone before it ran`, gid);
      }
      if (result.kind === "executed" || result.value !== undefined) return fromPlain(result.value) as T;
      if (recall === undefined) return undefined;
      return guard.transaction((tx) => recall(tx, scope));
    },
    ...(rollback && { rollback: (scope: StepScope) => guard.run(scope.delivery, (tx) => rollback(tx, scope)) }),
  };
}
