/**
 * Held answers: calls that may last until a transaction ends. A client that goes away, or a server that stops, ends the
 * wait; what was accepted goes on (D1).
 */
import type { ServerResponse } from "node:http";
import { type Reply, refused } from "../../core/input.js";

/** What the server says when it stops while a client waits. */
const stopping: Reply = {
  ...refused("ONGOING", "the server is stopping; the transaction goes on, ask again with the same gid. ONGOING"),
  retryAfterS: 1,
};

export class Waits {
  readonly #waiting = new Set<AbortController>();

  /** Makes a call whose signal is bound to the client's connection; once that is aborted the call is not waited for. */
  async until(response: ServerResponse, call: (signal: AbortSignal) => Promise<Reply>): Promise<Reply> {
    const controller = new AbortController();
    const abort = () => controller.abort();
    this.#waiting.add(controller);
    response.once("close", abort);
    const aborted = new Promise<Reply>((resolve) => {
      controller.signal.addEventListener("abort", () => resolve(stopping), { once: true });
    });
    try {
      return await Promise.race([call(controller.signal), aborted]);
    } finally {
      this.#waiting.delete(controller);
      response.off("close", abort);
    }
  }

  /** Ends all waits. */
  close(): void {
    for (const controller of this.#waiting) controller.abort();
  }
}
