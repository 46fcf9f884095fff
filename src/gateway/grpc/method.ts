/**
 * What a gRPC method is to the server: bytes in, bytes or a status out. Methods are data; the server knows none.
 */
import type { Status } from "./status.js";

/** What a method may know of its call. */
export interface CallContext {
  /** Ends when the client does not wait any more: it is gone, its deadline has passed, or the server stops. */
  readonly signal: AbortSignal;
}

/** A unary method's result: its one message, or a status that is not OK. */
export type Result = { readonly message: Uint8Array } | { readonly status: Status };

/** One request, one reply. Rejects for bad input and for a store that is away, as operations do. */
export interface UnaryMethod {
  readonly kind: "unary";
  /** Name in the metrics: bounded. */
  readonly name: string;
  handle(message: Buffer, context: CallContext): Promise<Result>;
}

/** Where a streaming method writes. */
export interface Replies {
  send(message: Uint8Array): void;
  end(status: Status): void;
}

/** Any number of requests and replies. */
export interface StreamMethod {
  readonly kind: "stream";
  readonly name: string;
  /** Opens a call: gives what to do with each message and with their end. @throws InvalidInput from `message` */
  open(replies: Replies, context: CallContext): { message(bytes: Buffer): void; ended(): void };
}

/** Methods by path, `/package.Service/Method`. */
export type Methods = ReadonlyMap<string, UnaryMethod | StreamMethod>;
