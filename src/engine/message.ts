/**
 * What an actor finds in its mailbox, and how it leaves: the words between it and the engine.
 */
import type { Decision, Turn } from "../core/draft.js";
import { type Input, type Reply, refused } from "../core/input.js";

/** One thing in the mailbox. */
export interface Message {
  readonly input: Input;
  readonly reply: ((reply: Reply) => void) | undefined;
  /** Of a caller that may stop waiting; ends nothing but its wait. */
  readonly signal: AbortSignal | undefined;
  /** Read for it already. */
  readonly topics?: Turn["topics"];
}

/** An input that may create its transaction. */
export type Creating = Extract<Input, { readonly submission: unknown }>;

/** Whether nothing need exist for it. */
export function creates(input: Input): input is Creating {
  return "submission" in input;
}

/** The reply to a request that is durable though its actor has ended meanwhile. */
export function durableElsewhere({ reply }: Decision): Reply {
  if (reply !== undefined && reply.kind !== "held") return reply;
  return {
    ...refused("UNAVAILABLE", "accepted; its end is decided elsewhere, ask again with the same gid"),
    retryAfterS: 1,
  };
}

/**
 * How an actor leaves memory. `lost`: its picture was wrong, or its shard is gone. `unreadable`: the store could not be
 * read. `isolated`: nothing will ever be recorded for it again, or a bug was met in its turn.
 */
export type End = "rests" | "final" | "lost" | "unreadable" | "isolated";
