/**
 * The simplest transaction: what every node must still take when all is over.
 */
import type { Submission } from "../../src/core/input.js";

/** A saga of one step. */
export function plainSaga(gid: string): Submission {
  const step = { action: "http://p0.sim/do", compensate: "http://p0.sim/undo", payload: new Uint8Array() };
  const none = { requestTimeoutS: undefined, retryIntervalS: 1, retryLimit: undefined, branchHeaders: undefined };
  return {
    type: "saga",
    protocol: "http",
    options: { ...none, waitResult: false, timeoutToFailS: undefined, concurrent: false },
    steps: [step],
    queryPrepared: "",
    customData: "",
    digest: gid,
    lease: undefined,
  };
}
