// Two-phase message: "this happens if and only if my local transaction commits". prepare, then the local transaction
// with its barrier row, then submit; if the initiator dies in between, the coordinator asks its check-back route.

import type { Api, ApiBody } from "./api.js";
import type { Delivery } from "./barrier/delivery.js";
import type { Guard } from "./barrier/guard.js";
import { type Duration, toSeconds } from "./duration.js";
import { invalidInput, TandemError } from "./errors.js";
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
import { messageBranch } from "./identity.js";
import type { XaStep } from "./step.js";
import type { Initiator } from "./tcc.js";

/** Settings of a message. */
export interface MsgOptions extends GlobalOptions {
  /** Where the coordinator asks whether the local transaction committed; default: the client's `checkBackUrl`. */
  readonly checkBackUrl?: string;
  /** Deliver to all targets at once instead of one after the other. */
  readonly concurrent?: boolean;
}

/**
 * What became of a message whose local transaction ran: it goes out, it never will, or the coordinator will find out.
 */
export type MsgOutcome = "submitted" | "aborted" | "unknown";

/** A message whose local transaction committed. `outcome` is `unknown` if the submit was not acknowledged. */
export interface Committed<T> {
  readonly gid: string;
  readonly outcome: "submitted" | "unknown";
  readonly value: T;
}

/** A message being written; fixed once it was sent. */
export interface Msg {
  readonly gid: string;
  /** Adds a target. It is called until it answers success; it cannot refuse. A `Uint8Array` is sent as it is. */
  to(url: string, payload?: unknown): Msg;
  to<In>(target: XaStep<In>, payload: NoInfer<In>): Msg;
  /** Adds all subscribers of a topic, as they are when the coordinator takes the message. */
  topic(name: string, payload?: unknown): Msg;
  /** Holds delivery back for so long after submission. Whole seconds, rounded up. */
  delay(duration: Duration): Msg;
  /** Sends without a local transaction. */
  submit(): Promise<GlobalState>;
  /**
   * Runs `work` in a transaction of the guard's database and sends the message if it commits. An error of `work` is
   * thrown on with a property `outcome` (`MsgOutcome`): a commit that was in doubt may have happened, then the message
   * goes out.
   */
  commitWith<Tx, T>(guard: Guard<Tx>, work: (tx: Tx) => Promise<T>): Promise<Committed<T>>;
  /**
   * The same with a barrier of one's own: `work` makes exactly one barrier call with the delivery it is given, its
   * first.
   * After an error the check-back URL is asked for the truth.
   */
  doAndSubmit<T>(work: (delivery: Delivery) => Promise<T>): Promise<Committed<T>>;
}

interface Target extends Partial<StepFields> {
  readonly action: string;
  readonly payload: string | Uint8Array;
}

/** Starts a message; nothing is sent yet. */
export function msg(initiator: Initiator, options: MsgOptions, defaultCheckBackUrl: string | undefined): Msg {
  const gid = checkGid(options.gid ?? newGid());
  const targets: Target[] = [];
  let delaySeconds = 0;
  let body: ApiBody | undefined;
  const change = (apply: () => void): Msg => {
    if (body !== undefined) throw invalidInput("the message was sent and cannot be changed", { gid });
    apply();
    return it;
  };
  const { api } = initiator;
  const sealed = (checkBackUrl?: string) => (body ??= msgBody(api, gid, targets, delaySeconds, options, checkBackUrl));
  const during = <T>(work: () => Promise<T>) => api.telemetry.during({ name: "msg", gid }, work);
  const checkBackUrl = options.checkBackUrl ?? defaultCheckBackUrl;
  const it: Msg = {
    gid,
    to: <In>(target: string | XaStep<In>, payload?: In) =>
      change(() => {
        const reference: XaStep<In> = typeof target === "string" ? { url: target } : target;
        checkReference(reference, "the target of a message", ["url"]);
        // A target without a payload is one that takes none.
        const { url } = reference;
        const sent = payloadOf(payload as In, url, reference);
        targets.push({ action: url, ...stepFields(reference), payload: sent });
      }),
    topic: (name, payload) =>
      change(() => targets.push({ action: `topic://${name}`, payload: payloadOf(payload, `topic ${name}`) })),
    delay: (duration) =>
      change(() => {
        delaySeconds = toSeconds(duration);
      }),
    submit: () => during(async () => submitAndWait(api, sealed(), options)),
    commitWith: (guard, work) => {
      const run = async (delivery: Delivery) => {
        const result = await guard.run(delivery, work);
        if (result.kind === "executed") return result.value;
        throw new TandemError("DTX_BARRIER", `the local transaction of ${gid} was ${result.kind}`, { gid });
      };
      const url = needed(checkBackUrl, gid);
      const check = () => guard.queryPrepared({ gid, transType: "msg", ...messageBranch });
      return during(async () => (await machinery()).commitAndSubmit(api, options, sealed(url), run, check));
    },
    doAndSubmit: (work) => {
      const url = needed(checkBackUrl, gid);
      return during(async () => {
        const { askCheckBack, commitAndSubmit } = await machinery();
        const check = () => askCheckBack(initiator, options, url, gid);
        return commitAndSubmit(api, options, sealed(url), work, check);
      });
    },
  };
  return it;
}

/** Loaded for the first message with a local transaction. */
const machinery = () => import("./localtx.js");

function needed(checkBackUrl: string | undefined, gid: string): string {
  if (checkBackUrl !== undefined) return checkBackUrl;
  throw invalidInput("a message with a local transaction needs a check-back URL", {
    gid,
    hint: "give createClient({ checkBackUrl }) and serve it with checkBack(guard)",
  });
}

/** The same body for prepare and submit: a coordinator that submits after a check-back knows only what prepare said. */
function msgBody(
  api: Api,
  gid: string,
  targets: readonly Target[],
  delaySeconds: number,
  options: MsgOptions,
  checkBackUrl: string | undefined,
): ApiBody {
  if (targets.length === 0)
    throw invalidInput("the message has no target", {
      ...{ gid, hint: "add each with msg.to(url, payload) or msg.topic(name, payload)" },
    });
  return {
    gid,
    trans_type: "msg",
    steps: targets.map(({ payload, ...step }) => step),
    payloads: targets.map(({ payload }) => payload),
    ...(delaySeconds > 0 ? { custom_data: JSON.stringify({ delay: delaySeconds }) } : {}),
    ...(options.concurrent ? { concurrent: true } : {}),
    ...(checkBackUrl === undefined ? {} : { query_prepared: checkBackUrl }),
    ...optionFields(api, options),
    protocol: "http",
  };
}
