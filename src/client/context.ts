// The branch that the running code works for, carried through awaits: a tcc inside a try handler continues its parent
// by it, and a logger can name gid and branch.

import { AsyncLocalStorage } from "node:async_hooks";
import type { Delivery } from "./barrier/delivery.js";

const current = new AsyncLocalStorage<Delivery>();

/** The delivery being handled, `undefined` outside of a participant's handler. */
export const currentDelivery = (): Delivery | undefined => current.getStore();

/** Runs a handler as the handling of `delivery`. */
export const handling = <T>(delivery: Delivery, handler: () => T): T => current.run(delivery, handler);
