/**
 * Requests to other nodes: what is asked of one node within a tick goes in one message, and so do its answers. An ask
 * that is not answered in time is *unknown*: the asker asks again with the same gid.
 */
import type { Reply, Request } from "../src/core/input.js";
import type { Bus } from "../src/ports/bus.js";
import type { Cancel, Clock } from "../src/ports/clock.js";
import type { Coordinator } from "../src/ports/coordinator.js";
import type { ShardRow } from "../src/ports/leases.js";
import type { Log } from "../src/ports/observer.js";
import { type Answers, type Asks, decode, encode } from "./codec.js";

/** Most asks or answers of one message. */
const itemsMax = 128;

interface Outstanding {
  readonly resolve: (reply: Reply | undefined) => void;
  readonly cancel: Cancel;
}

export class Link {
  readonly #self: string;
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #here: Coordinator;
  readonly #changed: (rows: readonly ShardRow[]) => void;
  readonly #outstanding = new Map<number, Outstanding>();
  readonly #asks = new Map<string, Asks["items"][number][]>();
  readonly #answers = new Map<string, Answers["items"][number][]>();
  #nextId = 1;
  #flushing = false;

  /** @param here carries out what other nodes ask of this one. */
  constructor(
    self: string,
    bus: Bus,
    clock: Clock,
    log: Log,
    here: Coordinator,
    changed: (rows: readonly ShardRow[]) => void,
  ) {
    this.#self = self;
    this.#bus = bus;
    this.#clock = clock;
    this.#log = log;
    this.#here = here;
    this.#changed = changed;
    bus.receive((bytes) => this.#take(bytes));
  }

  /** Asks that wait for an answer. */
  get outstanding(): number {
    return this.#outstanding.size;
  }

  /** The reply of that node, or `undefined`: none came in time, whatever the node has done. */
  ask(to: string, gid: string, request: Request, timeoutMs: number): Promise<Reply | undefined> {
    const id = this.#nextId++;
    return new Promise((resolve) => {
      const cancel = this.#clock.after(timeoutMs, () => {
        this.#outstanding.delete(id);
        resolve(undefined);
      });
      this.#outstanding.set(id, { resolve, cancel });
      queue(this.#asks, to, { id, gid, request });
      this.#flushSoon();
    });
  }

  /** Tells all nodes about rows that this one has written. */
  announce(rows: readonly ShardRow[]): void {
    this.#bus.announce(encode({ kind: "changed", from: this.#self, shards: rows }));
  }

  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      for (const [to, items] of drain(this.#asks))
        this.#send(to, items, (part) => ({ kind: "asks", from: this.#self, items: part }));
      for (const [to, items] of drain(this.#answers))
        this.#send(to, items, (part) => ({ kind: "answers", from: this.#self, items: part }));
    });
  }

  /** As few messages as the bus takes; an item that it does not take even alone is left to the timeout of who asked. */
  #send<T>(to: string, items: readonly T[], wrap: (items: readonly T[]) => Asks | Answers): void {
    for (let i = 0; i < items.length; i += itemsMax) {
      const part = items.slice(i, i + itemsMax);
      if (this.#bus.send(to, encode(wrap(part)))) continue;
      if (part.length === 1) this.#log.warn("message_not_sent", { to });
      else for (const item of part) this.#send(to, [item], wrap);
    }
  }

  #take(bytes: Uint8Array): void {
    const message = decode(bytes);
    switch (message.kind) {
      case "asks":
        for (const { id, gid, request } of message.items) this.#carryOut(message.from, id, gid, request);
        return;
      case "answers":
        for (const { id, reply } of message.items) this.#settle(id, reply);
        return;
      case "changed":
        return this.#changed(message.shards);
      case "unreadable":
        return this.#log.warn("message_unreadable", { why: message.why });
    }
  }

  #carryOut(from: string, id: number, gid: string, request: Request): void {
    void this.#here.handle(gid, request).then((reply) => {
      queue(this.#answers, from, { id, reply });
      this.#flushSoon();
    });
  }

  #settle(id: number, reply: Reply): void {
    const asked = this.#outstanding.get(id);
    if (asked === undefined) return; // doubled, or too late
    this.#outstanding.delete(id);
    asked.cancel();
    asked.resolve(reply);
  }
}

function queue<T>(queues: Map<string, T[]>, to: string, item: T): void {
  const items = queues.get(to);
  if (items === undefined) queues.set(to, [item]);
  else items.push(item);
}

function drain<T>(queues: Map<string, T[]>): readonly (readonly [string, readonly T[]])[] {
  const all = [...queues];
  queues.clear();
  return all;
}
