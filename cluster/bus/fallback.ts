/**
 * Two buses as one: the first carries what it can, the second the rest. A node that seems not to hear the first one
 * (no answer, no listener, or it used the second one itself) is spoken to by the second for a while.
 */
import type { Bus } from "../../src/ports/bus.js";
import type { Clock } from "../../src/ports/clock.js";

/** How long a doubt about the first way lasts, milliseconds. */
const doubtMs = 5000;

/** A bus of two ways. */
export interface FallbackBus extends Bus {
  /** That node does not seem to hear the first bus. */
  doubt(to: string): void;
}

/**
 * `first` and `second` become the fallback's own: it closes them.
 * @param firstWorks whether announcements reach anybody by the first bus now
 */
export function fallbackBus(first: Bus, second: Bus, clock: Clock, firstWorks: () => boolean): FallbackBus {
  const doubtedUntilMs = new Map<string, number>();
  const isDoubted = (to: string) => {
    const untilMs = doubtedUntilMs.get(to);
    if (untilMs === undefined) return false;
    if (untilMs > clock.monotonicMs()) return true;
    doubtedUntilMs.delete(to);
    return false;
  };
  return {
    send(to, message) {
      if (isDoubted(to)) return second.send(to, message) || first.send(to, message);
      return first.send(to, message) || second.send(to, message);
    },
    announce(message) {
      (firstWorks() ? first : second).announce(message);
    },
    receive(handler) {
      first.receive(handler);
      second.receive(handler);
    },
    doubt(to) {
      if (doubtedUntilMs.size > 1000) doubtedUntilMs.clear();
      doubtedUntilMs.set(to, clock.monotonicMs() + doubtMs);
    },
    async close() {
      await Promise.all([first.close(), second.close()]);
    },
  };
}
