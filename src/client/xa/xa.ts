// XA, the initiator's side: call every branch, then decide. A branch registers itself while it is called; the same URL
// is called again by the coordinator for commit or rollback.

import { callParticipant } from "../call.js";
import { invalidInput } from "../errors.js";
import {
  checkGid,
  checkReference,
  type GlobalOptions,
  joinedHeaders,
  newGid,
  payloadOf,
  stepFields,
  timeoutOf,
} from "../global.js";
import type { CallSettings, XaStep } from "../step.js";
import { branchIds, decide, type Initiator } from "../tcc.js";

/** Where an open XA transaction's branches are called. */
export interface Xa {
  readonly gid: string;
  /**
   * Has a service do its part and prepare it; resolves to its value. What it rejects with should leave the callback.
   */
  call<In, Out>(step: XaStep<In, Out> | string, payload: NoInfer<In>): Promise<Out>;
}

/** By which the branch is told what to register for its calls in phase two. */
function phaseTwo(step: CallSettings): Readonly<Record<string, string>> {
  const { headers, request_timeout } = stepFields(step);
  return {
    ...(headers !== undefined && { "tandem-branch-headers": headers }),
    ...(request_timeout !== undefined && { "tandem-branch-timeout": request_timeout }),
  };
}

/** The xid is `gid-branchId`; MySQL takes 64 bytes of it. */
const xaGidBytesMax = 61;

/** Runs `work` as one global transaction; resolves to its value once the decision to commit is durable. */
export async function xa<T>(initiator: Initiator, options: GlobalOptions, work: (xa: Xa) => Promise<T>): Promise<T> {
  const gid = checkXaGid(checkGid(options.gid ?? newGid()));
  const { access, address: dtm } = initiator;
  const { signal, headers } = options;
  const nextId = branchIds("");
  const open: Xa = {
    gid,
    async call<In, Out>(step: XaStep<In, Out> | string, payload: NoInfer<In>) {
      const reference: XaStep<In, Out> = typeof step === "string" ? { url: step } : step;
      checkReference(reference, "an XA branch", ["url"]);
      const { url } = reference;
      const all = joinedHeaders(headers, reference.headers, phaseTwo(reference));
      const branch = { gid, transType: "xa", branchId: nextId(), op: "action", dtm, phase2Url: url };
      const body = payloadOf<In>(payload, url, reference);
      // The participant's word is taken for its type.
      return (await callParticipant(
        access,
        { url, branch, body, method: "POST", headers: all, timeoutMs: timeoutOf(reference), signal },
        reference,
      )) as Out;
    },
  };
  return decide(initiator, options, "xa", gid, () => work(open));
}

function checkXaGid(gid: string): string {
  if (gid.length <= xaGidBytesMax && /^[A-Za-z0-9_.:-]+$/.test(gid)) return gid;
  throw invalidInput(`the gid ${JSON.stringify(gid)} cannot be part of an xid`, {
    gid,
    hint: `an XA gid has letters, digits and _ . : - only, at most ${xaGidBytesMax}`,
  });
}
