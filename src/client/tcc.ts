// TCC: the initiator registers each branch, then tries it; the end of the callback decides. Registering comes first,
// so that a try whose answer was lost is cancelled as well. Inside a try handler a tcc becomes a part of the one that
// called it. Loaded when the first one is begun.

import { type Api, type ApiBody, accepted, Rejected } from "./api.js";
import { callParticipant, type ParticipantAccess } from "./call.js";
import { currentDelivery } from "./context.js";
import { Failure, invalidInput, messageOf } from "./errors.js";
import {
  checkGid,
  checkReference,
  type GlobalOptions,
  joinedHeaders,
  newGid,
  optionFields,
  payloadOf,
  stepFields,
  submitAndWait,
  timeoutOf,
} from "./global.js";
import type { BranchIdentity } from "./identity.js";
import type { TccStep } from "./step.js";

/** Where an open tcc's branches are called. */
export interface Tcc {
  readonly gid: string;
  /**
   * Registers a branch and tries it; resolves to the participant's value. What it rejects with should leave the
   * callback:
   * then everything is cancelled. Calls may run side by side.
   */
  call<In, Out>(step: TccStep<In, Out>, payload: NoInfer<In>): Promise<Out>;
}

/** What the patterns need of the client. */
export interface Initiator {
  readonly api: Api;
  readonly access: ParticipantAccess;
  /** Address that participants are told, so that they can register branches of their own. */
  readonly address: string;
}

/** Branch ids below a parent: two digits each, so 99; a parent of 20 characters or more cannot have children. */
export function branchIds(parent: string): () => string {
  let count = 0;
  return () => {
    count++;
    if (count <= 99 && parent.length < 20) return parent + String(count).padStart(2, "0");
    throw invalidInput(`branch ${parent || "root"} cannot have ${count} branches at this depth`, {
      hint: "at most 99 branches each, ten levels deep",
    });
  };
}

/**
 * Runs `work` as one global transaction and resolves to its value once the decision to confirm is durable.
 * If it rejects, everything tried is cancelled and its error is thrown on.
 */
export async function tcc<T>(initiator: Initiator, options: GlobalOptions, work: (tcc: Tcc) => Promise<T>): Promise<T> {
  const parent = currentDelivery()?.branch;
  if (parent?.transType === "tcc" && parent.op === "try" && options.gid === undefined) {
    return work(openTcc(initiator, options, parent.gid, branchIds(parent.branchId)));
  }
  const gid = checkGid(options.gid ?? newGid());
  return decide(initiator, options, "tcc", gid, () => work(openTcc(initiator, options, gid, branchIds(""))));
}

function openTcc(initiator: Initiator, options: GlobalOptions, gid: string, nextId: () => string): Tcc {
  const { api, access, address: dtm } = initiator;
  const { signal, headers } = options;
  return {
    gid,
    async call<In, Out>(step: TccStep<In, Out>, payload: NoInfer<In>) {
      checkReference(step, "the branch of a tcc", ["try", "confirm", "cancel"]);
      const branchId = nextId();
      const data = payloadOf<In>(payload, step.try, step);
      const branch: BranchIdentity = { gid, transType: "tcc", branchId, op: "try", dtm };
      const { confirm, cancel } = step;
      await accepted(
        api,
        "registerBranch",
        { gid, trans_type: "tcc", branch_id: branchId, data, confirm, cancel, ...stepFields(step) },
        { signal },
      );
      // The participant's word is taken for its type; services check their inputs, not their callers' outputs.
      const call = {
        url: step.try,
        branch,
        body: data,
        method: "POST",
        headers: joinedHeaders(headers, step.headers),
        timeoutMs: timeoutOf(step),
        signal,
      } as const;
      return (await callParticipant(access, call, step)) as Out;
    },
  };
}

/**
 * prepare, work, then submit or abort: the frame of tcc and xa. After a submit whose outcome is unknown nothing is
 * aborted:
 * the coordinator may have taken it.
 */
export function decide<T>(
  { api }: Initiator,
  options: GlobalOptions,
  type: "tcc" | "xa",
  gid: string,
  work: () => Promise<T>,
): Promise<T> {
  return api.telemetry.during({ name: type, gid }, () => {
    const body = { gid, trans_type: type, ...optionFields(api, options), protocol: "http" };
    return prepareAndDecide(api, options, body, work);
  });
}

async function prepareAndDecide<T>(
  api: Api,
  options: GlobalOptions,
  body: ApiBody,
  work: () => Promise<T>,
): Promise<T> {
  await accepted(api, "prepare", body, { signal: options.signal });
  let value: T;
  try {
    value = await work();
  } catch (error) {
    await abort(api, body, error);
    throw error;
  }
  try {
    const state = await submitAndWait(api, body, options);
    const rolledBack = state.status === "failed" || (state.status === "pending" && state.aborting);
    if (!rolledBack) return value;
    const reason = state.status === "failed" ? state.reason : "";
    throw new Failure(reason || "it was rolled back before it was submitted", { gid: state.gid, hint: timeoutHint });
  } catch (error) {
    if (!(error instanceof Rejected) || error.status !== 409) throw error;
    throw new Failure(error.message, {
      gid: error.gid,
      cause: error,
      hint: "rolled back by timeout? See timeoutToFail",
    });
  }
}

const timeoutHint = "if it took longer than timeoutToFail, the coordinator has rolled it back";

/** Told once, with the client's retries. If nobody hears it, the coordinator gives up by itself at `timeoutToFail`. */
async function abort(api: Api, body: ApiBody, reason: unknown): Promise<void> {
  const rollback_reason = messageOf(reason).slice(0, 1_000);
  await api.call("abort", { ...body, rollback_reason }).catch(() => undefined);
}
