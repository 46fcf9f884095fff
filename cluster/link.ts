/**
 * Requests to other nodes: what is asked of one node within a tick goes in one message, and so do its answers. An ask
 * that is not answered in time is *unknown*: the asker asks again with the same gid.
 */
import { type Reply, type Request, refused } from "../src/core/input.js";
import type { Bus } from "../src/ports/bus.js";
import type { Cancel, Clock, Random } from "../src/ports/clock.js";
import type { Coordinator } from "../src/ports/coordinator.js";
import { formats } from "../src/ports/format.js";
import type { ShardRow } from "../src/ports/leases.js";
import type { Log } from "../src/ports/observer.js";
import { SlotMap } from "../src/slotmap.js";
import { type Answers, type Asks, type Message, type MessageForms, messageForms, roughBytes } from "./codec.js";

/** Most asks or answers of one message, and about how many bytes they may have together. */
const itemsMax = 128;
const bytesMax = 512 << 10;

/** Most asks that wait for an answer; refused beyond. */
const outstandingMax = 20_000;

/** Ids begin below this and count up; they stay whole numbers for ever. */
const firstIdMax = 2 ** 52;

/** Unreadable messages are logged no more often than this, milliseconds. */
const betweenWarningsMs = 1000;

/** How messages are written: by which build, in which of its formats. */
export interface Writing {
  readonly forms: MessageForms;
  format(): number;
}

/** What follows it comes after all that is under way now, without the async resource that `queueMicrotask` makes. */
const soon = Promise.resolve();

const plainWriting: Writing = { forms: messageForms, format: () => formats.newest };

interface Outstanding {
  readonly to: string;
  readonly resolve: (reply: Reply | undefined) => void;
  readonly cancel: Cancel;
}

export class Link {
  readonly #self: string;
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #here: Coordinator;
  readonly #writing: Writing;
  readonly #changed: (rows: readonly ShardRow[]) => void;
  readonly #outstanding = new SlotMap<number, Outstanding>();
  readonly #asks = new SlotMap<string, Asks["items"][number][]>();
  readonly #answers = new SlotMap<string, Answers["items"][number][]>();
  #nextId: number;
  #flushing = false;
  #troubles = 0;
  #warnedMs = Number.NEGATIVE_INFINITY;

  /**
   * @param here carries out what other nodes ask of this one.
   * @param random so that ids begin anywhere: an answer to an earlier process of this name, late, must find no ask of
   *   this one (it would acknowledge what was never recorded).
   */
  constructor(
    self: string,
    bus: Bus,
    clock: Clock,
    log: Log,
    here: Coordinator,
    changed: (rows: readonly ShardRow[]) => void,
    random: Random,
    writing: Writing = plainWriting,
  ) {
    this.#self = self;
    this.#nextId = Math.floor(random() * firstIdMax);
    this.#bus = bus;
    this.#clock = clock;
    this.#log = log;
    this.#here = here;
    this.#changed = changed;
    this.#writing = writing;
    bus.receive((bytes) => this.#take(bytes));
  }

  /** Messages that could not be sent or read. */
  get troubles(): number {
    return this.#troubles;
  }

  /** Asks that wait for an answer. */
  get outstanding(): number {
    return this.#outstanding.size;
  }

  /** The reply of that node, or `undefined`: none came in time, whatever the node has done. */
  ask(to: string, gid: string, request: Request, timeoutMs: number): Promise<Reply | undefined> {
    if (this.#outstanding.size >= outstandingMax)
      return Promise.resolve({
        ...refused("OVERLOADED", `${outstandingMax} requests to other nodes wait for an answer already`),
        retryAfterS: 1,
      });
    const id = this.#nextId++;
    return new Promise((resolve) => {
      const cancel = this.#clock.after(timeoutMs, () => {
        this.#outstanding.take(id);
        this.#bus.doubt?.(to);
        resolve(undefined);
      });
      this.#outstanding.set(id, { to, resolve, cancel });
      queue(this.#asks, to, { id, gid, request });
      this.#flushSoon();
    });
  }

  /** Nobody listens there now: what waits for an answer of that node need not wait longer. */
  undelivered(to: string): void {
    this.#bus.doubt?.(to);
    for (const [id, asked] of this.#outstanding.entries()) {
      if (asked.to !== to) continue;
      this.#outstanding.take(id);
      asked.cancel();
      asked.resolve(undefined);
    }
  }

  /** Tells all nodes about rows that this one has written. */
  announce(rows: readonly ShardRow[]): void {
    this.#bus.announce(this.#encode({ kind: "changed", from: this.#self, shards: rows }));
  }

  #encode(message: Message): Uint8Array {
    return this.#writing.forms.encode(message, this.#writing.format());
  }

  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    void soon.then(() => this.#flush());
  }

  #flush(): void {
    this.#flushing = false;
    for (const [to, items] of drain(this.#asks))
      this.#send(to, items, (part) => ({ kind: "asks", from: this.#self, items: part }));
    for (const [to, items] of drain(this.#answers))
      this.#send(to, items, (part) => ({ kind: "answers", from: this.#self, items: part }));
  }

  /** As few messages as the bus takes; an item that it does not take even alone is left to the timeout of who asked. */
  #send<T>(to: string, items: readonly T[], wrap: (items: readonly T[]) => Asks | Answers): void {
    for (const part of parts(items)) {
      if (this.#bus.send(to, this.#encode(wrap(part)))) continue;
      if (part.length === 1) this.#warn("message_not_sent", { to });
      else for (const item of part) this.#send(to, [item], wrap);
    }
  }

  #warn(event: string, fields: Readonly<Record<string, unknown>>): void {
    this.#troubles++;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#warnedMs < betweenWarningsMs) return;
    this.#warnedMs = nowMs;
    this.#log.warn(event, { ...fields, soFar: this.#troubles });
  }

  #take(bytes: Uint8Array): void {
    const message = this.#writing.forms.decode(bytes);
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
        return this.#warn("message_unreadable", { why: message.why });
    }
  }

  #carryOut(from: string, id: number, gid: string, request: Request): void {
    const answer = (reply: Reply) => {
      queue(this.#answers, from, { id, reply });
      this.#flushSoon();
    };
    this.#here.handle(gid, request).then(answer, (cause) => {
      this.#log.error("request_failed", { gid, kind: request.kind, cause: String(cause) });
      answer(refused("INTERNAL", "the owner met an error of its own, it is in its log"));
    });
  }

  #settle(id: number, reply: Reply): void {
    const asked = this.#outstanding.take(id);
    if (asked === undefined) return; // doubled, or too late
    asked.cancel();
    asked.resolve(reply);
  }
}

/** In order, bounded by number and bytes; one that is larger stands alone. */
function* parts<T>(items: readonly T[]): Generator<readonly T[]> {
  let part: T[] = [];
  let bytes = 0;
  for (const item of items) {
    const size = items.length === 1 ? 0 : roughBytes(item);
    if (part.length > 0 && (part.length >= itemsMax || bytes + size > bytesMax)) {
      yield part;
      part = [];
      bytes = 0;
    }
    part.push(item);
    bytes += size;
  }
  yield part;
}

function queue<T>(queues: SlotMap<string, T[]>, to: string, item: T): void {
  const items = queues.get(to);
  if (items === undefined) queues.set(to, [item]);
  else items.push(item);
}

function drain<T>(queues: SlotMap<string, T[]>): readonly (readonly [string, readonly T[]])[] {
  const all = [...queues.entries()];
  queues.clear();
  return all;
}
