/**
 * All connections to one gRPC target. A name is resolved to its addresses, each gets a connection, calls take turns
 * (round robin); an address that fails is left out while another one answers. Names are asked again from time to time.
 */
import { isIP } from "node:net";
import type { Resolve } from "../resolve.js";
import { type Address, Session, type SessionOwner } from "./session.js";

/** How long an answer of the resolver counts. */
const resolvedForMs = 30_000;
/** An address that could not be reached is not tried again within this while others can be. */
const backoffMs = 2_000;
/** Most addresses of one name that are connected to. */
const addressesMax = 16;

/** What a channel needs to know of its target. */
export interface ChannelTarget extends Omit<Address, "ip"> {
  readonly host: string;
}

interface Waiter {
  readonly use: (session: Session) => void;
  readonly fail: (error: Error) => void;
}

/** One target's connections; `usedAtMs` tells the owner when to drop it. */
export class Channel implements SessionOwner {
  readonly #target: ChannelTarget;
  readonly #resolve: Resolve;
  readonly #sessions = new Map<string, Session>();
  readonly #failedAtMs = new Map<string, number>();
  readonly #waiting = new Set<Waiter>();
  #addresses: readonly string[];
  #resolvedAtMs = Number.NEGATIVE_INFINITY;
  #resolving = false;
  #turn = 0;
  #closed = false;
  usedAtMs = 0;

  constructor(target: ChannelTarget, resolve: Resolve) {
    this.#target = target;
    this.#resolve = resolve;
    this.#addresses = isIP(target.host) === 0 ? [] : [target.host];
    if (this.#addresses.length > 0) this.#resolvedAtMs = Number.POSITIVE_INFINITY;
  }

  /** Calls under way and waiting. */
  get isIdle(): boolean {
    if (this.#waiting.size > 0 || this.#resolving) return false;
    for (const session of this.#sessions.values()) if (session.calls > 0) return false;
    return true;
  }

  /** Gives a session to `use`, now or once connected; `fail` says why there is none. Returns how to stop waiting. */
  take(use: (session: Session) => void, fail: (error: Error) => void): () => void {
    const nowMs = performance.now();
    this.usedAtMs = nowMs;
    if (nowMs - this.#resolvedAtMs > resolvedForMs) this.#lookUp();
    const session = this.#open(nowMs);
    if (session !== undefined) {
      use(session);
      return () => {};
    }
    const waiter = { use, fail };
    this.#waiting.add(waiter);
    if (this.#sessions.size === 0 && !this.#resolving) this.#giveUp(new Error("no address to connect to"));
    return () => {
      this.#waiting.delete(waiter);
    };
  }

  close(): void {
    this.#closed = true;
    this.#waiting.clear();
    for (const session of [...this.#sessions.values()]) session.destroy();
  }

  connected(session: Session): void {
    this.#failedAtMs.delete(session.ip);
    for (const waiter of [...this.#waiting]) {
      this.#waiting.delete(waiter);
      waiter.use(session);
    }
  }

  lost(session: Session, error: Error | undefined): void {
    if (this.#sessions.get(session.ip) === session) this.#sessions.delete(session.ip);
    if (this.#closed) return;
    if (error !== undefined) this.#failedAtMs.set(session.ip, performance.now());
    if (this.#resolvedAtMs !== Number.POSITIVE_INFINITY) this.#resolvedAtMs = Number.NEGATIVE_INFINITY;
    if (this.#sessions.size > 0 || this.#waiting.size === 0) return;
    if (error !== undefined) this.#giveUp(error);
    else this.#connect(performance.now());
  }

  /** The next open session in turn; starts connections to addresses that have none. */
  #open(nowMs: number): Session | undefined {
    const open = [...this.#sessions.values()].filter((session) => session.isOpen);
    if (open.length < this.#addresses.length) this.#connect(nowMs, open.length > 0);
    if (open.length === 0) return undefined;
    this.#turn = (this.#turn + 1) % open.length;
    return open[this.#turn];
  }

  #connect(nowMs: number, patient = false): void {
    for (const ip of this.#addresses) {
      const failedMs = nowMs - (this.#failedAtMs.get(ip) ?? Number.NEGATIVE_INFINITY);
      if (this.#sessions.has(ip) || (patient && failedMs < backoffMs)) continue;
      this.#sessions.set(ip, new Session({ ...this.#target, ip }, this));
    }
  }

  #lookUp(): void {
    if (this.#resolving) return;
    this.#resolving = true;
    this.#resolve(this.#target.host).then(
      (found) => this.#resolved([...new Set(found.map(({ address }) => address))].slice(0, addressesMax)),
      (error: Error) => {
        this.#resolving = false;
        if (this.#sessions.size === 0) this.#giveUp(error);
      },
    );
  }

  #resolved(addresses: readonly string[]): void {
    this.#resolving = false;
    if (this.#closed) return;
    this.#addresses = addresses;
    this.#resolvedAtMs = performance.now();
    for (const [ip, session] of [...this.#sessions]) if (!addresses.includes(ip)) session.retire();
    for (const ip of this.#failedAtMs.keys()) if (!addresses.includes(ip)) this.#failedAtMs.delete(ip);
    if (this.#waiting.size === 0) return;
    this.#connect(this.#resolvedAtMs);
    if (this.#sessions.size === 0) this.#giveUp(new Error(`the name has no addresses`));
  }

  #giveUp(error: Error): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const { fail } of waiting) fail(error);
  }
}
