/**
 * The alert webhook (S-RTY-10): who is stuck on which branch, as DTM posts it. Bounded, and tried again (S-BUG-22); a
 * hook that is away delays nothing.
 */
import { retriedText } from "./core/outcome.js";
import type { Cancel, Clock } from "./ports/clock.js";
import type { Log, StuckBranch } from "./ports/observer.js";

/** Alerts that wait for the hook; older ones make room. */
const waitingMax = 1000;
/** Between two tries, doubling; after the last the alert is given up. */
const tries = { firstMs: 1000, most: 5, timeoutMs: 5000 } as const;

export class Alerts {
  readonly #url: string;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #waiting: StuckBranch[] = [];
  #busy = false;
  #closed = false;
  #pause: Cancel | undefined;

  /** @param url empty = nobody is told here; the observer counts and logs all the same. */
  constructor(url: string, clock: Clock, log: Log) {
    this.#url = url;
    this.#clock = clock;
    this.#log = log;
  }

  send(alert: StuckBranch): void {
    if (this.#url === "" || this.#closed) return;
    if (this.#waiting.length >= waitingMax) this.#waiting.shift();
    this.#waiting.push(alert);
    if (!this.#busy) void this.#work();
  }

  close(): void {
    this.#closed = true;
    this.#pause?.();
  }

  async #work(): Promise<void> {
    this.#busy = true;
    for (let alert = this.#waiting.shift(); alert !== undefined && !this.#closed; alert = this.#waiting.shift())
      await this.#deliver(alert);
    this.#busy = false;
  }

  async #deliver({ gid, status, branch, error, retryCount }: StuckBranch): Promise<void> {
    const body = JSON.stringify({ branch, error: retriedText(error, false), gid, retry_count: retryCount, status });
    for (let nth = 1, waitMs = tries.firstMs; ; nth++, waitMs *= 2) {
      const why = await this.#post(body);
      if (why === undefined || this.#closed) return;
      if (nth === tries.most) return this.#log.error("alert_not_delivered", { gid, cause: why });
      await new Promise<void>((resolve) => {
        this.#pause = this.#clock.after(waitMs, resolve);
      });
    }
  }

  /** `undefined` when the hook has taken it; its answer's body does not matter. */
  async #post(body: string): Promise<string | undefined> {
    try {
      const response = await fetch(this.#url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body,
        signal: AbortSignal.timeout(tries.timeoutMs),
      });
      await response.body?.cancel();
      return response.status < 500 ? undefined : `status ${response.status}`;
    } catch (cause) {
      return String(cause);
    }
  }
}
