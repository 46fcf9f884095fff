/**
 * What an operation's rejection means to its client. Every codec catches in one place and asks here, so that all
 * protocols say the same, and nothing internal (a stack, SQL, a path) is ever said.
 */
import { type Refusal, refused } from "../core/input.js";
import type { Log } from "../ports/observer.js";
import { StoreUnavailable } from "../ports/store.js";
import { InvalidInput } from "../wire/invalid.js";

/** Seconds after which asking again makes sense when the store is away or the node overloaded. */
const retryAfterS = 1;

/** The node has too much work to read for those who only look; nothing was done. */
class Overloaded extends Error {
  override readonly name = "Overloaded";
}

/** Before a read for those who only look: it is refused before anything that exists is held up. @throws Overloaded */
export function mustHaveRoom(isSwamped: () => boolean): void {
  if (isSwamped()) throw new Overloaded("more work than this node keeps up with");
}

/** Reads a page; a position that the store did not make (its RangeError) is bad input. @throws InvalidInput */
export async function fromPosition<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new InvalidInput("position: other text met, the position of an earlier page needed");
  }
}

/** The refusal that an error stands for; what nobody expected is logged and told as INTERNAL without details. */
export function refusalOf(error: unknown, log: Log): Refusal {
  if (error instanceof InvalidInput) return error.refusal;
  if (error instanceof Overloaded)
    return { ...refused("OVERLOADED", "this node has more work than it keeps up with, ask again"), retryAfterS };
  if (error instanceof StoreUnavailable) {
    log.warn("store unavailable", { error: error.message });
    return { ...refused("UNAVAILABLE", "the store cannot be reached now, ask again"), retryAfterS };
  }
  log.error("operation failed", { error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  return refused("INTERNAL", "the server met an error of its own, it is in the log");
}
