/**
 * What happened, in the words of a story.
 */
import type { Event } from "../../src/core/event.js";
import type { Reply } from "../../src/core/input.js";

/** What a row records. */
export function eventText(event: Event): string {
  switch (event.kind) {
    case "settled":
      return `${event.op} ${event.status}`;
    case "started":
      return `started ${event.ops.join("+")}`;
    case "finished":
      return `finished ${event.status}`;
    case "aborting":
      return `aborting (${event.reason})`;
    case "retried":
      return `${event.op} to be tried again`;
    default:
      return event.kind;
  }
}

/** What somebody is told. */
export function replyText(reply: Reply): string {
  return reply.kind === "refused" ? `${reply.code} ${reply.message}` : reply.kind;
}
