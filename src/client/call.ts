// Calls that the initiator itself makes to participants: tcc try, xa action, a message's check-back. The branch stands
// in the query string, as in the coordinator's own calls.

import { Failure, Ongoing, TandemError } from "./errors.js";
import type { Fetch } from "./http.js";
import type { BranchIdentity } from "./identity.js";
import { classifyHttp } from "./result.js";

/** One call of a participant. */
export interface ParticipantCall {
  readonly url: string;
  readonly branch: BranchIdentity;
  /** JSON text; "" is sent as GET without a body, unless `method` says otherwise. */
  readonly body: string;
  readonly method?: "GET" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** How this client reaches participants. */
export interface ParticipantAccess {
  readonly fetch: Fetch;
  /** Longest wait for one answer. */
  readonly timeoutMs: number;
  /** Maps a URL to one reachable from here; the coordinator still gets the original. */
  readonly rewriteUrl: (url: string) => string;
}

/**
 * The value a participant answered: parsed JSON, or the text if it is none. Rejects with `Failure` (carrying
 * `details`), `Ongoing`, or DTX_UNREACHABLE for everything that is neither yes nor no.
 */
export async function callParticipant(access: ParticipantAccess, call: ParticipantCall): Promise<unknown> {
  const url = withBranch(access.rewriteUrl(call.url), call.branch);
  const { gid, branchId } = call.branch;
  const limit = AbortSignal.timeout(access.timeoutMs);
  const signal = call.signal === undefined ? limit : AbortSignal.any([limit, call.signal]);
  const method = call.method ?? (call.body === "" ? "GET" : "POST");
  const headers = { "content-type": "application/json", ...call.headers };
  const init: RequestInit = { method, headers, signal, redirect: "manual" };
  let status: number;
  let text: string;
  try {
    const response = await access.fetch(url, method === "POST" ? { ...init, body: call.body } : init);
    status = response.status;
    text = await response.text();
  } catch (cause) {
    call.signal?.throwIfAborted();
    throw new TandemError("DTX_UNREACHABLE", `no answer from ${call.url}`, { cause, gid, branchId });
  }
  return readAnswer(call, status, text);
}

function readAnswer(call: ParticipantCall, status: number, text: string): unknown {
  const { gid, branchId, op } = call.branch;
  const value = parsed(text);
  const said = `${call.url} answered ${op} with ${status}: ${text.slice(0, 500)}`;
  switch (classifyHttp(status, text)) {
    case "success":
      return value;
    case "failure": {
      const { error, message, details } = (Object(value) ?? {}) as Record<string, unknown>;
      const words = [error, message].find((one) => typeof one === "string");
      throw new Failure(typeof words === "string" ? words : said, { gid, branchId, details });
    }
    case "ongoing":
      throw new Ongoing(said, { gid, branchId });
    case "unknown":
      throw new TandemError("DTX_UNREACHABLE", said, {
        gid,
        branchId,
        hint: "a participant says yes with exactly 200, no with 409, not yet with 425",
      });
  }
}

function withBranch(url: string, branch: BranchIdentity): string {
  if (!URL.canParse(url)) throw new TandemError("DTX_INVALID_INPUT", `not a URL: ${JSON.stringify(url)}`);
  const target = new URL(url);
  const parameters = target.searchParams;
  if (branch.dtm !== undefined) parameters.set("dtm", branch.dtm);
  parameters.set("gid", branch.gid);
  parameters.set("trans_type", branch.transType);
  parameters.set("branch_id", branch.branchId);
  parameters.set("op", branch.op);
  if (branch.phase2Url !== undefined) parameters.set("phase2_url", branch.phase2Url);
  return target.href;
}

function parsed(text: string): unknown {
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
