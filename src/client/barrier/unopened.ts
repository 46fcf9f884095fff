// The error of a barrier that was handed a connection on which no transaction is open; the same for all dialects.

import { BarrierError } from "../errors.js";

/** For `within` on a connection that commits each statement by itself. */
export const noTransaction = (cause: unknown): BarrierError =>
  new BarrierError("no transaction is open on this connection, so the barrier could guard nothing", {
    cause,
    hint: "open one first and hand over its connection, or let the guard's run() open one",
  });
