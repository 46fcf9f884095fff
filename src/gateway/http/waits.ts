/**
 * Held answers: calls that may last until a transaction ends. A client that goes away, or a server that stops, ends the
 * wait; what was accepted goes on (D1). Whether it was accepted is the call's own word: it says ONGOING as soon as its
 * signal is aborted. Of one that says nothing then, nobody knows whether it was recorded (S1).
 */
import { type Reply, refused } from "../../core/input.js";
import { Numbered } from "../../slotmap.js";

/** What the server says when it stops before a request was acknowledged. */
const stopping: Reply = refused(
  "UNAVAILABLE",
  "the server is stopping; whether this was accepted is not known, ask again with the same gid",
);

/** What ends when the client is gone: the library's response, or a socket of the front. */
export interface Closing {
  once(event: "close", listener: () => void): unknown;
  off(event: "close", listener: () => void): unknown;
}

/** All waits of a server. */
export class Waits {
  readonly #waiting = new Numbered<AbortController>();

  /** Makes a call whose signal is bound to the client's connection; once that is aborted the call is not waited for. */
  async until(client: Closing, call: (signal: AbortSignal) => Promise<Reply>): Promise<Reply> {
    const controller = new AbortController();
    const abort = () => controller.abort();
    const id = this.#waiting.add(controller);
    client.once("close", abort);
    const aborted = new Promise<Reply>((resolve) => {
      controller.signal.addEventListener("abort", () => setImmediate(resolve, stopping), { once: true });
    });
    try {
      const reply = await Promise.race([call(controller.signal), aborted]);
      return controller.signal.aborted && reply.kind === "refused" ? { ...reply, retryAfterS: 1 } : reply;
    } finally {
      this.#waiting.take(id);
      client.off("close", abort);
    }
  }

  /** Ends all waits. */
  close(): void {
    for (const controller of this.#waiting.values()) controller.abort();
  }
}
