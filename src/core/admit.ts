/**
 * Requests: what a client or an operator may do to a transaction in which state, and what it is told. The rules are the
 * tables of S-HTTP-31…43 and 60…67 with decisions D1–D3, D8, D10, D21, D22 and D27 over them.
 */
import type { Draft, Held } from "./draft.js";
import { type Refusal, type Reply, type Request, refused, type Submission } from "./input.js";
import { topicScheme } from "./pattern/msg.js";
import { failureText, finished, type Pattern, shortened } from "./pattern/pattern.js";
import { notFound, otherType } from "./refusal.js";
import { registerBranch } from "./register.js";
import { isFinal, type Options, type Transaction, type TransType, type Tries } from "./transaction.js";
import { finishWorkflow, prepareWorkflow } from "./workflow.js";

/** Records what the request does and gives its reply; the pattern then advances by itself. */
export function admit(draft: Draft, input: Request, patterns: Readonly<Record<TransType, Pattern>>): Reply | Held {
  switch (input.kind) {
    case "prepare":
      return prepare(draft, input.submission, patterns);
    case "submit":
      return submit(draft, input, patterns);
    case "abort":
      return abort(draft, input);
    case "forceStop":
      return forceStop(draft);
    case "registerBranch":
      return registerBranch(draft, input.registration);
    case "prepareWorkflow":
      return prepareWorkflow(draft, input.submission, () => create(draft, input.submission, "prepared", patterns));
    case "finishWorkflow":
      return finishWorkflow(draft, input);
    case "hasten":
      return hasten(draft, input.bulk);
    case "park":
      return park(draft, input.by, input.reason);
    case "unpark":
      return unpark(draft);
    case "query":
      return { kind: "transaction", transaction: draft.tx };
    case "await":
      return draft.tx === undefined ? notFound() : { kind: "held", of: input.of, sliceMs: input.sliceMs };
  }
}

const accepted: Reply = { kind: "accepted" };

/** The reply of a request that waits for the end: held here, or awaited by the sender. */
function ended(of: Held["of"], hold = true): Reply | Held {
  return hold ? { kind: "held", of } : { kind: "accepted", await: of };
}

function create(
  draft: Draft,
  submission: Submission,
  status: "prepared" | "submitted",
  patterns: Readonly<Record<TransType, Pattern>>,
): Refusal | undefined {
  const { turn } = draft;
  const unknown = submission.steps.find(
    ({ action }) => action.startsWith(topicScheme) && !turn.topics.get(action.slice(topicScheme.length))?.length,
  );
  if (submission.type === "msg" && unknown !== undefined)
    return refused("BAD_REQUEST", `topic not found: '${unknown.action.slice(topicScheme.length)}'`);
  const ops = patterns[submission.type].plan(submission, turn.topics);
  const branches = submission.type === "saga" ? ops.length / 2 : ops.length;
  if (branches > turn.branchesMax)
    return refused("BAD_REQUEST", `${branches} branches met, at most ${turn.branchesMax} are allowed`);
  const { lease } = submission;
  draft.record({
    kind: "created",
    atMs: turn.nowMs,
    id: turn.newId,
    gid: turn.gid,
    type: submission.type,
    protocol: submission.protocol,
    status,
    options: submission.options,
    defaults: turn.defaults,
    digest: status === "submitted" ? submission.digest : undefined,
    queryPrepared: submission.queryPrepared,
    customData: submission.customData,
    ops,
    executor: lease && {
      id: lease.executorId,
      leaseMs: lease.seconds * 1000,
      untilMs: turn.nowMs + lease.seconds * 1000,
    },
  });
  return undefined;
}

function prepare(draft: Draft, submission: Submission, patterns: Readonly<Record<TransType, Pattern>>): Reply {
  const { tx } = draft;
  if (tx === undefined) return create(draft, submission, "prepared", patterns) ?? accepted;
  if (tx.type !== submission.type) return otherType(tx, submission.type);
  if (tx.status === "prepared") return accepted;
  return refused("REFUSED", `current status '${tx.status}', cannot prepare. FAILURE`);
}

function submit(
  draft: Draft,
  input: Extract<Request, { kind: "submit" }>,
  patterns: Readonly<Record<TransType, Pattern>>,
): Reply | Held {
  const { tx } = draft;
  const { submission } = input;
  const reply = submission.options.waitResult ? ended("submit", input.hold) : accepted;
  if (tx === undefined) return create(draft, submission, "submitted", patterns) ?? reply;
  if (tx.type !== submission.type) return otherType(tx, submission.type);
  if (tx.digest !== undefined && tx.digest !== submission.digest)
    return refused(
      "REFUSED",
      `gid ${tx.gid}: current status '${tx.status}', cannot sumbmit. It was submitted with other content. FAILURE`,
    );
  if (tx.status === "aborting" || tx.status === "failed") return cannotSubmit(tx);
  const onlyHeadLeft = tx.version === 0; // retention took the journal
  if (tx.digest !== undefined || onlyHeadLeft) return reply;
  if (tx.status === "prepared") draft.record(firstSubmit(tx, submission, draft.turn.nowMs));
  else draft.record({ kind: "digestRecorded", atMs: draft.turn.nowMs, digest: submission.digest });
  return reply;
}

function cannotSubmit(tx: Transaction): Refusal {
  const reason = tx.rollbackReason === "" ? "" : ` Reason: ${tx.rollbackReason}`;
  return refused("REFUSED", failureText(`current status '${tx.status}', cannot sumbmit.${reason}`));
}

/** What a submit brings is merged over what prepare brought; its steps are not looked at (S-HTTP-35, C-MSG-1). */
function firstSubmit(tx: Transaction, { digest, options, customData }: Submission, atMs: number) {
  const merged = customData === "" || customData === tx.customData ? undefined : customData;
  return { kind: "submitted", atMs, digest, options: merge(tx.options, options), customData: merged } as const;
}

function merge(before: Options, submitted: Options): Options {
  return {
    waitResult: submitted.waitResult || before.waitResult,
    timeoutToFailS: submitted.timeoutToFailS ?? before.timeoutToFailS,
    requestTimeoutS: submitted.requestTimeoutS ?? before.requestTimeoutS,
    retryIntervalS: submitted.retryIntervalS ?? before.retryIntervalS,
    retryLimit: submitted.retryLimit ?? before.retryLimit,
    branchHeaders: submitted.branchHeaders ?? before.branchHeaders,
    concurrent: submitted.concurrent || before.concurrent,
  };
}

function abort(draft: Draft, input: Extract<Request, { kind: "abort" }>): Reply | Held {
  const { tx, turn } = draft;
  if (tx === undefined) return notFound();
  if (tx.type !== input.type) return otherType(tx, input.type);
  const held = input.waitResult || tx.options.waitResult ? ended("abort", input.hold) : accepted;
  const reason = shortened(input.reason);
  if (tx.type === "msg" && tx.status === "prepared") {
    draft.record(finished("failed", turn.nowMs, reason, true));
    return accepted;
  }
  if (tx.status === "failed" && tx.abortedByClient) return accepted;
  const phased = tx.type === "tcc" || tx.type === "xa";
  if (phased && tx.status === "prepared") {
    unparkIf(draft);
    draft.record({ kind: "aborting", atMs: turn.nowMs, reason, byClient: true });
    return held;
  }
  if (phased && tx.status === "aborting") {
    unparkIf(draft);
    return held;
  }
  return refused("REFUSED", `trans type: '${tx.type}' current status '${tx.status}', cannot abort. FAILURE`);
}

function forceStop(draft: Draft): Reply {
  const { tx } = draft;
  if (tx === undefined) return notFound();
  if (isFinal(tx))
    return refused("REFUSED", `global transaction force stop error. status: ${tx.status}. error: FAILURE`);
  draft.record(finished("failed", draft.turn.nowMs));
  return accepted;
}

/** In bulk only what changes is accepted, so that who counts spends a limit on nothing else (S-CRON-9). */
function hasten(draft: Draft, bulk: boolean): Reply {
  const { tx } = draft;
  if (tx === undefined) return notFound();
  const { nowMs } = draft.turn;
  const left = isFinal(tx) || (bulk && tx.parked !== undefined);
  const waits = !left && waitsForTime(tx, nowMs);
  if (!left) unparkIf(draft);
  if (waits) draft.record({ kind: "hastened", atMs: nowMs });
  return waits || !bulk ? accepted : refused("REFUSED", `gid ${tx.gid}: it waits for no next try. FAILURE`);
}

/** Whether hastening would change anything: what does not wait gets no row, however often an operator asks. */
function waitsForTime(tx: Transaction, nowMs: number): boolean {
  const callbackAhead = tx.type === "workflow" && tx.status === "prepared" && tx.check === undefined;
  const waits = (tries: Tries | undefined) => tries !== undefined && tries.nextAtMs > nowMs;
  return callbackAhead || waits(tx.check) || tx.ops.some(({ status, tries }) => status === "prepared" && waits(tries));
}

function park(draft: Draft, by: string, reason: string): Reply {
  const { tx, turn } = draft;
  if (tx === undefined) return notFound();
  if (isFinal(tx)) return refused("REFUSED", `gid ${tx.gid}: current status '${tx.status}', cannot park. FAILURE`);
  if (tx.parked === undefined)
    draft.record({ kind: "parked", atMs: turn.nowMs, parked: { sinceMs: turn.nowMs, by, reason } });
  return accepted;
}

function unpark(draft: Draft): Reply {
  if (draft.tx === undefined) return notFound();
  unparkIf(draft);
  return accepted;
}

function unparkIf(draft: Draft): void {
  if (draft.tx?.parked !== undefined) draft.record({ kind: "unparked", atMs: draft.turn.nowMs });
}
