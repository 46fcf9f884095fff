// Saga: actions in order, or as an order graph allows; when one refuses, the compensations of those that were sent.
// The initiator sends the whole plan in one request, which may be repeated with the same gid without harm.

import type { Api, ApiBody } from "./api.js";
import { invalidInput } from "./errors.js";
import {
  checkGid,
  checkReference,
  type GlobalOptions,
  type GlobalState,
  newGid,
  optionFields,
  payloadOf,
  type StepFields,
  stepFields,
  submitAndWait,
} from "./global.js";
import type { SagaStep } from "./step.js";

/** Settings of a saga. */
export interface SagaOptions extends GlobalOptions {
  /** Retries of an action that answers neither yes nor no, before the saga is rolled back; default: for ever. */
  readonly maxRetries?: number;
}

/** For each step (0-based) the steps that must have succeeded before; they must come earlier. */
export type SagaOrder = Readonly<Record<number, readonly number[]>>;

/**
 * What an order may be that is written out: each step waits for earlier ones only, as far as the compiler can tell. An
 * order that is computed, and steps from 100 on, are checked by `submit`, as is that the steps exist.
 */
export type EarlierSteps<Order extends SagaOrder> = {
  readonly [Step in keyof Order]: Order[Step] extends readonly (infer Before)[]
    ? number extends Before
      ? Order[Step]
      : readonly Below<Step>[]
    : never;
};

/** The union of 0 … N - 1, nothing where N is no position; any number where the compiler does not know N. */
type Below<N, Counted extends readonly number[] = []> = string extends N
  ? number
  : number extends N
    ? number
    : N extends number
      ? `${N}` extends `-${string}` | `${string}.${string}`
        ? never
        : `${N}` extends `${infer _1}${infer _2}${infer _3}${infer _More}`
          ? number
          : N extends Counted["length"]
            ? Counted[number]
            : Below<N, readonly [...Counted, Counted["length"]]>
      : never;

/** Steps a transaction may have. */
const stepsMax = 1_000;

/** A saga being written. It cannot be changed once it was submitted; submitting again is harmless. */
export interface Saga {
  readonly gid: string;
  /** Adds a step. The payload is turned into JSON at once; a `Uint8Array` is sent as it is. */
  step<In>(step: SagaStep<In>, payload: NoInfer<In>): Saga;
  step(step: SagaStep<undefined>): Saga;
  /** Runs steps side by side, as far as `order` allows; without it all at once. */
  parallel<const Order extends SagaOrder>(order?: Order & EarlierSteps<Order>): Saga;
  /**
   * Resolves when the saga is accepted, with `wait` when it is over or the time is up. A failed saga is a state, no
   * error.
   */
  submit(): Promise<GlobalState>;
}

interface PlannedStep extends StepFields {
  readonly action: string;
  readonly compensate: string;
  readonly payload: string | Uint8Array;
}

/** Starts a saga; nothing is sent before `submit`. */
export function saga(api: Api, options: SagaOptions = {}): Saga {
  const gid = checkGid(options.gid ?? newGid());
  const steps: PlannedStep[] = [];
  let order: SagaOrder | undefined;
  let body: ApiBody | undefined;
  const assertOpen = () => {
    if (body === undefined) return;
    throw invalidInput("the saga was submitted and cannot be changed", { gid });
  };
  const it: Saga = {
    gid,
    step<In>(step: SagaStep<In>, payload?: In) {
      assertOpen();
      checkReference(step, `step ${steps.length}`, ["action", "compensate"]);
      const { action, compensate } = step;
      // A step without a payload is one that takes none.
      const sent = payloadOf(payload as In, `step ${steps.length} (${action})`, step);
      steps.push({ action, compensate, ...stepFields(step), payload: sent });
      return it;
    },
    parallel(wanted?: SagaOrder) {
      assertOpen();
      order = wanted ?? {};
      return it;
    },
    submit: () =>
      api.telemetry.during({ name: "saga", gid }, async () => {
        body ??= sagaBody(api, gid, steps, order, options);
        return submitAndWait(api, body, options);
      }),
  };
  return it;
}

function sagaBody(
  api: Api,
  gid: string,
  steps: readonly PlannedStep[],
  order: SagaOrder | undefined,
  options: SagaOptions,
): ApiBody {
  if (steps.length === 0 || steps.length > stepsMax) {
    throw invalidInput(`a saga has 1 to ${stepsMax} steps, not ${steps.length}`, {
      ...{ gid, hint: "add each with saga.step(reference, payload)" },
    });
  }
  if (order !== undefined) checkOrder(order, steps.length, gid);
  const concurrency = order && { concurrent: true, custom_data: JSON.stringify({ concurrent: true, orders: order }) };
  return {
    gid,
    trans_type: "saga",
    steps: steps.map(({ payload, ...step }) => step),
    payloads: steps.map(({ payload }) => payload),
    ...concurrency,
    ...optionFields(api, options),
    ...(options.maxRetries === undefined ? {} : { retry_limit: options.maxRetries }),
    protocol: "http",
  };
}

/** Earlier steps only, hence no cycles. */
function checkOrder(order: SagaOrder, count: number, gid: string): void {
  for (const [key, before] of Object.entries(order)) {
    const step = Number(key);
    const known = Number.isInteger(step) && step >= 0 && step < count;
    if (known && before.every((one) => Number.isInteger(one) && one >= 0 && one < step)) continue;
    throw invalidInput(`order ${key}: [${before.join(", ")}] does not fit ${count} steps`, {
      gid,
      hint: "name steps by their position from 0; a step can only wait for earlier ones",
    });
  }
}
