/**
 * Messages between nodes: a byte that names the format (`ports/format.ts`), then msgpack. What is of an unknown format,
 * too large or not whole is refused before anything in it is believed; a message never gives its sender a right.
 */
import { Packr } from "msgpackr";
import type { Reply, Request } from "../src/core/input.js";
import { formats, inWords, knows } from "../src/ports/format.js";
import type { ShardRow } from "../src/ports/leases.js";
import { isMessage } from "./wellformed.js";

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

/** Bytes that are no message, and why. */
export interface Unreadable {
  readonly kind: "unreadable";
  readonly why: string;
}

/** Messages as one build writes and reads them. */
export interface MessageForms {
  /** In the format on which the nodes have agreed. */
  encode(message: Message, format: number): Uint8Array;
  decode(bytes: Uint8Array): Message | Unreadable;
}

/** Those of this program. */
export const messageForms: MessageForms = { encode, decode };

/** First byte and body; the caller may keep the bytes. */
export function encode(message: Message, format: number = formats.newest): Uint8Array {
  if (!knows(formats, format)) throw new RangeError(`format ${format} met, ${inWords(formats)} known`);
  const body = packr.pack(message);
  const bytes = new Uint8Array(body.length + 1);
  bytes[0] = format;
  bytes.set(body, 1);
  return bytes;
}

/** The message, or why it is none. */
export function decode(bytes: Uint8Array): Message | Unreadable {
  if (bytes.length < 2) return unreadable(`${bytes.length} bytes met, needed at least 2`);
  if (!knows(formats, bytes[0])) return unreadable(`format ${bytes[0]} met, ${inWords(formats)} known`);
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

function unreadable(why: string): Unreadable {
  return { kind: "unreadable", why };
}
