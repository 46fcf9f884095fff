// What would otherwise show only after a crash: a coordinator's address that nobody answers at, a check-back that is
// not served, or that says yes to everything. Loaded when it is asked for.

import type { Endpoint } from "./api.js";
import { callParticipant } from "./call.js";
import { isFailure, messageOf, reasonOf, TandemError } from "./errors.js";
import { newGid } from "./global.js";
import { messageBranch } from "./identity.js";
import type { Initiator } from "./tcc.js";

/** Longest wait for one answer. */
const waitMs = 5_000;

/** Rejects with everything that is wrong. A check-back that works keeps one row of a message that never was. */
export async function selfCheck(
  endpoints: readonly Endpoint[],
  initiator: Initiator,
  checkBackUrl: string | undefined,
): Promise<void> {
  const asked = [...endpoints.map(coordinatorAnswers), checkBackSaysNo(initiator, checkBackUrl)];
  const problems = (await Promise.all(asked)).filter((problem) => problem !== undefined);
  if (problems.length === 0) return;
  throw new TandemError("DTX_UNREACHABLE", problems.join("; "), {
    hint: "mend the addresses given to createClient, or start what should be listening there",
  });
}

async function coordinatorAnswers(endpoint: Endpoint): Promise<string | undefined> {
  try {
    const { status, body } = await endpoint.call("newGid", {}, AbortSignal.timeout(waitMs));
    if (status === 200 && typeof body.gid === "string") return undefined;
    return `${endpoint.address} answered ${status}, not as a coordinator: ${String(body.message ?? "").slice(0, 200)}`;
  } catch (error) {
    return `no coordinator answered at ${endpoint.address}: ${reasonOf(error)}`;
  }
}

async function checkBackSaysNo(initiator: Initiator, url: string | undefined): Promise<string | undefined> {
  if (url === undefined) return undefined;
  const branch = { gid: newGid(), transType: "msg", ...messageBranch, dtm: initiator.address };
  try {
    await callParticipant(initiator.access, { url, branch, body: "" });
    return `the check-back at ${url} says that a message was committed which never was: serve checkBack(path, guard)`;
  } catch (error) {
    if (isFailure(error)) return undefined;
    return `the check-back at ${url} does not work: ${messageOf(error)}`;
  }
}
