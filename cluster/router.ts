/**
 * Any node takes any request: the router carries it out here when this node owns the gid, else asks the owner, and
 * waits a bounded time for one when there is none (reliability 7). Who only looks need not wait: without an owner's
 * answer it is told what is stored. The end of a transaction is awaited in slices, so that a dead owner costs a slice
 * and not the answer.
 */
import { type Reply, type Request, refused } from "../src/core/input.js";
import { shardOf } from "../src/core/shard.js";
import type { Clock } from "../src/ports/clock.js";
import type { Coordinator } from "../src/ports/coordinator.js";
import type { Link } from "./link.js";
import type { View } from "./view.js";

/** Bounds of every wait, so that no request waits for an owner that never comes. */
export interface RouterSettings {
  readonly self: string;
  /** How long a request waits for its shard to have an owner: lease + 1 s. */
  readonly ownerWaitMs: number;
  /** How long one ask may take before it is asked again. */
  readonly askMs: number;
  readonly sliceMs: number;
  readonly waitResultMs: number;
  /** Requests that wait for an owner; refused beyond. */
  readonly waitersMax: number;
}

/** Pause before an owner that could not answer is asked for the end again; each next one is twice as long. */
const againMs = 100;

/** The node's own engine, which also reads what is stored of anybody's transaction. */
export interface Here extends Coordinator {
  stored(gid: string): Promise<Reply>;
}

export class Router implements Coordinator {
  readonly #here: Here;
  readonly #link: Pick<Link, "ask">;
  readonly #view: View;
  readonly #clock: Clock;
  readonly #settings: RouterSettings;
  #waiters = 0;

  constructor(here: Here, link: Pick<Link, "ask">, view: View, clock: Clock, settings: RouterSettings) {
    this.#here = here;
    this.#link = link;
    this.#view = view;
    this.#clock = clock;
    this.#settings = settings;
  }

  /** Requests that wait for an owner now. */
  get waiting(): number {
    return this.#waiters;
  }

  async handle(gid: string, request: Request, signal?: AbortSignal): Promise<Reply> {
    if (!mayHold(request)) return this.#route(gid, request, signal);
    const reply = await this.#route(gid, { ...request, hold: false }, signal);
    return reply.kind === "accepted" && reply.await !== undefined ? this.#awaitEnd(gid, reply.await, signal) : reply;
  }

  async #awaitEnd(gid: string, of: "submit" | "abort", signal: AbortSignal | undefined): Promise<Reply> {
    const untilMs = this.#clock.monotonicMs() + this.#settings.waitResultMs;
    const { sliceMs } = this.#settings;
    const ask: Request = { kind: "await", of, sliceMs };
    let pauseMs = againMs;
    for (;;) {
      const reply = await this.#route(gid, ask, signal);
      const sliceOver = reply.kind === "refused" && reply.again === true;
      if (!sliceOver && !(reply.kind === "refused" && reply.code === "UNAVAILABLE")) return reply;
      if (signal?.aborted) return reply;
      if (this.#clock.monotonicMs() < untilMs) {
        if (!sliceOver) await this.#pause(pauseMs);
        pauseMs = sliceOver ? againMs : Math.min(pauseMs * 2, sliceMs);
        continue;
      }
      return refused("ONGOING", `gid ${gid}: ${reply.message.replace(/ ONGOING$/, "")}. ONGOING`);
    }
  }

  /** Finds the owner, as often as it takes within the bound. */
  async #route(gid: string, request: Request, signal: AbortSignal | undefined): Promise<Reply> {
    const { self, ownerWaitMs, askMs } = this.#settings;
    const shard = shardOf(gid);
    const untilMs = this.#clock.monotonicMs() + ownerWaitMs;
    for (let turn = 0; ; turn++) {
      const owner = this.#view.ownerOf(shard)?.name;
      const askedMs = this.#clock.monotonicMs();
      const reply = await this.#askOwner(owner, gid, request, signal, Math.max(askMs, sliceOf(request) * 2));
      if (reply !== undefined && !(reply.kind === "refused" && reply.code === "NOT_OWNER")) return reply;
      if (signal?.aborted) return unavailable(`gid ${gid}: the caller has left`);
      const stored = request.kind === "query" ? await this.#here.stored(gid) : undefined;
      if (stored?.kind === "transaction") return stored;
      const leftMs = untilMs - this.#clock.monotonicMs();
      if (leftMs <= 0)
        return unavailable(
          `gid ${gid}: shard ${shard} has no owner that answers, the last known is '${owner ?? self}'`,
        );
      const atOnce = this.#clock.monotonicMs() - askedMs < 20;
      if (reply !== undefined || owner === undefined || atOnce) {
        if (!(await this.#waitForChange(Math.min(leftMs, 20 * 2 ** Math.min(turn, 5)))))
          return unavailable(`${this.#waiters} requests wait for an owner already`);
      }
    }
  }

  #pause(waitMs: number): Promise<void> {
    return new Promise((resolve) => void this.#clock.after(waitMs, resolve));
  }

  async #askOwner(
    owner: string | undefined,
    gid: string,
    request: Request,
    signal: AbortSignal | undefined,
    timeoutMs: number,
  ): Promise<Reply | undefined> {
    if (owner === undefined) return undefined;
    if (owner === this.#settings.self) return this.#here.handle(gid, request, signal);
    return this.#link.ask(owner, gid, request, timeoutMs);
  }

  /** Until the view changes or the time is over; `false`: too many wait already. */
  async #waitForChange(waitMs: number): Promise<boolean> {
    if (this.#waiters >= this.#settings.waitersMax) return false;
    this.#waiters++;
    await new Promise<void>((resolve) => {
      const forget = this.#view.onChange(() => {
        cancel();
        resolve();
      });
      const cancel = this.#clock.after(waitMs, () => {
        forget();
        resolve();
      });
    });
    this.#waiters--;
    return true;
  }
}

/** Only then is there an end to wait for: the answer to an abort may also be held by what its transaction was told. */
function mayHold(request: Request): request is Extract<Request, { hold?: boolean }> {
  if (request.kind === "submit") return request.submission.options.waitResult && request.hold !== false;
  return request.kind === "abort" && request.hold !== false;
}

function sliceOf(request: Request): number {
  return request.kind === "await" ? (request.sliceMs ?? 0) : 0;
}

function unavailable(message: string): Reply {
  return { ...refused("UNAVAILABLE", message), retryAfterS: 1 };
}
