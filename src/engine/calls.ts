/**
 * The calls of one transaction that are in progress: on the wire, or held back by the dispatcher. They belong to its
 * actor, never to the durable state (architecture 3).
 */
import type { Ticket } from "./dispatcher.js";

/** Tickets by op (or CHECK). */
export class CallsInProgress {
  readonly #tickets = new Map<number, Ticket>();

  get size(): number {
    return this.#tickets.size;
  }

  get onWire(): number {
    let count = 0;
    for (const { state } of this.#tickets.values()) if (state === "wire") count++;
    return count;
  }

  /** Some answer is to be expected soon: not all wait for a sick target. */
  get goOn(): boolean {
    for (const { isBlocked } of this.#tickets.values()) if (!isBlocked) return true;
    return false;
  }

  has(op: number): boolean {
    return this.#tickets.has(op);
  }

  get(op: number): Ticket | undefined {
    return this.#tickets.get(op);
  }

  set(op: number, ticket: Ticket): void {
    this.#tickets.set(op, ticket);
  }

  delete(op: number): void {
    this.#tickets.delete(op);
  }

  /** Ops that are held back, with their targets: by a breaker, or for want of a place. */
  held(): Record<number, string> {
    const held: Record<number, string> = {};
    for (const [op, { state, target }] of this.#tickets) if (state === "held") held[op] = target;
    return held;
  }

  /** Gives up what is held back and not wanted any more. */
  withdraw(wanted: readonly number[]): void {
    for (const [op, ticket] of this.#tickets) {
      if (wanted.includes(op) || ticket.state !== "held") continue;
      ticket.withdraw();
      this.#tickets.delete(op);
    }
  }
}
