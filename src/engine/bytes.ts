/**
 * How large a commit is, roughly: enough to keep a flush below what a store takes in one packet.
 */
import type { Event } from "../core/event.js";
import type { Submission } from "../core/input.js";

/** Bytes of an event besides its payloads and texts. */
const eventBytes = 160;

/** What a submission holds in memory, roughly. */
export function submissionBytes({ steps, customData }: Submission): number {
  return steps.reduce((sum, { payload }) => sum + payload.length + eventBytes, 1000 + customData.length);
}

/** An estimate from above of what these events take in a packet. */
export function commitBytes(events: readonly Event[]): number {
  let sum = 400;
  for (const event of events) {
    sum += eventBytes;
    if (event.kind === "created" || event.kind === "branchRegistered")
      for (const { payload, url } of event.ops) sum += payload.length + url.length + 64;
    if (event.kind === "created") sum += event.customData.length * 3 + headerBytes(event.options.branchHeaders);
  }
  return sum;
}

function headerBytes(headers: Readonly<Record<string, string>> | undefined): number {
  return Object.entries(headers ?? {}).reduce((sum, [name, value]) => sum + name.length + value.length * 3, 0);
}
