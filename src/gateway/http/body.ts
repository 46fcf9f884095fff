/**
 * A request's body as it comes: bounded by itself, and with all others together. Instead of the framework's own reader,
 * which knows no common limit.
 */
import type { IncomingMessage } from "node:http";
import { type Refusal, refused } from "../../core/input.js";
import { type Arriving, tooManyArriving } from "../arriving.js";

/** Why a body was not taken. */
export class BodyRefused extends Error {
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super(refusal.message);
    this.refusal = refusal;
  }
}

const tooLarge = refused("TOO_LARGE", "body: too many bytes met");
const otherLength = refused("BAD_REQUEST", "content-length: another number of bytes met than it says");
const unreadable = refused("BAD_REQUEST", "request: it cannot be read");
const tooMany: Refusal = { ...refused("OVERLOADED", tooManyArriving), retryAfterS: 1 };

/** Bounds of one body, and of all. */
export interface BodyLimits {
  readonly bytesMax: number;
  readonly arriving: Arriving;
}

/**
 * Gathers a body. `done` is called once: with the bytes, which stay counted as arriving until whoever has answered the
 * request takes them off again, or with a refusal.
 */
export function takeBody(
  payload: IncomingMessage,
  { bytesMax, arriving }: BodyLimits,
  done: (error: BodyRefused | null, body?: Buffer) => void,
): void {
  const declared = Number(payload.headers["content-length"]);
  if (declared > bytesMax) return done(new BodyRefused(tooLarge));
  const chunks: Buffer[] = [];
  let bytes = 0;
  const stop = () => {
    payload.off("data", take);
    payload.off("end", end);
    payload.off("error", fail);
  };
  const refuse = (refusal: Refusal) => {
    stop();
    arriving.change(-bytes);
    done(new BodyRefused(refusal));
  };
  const take = (chunk: Buffer) => {
    bytes += chunk.length;
    const fits = arriving.change(chunk.length);
    if (bytes > bytesMax) return refuse(tooLarge);
    if (!fits) return refuse(tooMany);
    chunks.push(chunk);
  };
  const end = () => {
    if (!Number.isNaN(declared) && bytes !== declared) return refuse(otherLength);
    stop();
    done(null, Buffer.concat(chunks, bytes)); // always a copy: a view would keep the socket's buffer
  };
  const fail = () => refuse(unreadable);
  payload.on("data", take);
  payload.on("end", end);
  payload.on("error", fail);
  payload.resume();
}
