// The recorded steps of a workflow: what the coordinator keeps, by branch id and op as DTM's clients number them, and
// inside each record the step's name, so that a handler that changed between two runs is noticed.

import { type Api, type ApiBody, accepted, Rejected } from "../api.js";
import { Failure, messageOf, NonDeterminism, Ongoing, TandemError } from "../errors.js";
import { fromPlain, toPlain } from "./value.js";

/** A step's settled end. */
export type StepRecord =
  | { readonly status: "succeed"; readonly step: string; readonly value: unknown }
  | {
      readonly status: "failed";
      readonly step: string;
      readonly message: string;
      readonly details: unknown;
      /** It had called a participant before it refused. */
      readonly called: boolean;
    };

/** Why and what a workflow is rolling back, recorded before the first rollback. */
export interface RollbackIntent {
  readonly reason: string;
  /** Branch ids of the steps that may have had an effect. */
  readonly started: readonly string[];
}

/** Branch and op of the intent; no step has them. */
const intentBranch = "00";
const intentOp = "rollback-intent";

/** What `prepareWorkflow` told: an end, or the steps so far. */
export type Opened =
  | { readonly kind: "succeeded"; readonly result: Uint8Array }
  | { readonly kind: "failed"; readonly reason: string }
  | { readonly kind: "open"; readonly steps: ReadonlyMap<string, StoredStep> };

/** A progress as stored; `data` is text of whoever recorded it. */
export interface StoredStep {
  readonly status: string;
  readonly data: string;
}

/** Key of a progress. */
const keyOf = (branchId: string, op: string): string => `${branchId}-${op}`;

/**
 * Opens or re-opens the workflow; repeating it with the same body is harmless, and renews the lease if it asks for one.
 * Rejects with `Ongoing` while another executor holds the lease.
 */
export async function openWorkflow(api: Api, body: ApiBody, signal?: AbortSignal): Promise<Opened> {
  const answer = await accepted(api, "prepareWorkflow", body, { signal }).catch((error: unknown) => {
    // A transport whose reply has no place for a lease says "not yet" instead.
    if (error instanceof Rejected && error.status === 425) throw heldByAnother(String(body.gid), error);
    throw error;
  });
  if (answer.lease === "held") throw heldByAnother(String(body.gid));
  const transaction = Object(answer.transaction) as Record<string, unknown>;
  if (transaction.status === "succeed") return { kind: "succeeded", result: bytes(transaction.result) };
  if (transaction.status === "failed") return { kind: "failed", reason: String(transaction.rollback_reason ?? "") };
  const progresses: readonly unknown[] = Array.isArray(answer.progresses) ? answer.progresses : [];
  const steps = progresses.map((one): [string, StoredStep] => {
    const { branch_id, op, status, bin_data } = Object(one) as Record<string, unknown>;
    const data = new TextDecoder().decode(bytes(bin_data));
    return [keyOf(String(branch_id), String(op)), { status: String(status), data }];
  });
  return { kind: "open", steps: new Map(steps) };
}

const heldByAnother = (gid: string, cause?: unknown): Ongoing =>
  new Ongoing(`workflow ${gid} is being executed by another process`, { gid, cause });

const bytes = (base64: unknown): Uint8Array => Buffer.from(typeof base64 === "string" ? base64 : "", "base64");

/** The records of one run of one workflow: those it found, and those it adds. */
export class Records {
  readonly #api: Api;
  readonly #body: ApiBody;
  readonly #gid: string;
  #steps: ReadonlyMap<string, StoredStep>;

  /** `body` is the one that opened the workflow: it is sent again to learn what another executor recorded. */
  constructor(api: Api, body: ApiBody, steps: ReadonlyMap<string, StoredStep>) {
    this.#api = api;
    this.#body = body;
    this.#gid = String(body.gid);
    this.#steps = steps;
  }

  /** The recorded end of a step, `undefined` if it has none. Throws `NonDeterminism` if another step stands there. */
  find(branchId: string, name: string): StepRecord | undefined {
    const stored = this.#steps.get(keyOf(branchId, "action"));
    if (stored === undefined) return undefined;
    const record = parse(stored);
    if (record.step === name) return record;
    const met = record.step === "" ? "a step of another client" : `'${record.step}'`;
    throw new NonDeterminism(
      `branch ${branchId} of ${this.#gid} was ${met}, now the handler calls '${name}'`,
      this.#gid,
    );
  }

  /** True if an op of phase two is done. */
  isDone(branchId: string, op: string): boolean {
    return this.#steps.has(keyOf(branchId, op));
  }

  /** The intent, if a run before this one decided to roll back. */
  intent(): RollbackIntent | undefined {
    const stored = this.#steps.get(keyOf(intentBranch, intentOp));
    if (stored === undefined) return undefined;
    const { reason, started } = JSON.parse(stored.data) as RollbackIntent;
    return { reason, started };
  }

  /** True if a rollback was recorded without an intent: a client of another language decided it. */
  hasForeignRollback(): boolean {
    return this.intent() === undefined && [...this.#steps.keys()].some((key) => key.endsWith("-rollback"));
  }

  /** Records the end of a step; resolves to the end that counts, which is another executor's if that one was first. */
  async keep(branchId: string, record: StepRecord): Promise<StepRecord> {
    const text = JSON.stringify(
      record.status === "succeed"
        ? { step: record.step, value: toPlain(record.value, `step '${record.step}'`) }
        : { step: record.step, error: { message: record.message, details: record.details, called: record.called } },
    );
    const winner = await this.#register(branchId, "action", record.status, text);
    return winner === undefined ? parse({ status: record.status, data: text }) : this.find(branchId, record.step)!;
  }

  async keepIntent(intent: RollbackIntent): Promise<RollbackIntent> {
    const winner = await this.#register(intentBranch, intentOp, "succeed", JSON.stringify(intent));
    return winner === undefined ? intent : this.intent()!;
  }

  async keepDone(branchId: string, op: string): Promise<void> {
    await this.#register(branchId, op, "succeed", "");
  }

  /** Resolves to what another executor stored under the same key, `undefined` if ours counts. */
  async #register(branchId: string, op: string, status: string, data: string): Promise<StoredStep | undefined> {
    const { executor_id } = this.#body;
    const registration = {
      ...{ gid: this.#gid, trans_type: "workflow", branch_id: branchId, op, status, data },
      ...(executor_id !== undefined && { executor_id }),
    };
    const answer = await this.#api.call("registerBranch", registration);
    if (answer.status === 200) return undefined;
    const opened = await openWorkflow(this.#api, this.#body);
    if (opened.kind === "open") {
      this.#steps = opened.steps;
      const stored = opened.steps.get(keyOf(branchId, op));
      if (stored?.data === data && stored.status === status) return undefined;
      if (stored !== undefined) return stored;
    }
    const state = opened.kind === "open" ? String(answer.body.message ?? answer.status) : `it has ${opened.kind}`;
    throw new Ongoing(`a step of workflow ${this.#gid} could not be recorded: ${state}`, { gid: this.#gid });
  }
}

/** Records of other clients have no step name and count as text. */
function parse({ status, data }: StoredStep): StepRecord {
  const fields = envelope(data);
  const step = fields === undefined ? "" : String(fields.step);
  if (status !== "failed") return { status: "succeed", step, value: fromPlain(fields?.value) };
  const { message, details, called } = Object(fields?.error ?? {}) as Record<string, unknown>;
  return { status: "failed", step, message: String(message ?? data), details, called: called === true };
}

function envelope(data: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(data);
    return typeof value === "object" && value !== null && "step" in value
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

/** The record of a step that refused, and back to the error it was. */
export const failedRecord = (step: string, error: Failure, called: boolean): StepRecord => ({
  status: "failed",
  step,
  message: messageOf(error),
  details: toPlainOrNothing(error.details),
  called,
});

/** Details that cannot be kept are no reason to lose the refusal. */
function toPlainOrNothing(details: unknown): unknown {
  try {
    return toPlain(details, "details");
  } catch (error) {
    if (error instanceof TandemError) return undefined;
    throw error;
  }
}

/** The value of a step that succeeded; throws what a step that refused had thrown. */
export function replayed(record: StepRecord, gid: string, branchId: string): unknown {
  if (record.status === "succeed") return record.value;
  throw new Failure(record.message, { gid, branchId, details: fromPlain(record.details) });
}
