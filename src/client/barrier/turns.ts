// Turns on one connection: it has one transaction at a time, and handlers are asynchronous. A handler whose transaction
// SQLite has ended early (a full disk) would go on, and commit, in the transaction of the next one, if that had not to
// wait for its end; and who waits is served in order, without asking again and again.

import { AsyncLocalStorage } from "node:async_hooks";
import { BarrierError, Ongoing } from "../errors.js";

/** One at a time, in order of arrival. */
class Turns {
  #last: Promise<void> = Promise.resolve();

  /** Resolves to the end of the turn, to be called once; rejects with `Ongoing` if it is not its turn in time. */
  async take(patienceMs: number): Promise<() => void> {
    const before = this.#last;
    let leave = () => {};
    const left = new Promise<void>((resolve) => {
      leave = resolve;
    });
    this.#last = before.then(() => left);
    if (await endsWithin(before, patienceMs)) return leave;
    leave();
    throw new Ongoing("another delivery is still in its transaction on this connection");
  }
}

/** A connection keeps its turns here, so that all guards and outboxes over it share them. */
const turnsOf: unique symbol = Symbol.for("tandem.turns") as never;

/** A turn that asynchronous code runs in. */
interface Held {
  readonly connection: object;
  readonly outer: Held | undefined;
  isOver: boolean;
}

const holding = new AsyncLocalStorage<Held>();

/**
 * Runs `work` when everything that came before it on this connection has ended. Rejects with `Ongoing` if that takes
 * longer than `patienceMs`, and with `BarrierError` at once if it is called from within `work` on the same connection,
 * for that would wait for itself.
 */
export async function inTurn<T>(connection: object, patienceMs: number, work: () => Promise<T>): Promise<T> {
  const outer = holding.getStore();
  for (let held = outer; held !== undefined; held = held.outer) {
    if (held.connection !== connection || held.isOver) continue;
    throw new BarrierError("a transaction is open on this connection already, by the code that asks for another", {
      hint: "use within(tx, …) in it, or call run() after it has ended",
    });
  }
  const leave = await turnsFor(connection).take(patienceMs);
  const held: Held = { connection, outer, isOver: false };
  try {
    return await holding.run(held, work);
  } finally {
    held.isOver = true;
    leave();
  }
}

function turnsFor(connection: object): Turns {
  const known = (connection as { [turnsOf]?: Turns })[turnsOf];
  if (known !== undefined) return known;
  const turns = new Turns();
  Object.defineProperty(connection, turnsOf, { value: turns });
  return turns;
}

async function endsWithin(promise: Promise<void>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, ms, false);
  });
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
