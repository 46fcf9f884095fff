/**
 * A bus within one process, with the faults of a real one at the test's will: the reference model of buses.
 */
import type { Bus } from "../../src/ports/bus.js";
import type { Clock } from "../../src/ports/clock.js";

/** What happens to a message: when it arrives, once per time given; none = lost. Milliseconds from now. */
export type Delivery = (from: string, to: string) => readonly number[];

/** Connects members by name. */
export class MemoryHub {
  readonly #clock: Clock;
  readonly #delivery: Delivery;
  readonly #handlers = new Map<string, (message: Uint8Array) => void>();

  constructor(clock: Clock, delivery: Delivery = () => [0]) {
    this.#clock = clock;
    this.#delivery = delivery;
  }

  /** The bus of one node. A later one of the same name takes its place. */
  connect(name: string): Bus {
    let mine: ((message: Uint8Array) => void) | undefined;
    const deliver = (to: string, message: Uint8Array) => {
      for (const delayMs of this.#delivery(name, to))
        this.#clock.after(delayMs, () => this.#handlers.get(to)?.(message));
    };
    return {
      send: (to, message) => {
        deliver(to, message);
        return true;
      },
      announce: (message) => {
        for (const to of this.#handlers.keys()) if (to !== name) deliver(to, message);
      },
      receive: (handler) => {
        mine = handler;
        this.#handlers.set(name, handler);
      },
      close: async () => {
        if (this.#handlers.get(name) === mine) this.#handlers.delete(name);
      },
    };
  }
}
