// A message with a local transaction, from prepare to its end: after prepare every way out tells the coordinator what
// is known. Loaded when the first such message is sent.

import { type Api, type ApiBody, accepted } from "./api.js";
import type { CheckBack } from "./barrier/core.js";
import { barrierFrom, type Delivery } from "./barrier/delivery.js";
import { callParticipant } from "./call.js";
import { isFailure, messageOf } from "./errors.js";
import { submitAndWait } from "./global.js";
import { messageBranch } from "./identity.js";
import type { Committed, MsgOptions, MsgOutcome } from "./msg.js";
import type { Initiator } from "./tcc.js";

/** If prepare fails, nothing has happened. After it, every way out tells the coordinator what is known. */
export async function commitAndSubmit<T>(
  api: Api,
  options: MsgOptions,
  body: ApiBody,
  work: (delivery: Delivery) => Promise<T>,
  checkBack: () => Promise<CheckBack>,
): Promise<Committed<T>> {
  const gid = String(body.gid);
  await accepted(api, "prepare", body, { signal: options.signal });
  const delivery = barrierFrom({ gid, transType: "msg", ...messageBranch });
  let value: T;
  try {
    value = await work(delivery);
  } catch (error) {
    throw withOutcome(error, await settle(api, body, options, error, checkBack));
  }
  return { gid, outcome: await sent(api, body, options), value };
}

/** After an error of the business: a refusal is believed, anything else is decided by the barrier's row. */
async function settle(
  api: Api,
  body: ApiBody,
  options: MsgOptions,
  error: unknown,
  checkBack: () => Promise<CheckBack>,
): Promise<MsgOutcome> {
  const truth = isFailure(error) ? "rolled-back" : await checkBack().catch(() => "unknown" as const);
  if (truth === "unknown") return "unknown";
  if (truth === "committed") return sent(api, body, options);
  const abort = { ...body, rollback_reason: messageOf(error).slice(0, 1_000) };
  return accepted(api, "abort", abort).then(
    () => "aborted" as const,
    () => "unknown" as const,
  );
}

/**
 * The local transaction is committed and stays so; a submit that is not acknowledged is made up for by the check-back.
 */
async function sent(api: Api, body: ApiBody, options: MsgOptions): Promise<"submitted" | "unknown"> {
  return submitAndWait(api, body, { ...options, signal: undefined }).then(
    (state) => (state.status === "failed" ? ("unknown" as const) : ("submitted" as const)),
    () => "unknown" as const,
  );
}

/** What the check-back route itself says. */
export async function askCheckBack(
  initiator: Initiator,
  options: MsgOptions,
  url: string,
  gid: string,
): Promise<CheckBack> {
  const branch = { gid, transType: "msg", ...messageBranch, dtm: initiator.address };
  try {
    await callParticipant(initiator.access, { url, branch, body: "", headers: options.headers });
    return "committed";
  } catch (error) {
    if (isFailure(error)) return "rolled-back";
    throw error;
  }
}

/** The caller's own error, told what became of the message. Things that take no property are wrapped. */
function withOutcome(error: unknown, outcome: MsgOutcome): unknown {
  if (typeof error === "object" && error !== null && Reflect.defineProperty(error, "outcome", { value: outcome })) {
    return error;
  }
  return Object.assign(new Error(messageOf(error), { cause: error }), { outcome });
}
