/**
 * How large things are, roughly: a commit, to keep a flush below what a store takes in one packet; a submission and a
 * transaction, to keep memory within its limit.
 */
import type { Event } from "../core/event.js";
import type { Step, Submission } from "../core/input.js";
import type { BranchOp, Transaction } from "../core/transaction.js";

/** Bytes of an event besides its payloads and texts. */
const eventBytes = 160;

/** What a submission holds in memory, roughly. */
export function submissionBytes({ steps, customData }: Submission): number {
  const stepBytes = ({ payload, headers }: Step) => payload.length + headerBytes(headers) + eventBytes;
  return steps.reduce((sum, step) => sum + stepBytes(step), 1000 + customData.length);
}

/** An estimate from above of what these events take in a packet. */
export function commitBytes(events: readonly Event[]): number {
  let sum = 400;
  for (const event of events) {
    sum += eventBytes;
    if (event.kind === "created" || event.kind === "branchRegistered")
      for (const { payload, url, headers } of event.ops) sum += payload.length + url.length + headerBytes(headers) + 64;
    if (event.kind === "created") sum += event.customData.length * 3 + headerBytes(event.options.branchHeaders);
  }
  return sum;
}

/** What a transaction holds of its client's bytes. Ops that share a payload or headers hold them once. */
export function transactionBytes({ ops, customData, options }: Transaction): number {
  let sum = customData.length + headerBytes(options.branchHeaders);
  let last: Pick<BranchOp, "payload" | "headers"> | undefined;
  for (const op of ops) {
    sum += op.url.length + (op.payload === last?.payload ? 0 : op.payload.length);
    sum += op.headers === last?.headers ? 0 : headerBytes(op.headers);
    last = op;
  }
  return sum;
}

/** Whether these events make `transactionBytes` larger. */
export function addBytes(events: readonly Event[]): boolean {
  return events.some(({ kind }) => kind === "created" || kind === "branchRegistered" || kind === "submitted");
}

function headerBytes(headers: Readonly<Record<string, string>> | undefined): number {
  return Object.entries(headers ?? {}).reduce((sum, [name, value]) => sum + name.length + value.length * 3, 0);
}
