// Calls that the initiator itself makes to participants: tcc try, xa action, a message's check-back. The branch stands
// in the query string, as in the coordinator's own calls.

import { Failure, invalidInput, Ongoing, reasonOf, TandemError } from "./errors.js";
import type { Fetch } from "./http.js";
import type { BranchIdentity } from "./identity.js";
import { classifyHttp } from "./result.js";
import type { Telemetry } from "./telemetry.js";

/** One call of a participant. */
export interface ParticipantCall {
  readonly url: string;
  readonly branch: BranchIdentity;
  /** JSON text, or a message's bytes; an empty one is sent as GET without a body, unless `method` says otherwise. */
  readonly body: string | Uint8Array;
  readonly method?: "GET" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  /** Longest wait for the answer; default: that of the client. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal;
}

/** Calls participants of a protocol other than HTTP. */
export interface ParticipantTransport {
  /** True for URLs that are called by it. */
  takes(url: string): boolean;
  /** The answer in HTTP's terms; rejects when none came, also when `signal` ended the wait. */
  call(call: ParticipantCall, signal: AbortSignal): Promise<ParticipantAnswer>;
  close?(): Promise<void>;
}

/** What a participant said. `bytes`: the same as `text`, where it may be no text. */
export interface ParticipantAnswer {
  readonly status: number;
  readonly text: string;
  readonly bytes?: Uint8Array;
}

/** How this client reaches participants. */
export interface ParticipantAccess {
  readonly fetch: Fetch;
  /** Asked in turn; what none of them takes is called over HTTP. */
  readonly transports?: readonly ParticipantTransport[];
  /** Longest wait for one answer. */
  readonly timeoutMs: number;
  /** Maps a URL to one reachable from here; the coordinator still gets the original. */
  readonly rewriteUrl: (url: string) => string;
  readonly telemetry: Telemetry;
}

/**
 * The value a participant answered: parsed JSON, or the text if it is none. Rejects with `Failure` (carrying
 * `details`), `Ongoing`, or DTX_UNREACHABLE for everything that is neither yes nor no.
 */
export function callParticipant(
  access: ParticipantAccess,
  call: ParticipantCall,
  codec: { readonly decode?: (answer: Uint8Array) => unknown } = {},
): Promise<unknown> {
  const { telemetry } = access;
  const { gid, branchId, op } = call.branch;
  return telemetry.during({ name: op, gid, branchId, op, url: call.url }, () =>
    ask(access, { ...call, headers: { ...telemetry.headers(), ...call.headers } }, codec),
  );
}

async function ask(
  access: ParticipantAccess,
  call: ParticipantCall,
  { decode }: { readonly decode?: (answer: Uint8Array) => unknown },
): Promise<unknown> {
  const { gid, branchId } = call.branch;
  const url = access.rewriteUrl(call.url);
  const limit = AbortSignal.timeout(call.timeoutMs ?? access.timeoutMs);
  const signal = call.signal === undefined ? limit : AbortSignal.any([limit, call.signal]);
  const transport = access.transports?.find((one) => one.takes(url));
  const send: Send = transport === undefined ? overHttp(access.fetch, url, call) : over(transport, url, call);
  let answer: ParticipantAnswer;
  try {
    answer = await send(signal);
  } catch (cause) {
    if (cause instanceof TandemError) throw cause;
    call.signal?.throwIfAborted();
    throw new TandemError("DTX_UNREACHABLE", `no answer from ${call.url}: ${reasonOf(cause)}`, {
      cause,
      gid,
      branchId,
    });
  }
  const { status, text, bytes } = answer;
  // Only HTTP's answers are searched for DTM's words: elsewhere the status is the whole truth.
  const value = readAnswer(call, status, text, transport === undefined);
  return decode === undefined ? value : decode(bytes ?? new TextEncoder().encode(text));
}

type Send = (signal: AbortSignal) => Promise<ParticipantAnswer>;

const over =
  (transport: ParticipantTransport, url: string, call: ParticipantCall): Send =>
  (signal) =>
    transport.call({ ...call, url }, signal);

/** Throws at once for what is no URL; the request is made by the function it gives. */
function overHttp(fetch: Fetch, url: string, call: ParticipantCall): Send {
  const target = withBranch(url, call.branch);
  const method = call.method ?? (call.body.length === 0 ? "GET" : "POST");
  const headers = { "content-type": "application/json", ...call.headers };
  return async (signal) => {
    const init: RequestInit = { method, headers, signal, redirect: "manual" };
    const response = await fetch(
      target,
      method === "POST" ? { ...init, body: call.body as RequestInit["body"] } : init,
    );
    return { status: response.status, text: await response.text() };
  };
}

function readAnswer(call: ParticipantCall, status: number, text: string, search: boolean): unknown {
  const { gid, branchId, op } = call.branch;
  const value = parsed(text);
  const said = `${call.url} answered ${op} with ${status}: ${text.slice(0, 500)}`;
  switch (classifyHttp(status, search ? text : "")) {
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
  if (!URL.canParse(url) || !/^https?:/i.test(url)) {
    throw invalidInput(`not a URL that can be called from here: ${JSON.stringify(url)}`, {
      hint: "http and https need nothing; for gRPC and NATS give createClient({ participants: [grpcCalls()] })",
    });
  }
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
