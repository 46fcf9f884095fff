/**
 * Messages between nodes: a version byte, then msgpack. What is of another version, too large or not whole is refused
 * before anything in it is believed; a message never gives its sender a right.
 */
import { Packr } from "msgpackr";
import type { Reply, Request } from "../src/core/input.js";
import type { ShardRow } from "../src/ports/leases.js";
import { isMessage } from "./wellformed.js";

/** First byte of every message. Nodes of a rolling upgrade read this and the previous one. */
export const messageVersion = 1;

/** Asks of one node to another, put together: what the sender had ready. */
export interface Asks {
  readonly kind: "asks";
  readonly from: string;
  readonly items: readonly { readonly id: number; readonly gid: string; readonly request: Request }[];
}

/** Replies, in any order; an ask may be answered twice or never. */
export interface Answers {
  readonly kind: "answers";
  readonly from: string;
  readonly items: readonly { readonly id: number; readonly reply: Reply }[];
}

/** Rows of the shard table that the sender has just written. A hint. */
export interface Changed {
  readonly kind: "changed";
  readonly from: string;
  readonly shards: readonly ShardRow[];
}

/** Everything that nodes say to one another. */
export type Message = Asks | Answers | Changed;

const packr = new Packr({ useRecords: false, structuredClone: false });

/** Version byte and body; the caller may keep the bytes. */
export function encode(message: Message): Uint8Array {
  const body = packr.pack(message);
  const bytes = new Uint8Array(body.length + 1);
  bytes[0] = messageVersion;
  bytes.set(body, 1);
  return bytes;
}

/** The message, or why it is none. */
export function decode(bytes: Uint8Array): Message | { readonly kind: "unreadable"; readonly why: string } {
  if (bytes.length < 2) return unreadable(`${bytes.length} bytes met, needed at least 2`);
  if (bytes[0] !== messageVersion) return unreadable(`message version ${bytes[0]} met, needed ${messageVersion}`);
  try {
    const message: unknown = packr.unpack(bytes.subarray(1));
    return isMessage(message) ? (message as Message) : unreadable("neither asks, answers nor changed");
  } catch (cause) {
    return unreadable(String(cause));
  }
}

/** About how many bytes a value takes; cheap, for putting messages together. */
export function roughBytes(value: unknown): number {
  if (typeof value === "string") return value.length * 2 + 5;
  if (value instanceof Uint8Array) return value.length + 5;
  if (typeof value !== "object" || value === null) return 9;
  let sum = 5;
  for (const [name, member] of Object.entries(value)) sum += name.length + 1 + roughBytes(member);
  return sum;
}

function unreadable(why: string): { readonly kind: "unreadable"; readonly why: string } {
  return { kind: "unreadable", why };
}
