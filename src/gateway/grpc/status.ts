/**
 * gRPC statuses as values, and refusals translated to them by the one table (D3, D19).
 */
import { errors } from "../../core/errors.js";
import type { Refusal } from "../../core/input.js";

/** Codes that the gateway itself gives. */
export const codes = {
  ok: 0,
  cancelled: 1,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
} as const;

/** How a call ends. */
export interface Status {
  readonly code: number;
  /** For people. */
  readonly message: string;
}

/** Of a call that went well. */
export const ok: Status = { code: codes.ok, message: "" };

/** Bad input's status keeps the text of the refusal. */
export function statusOf({ code, message }: Refusal): Status {
  return { code: errors[code].grpc, message };
}
