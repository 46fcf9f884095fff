/**
 * What the main thread of a node and its engines on other threads say to one another. Both are of one program and one
 * process: nothing is lost, doubled or overtaken, and nothing needs to be checked. What is said within one turn of the
 * event loop goes together.
 */
import { Packr } from "msgpackr";
import type { Reply, Request } from "../../src/core/input.js";
import type { Answer, Call } from "../../src/ports/caller.js";
import type { Cancel, Clock } from "../../src/ports/clock.js";
import type { ShardRow } from "../../src/ports/leases.js";
import type { CallName, Ended, StuckBranch } from "../../src/ports/observer.js";
import type { EngineStats, TargetState } from "../../src/ports/targets.js";

/** From the main thread. Those with an `id` are answered by a report with the same. */
export type Order =
  | {
      readonly kind: "request";
      readonly id: number;
      readonly gid: string;
      readonly request: Request;
      /** A `cancel` may follow. */
      readonly cancellable: boolean;
    }
  /** Nobody waits for that request any more. */
  | { readonly kind: "cancel"; readonly id: number }
  | { readonly kind: "stored"; readonly id: number; readonly gid: string }
  /** Shards of this engine that the node owns, with their epochs. */
  | {
      readonly kind: "owned";
      readonly incarnation: number;
      readonly epochs: readonly (readonly [shard: number, epoch: number])[];
    }
  | { readonly kind: "lost"; readonly shards: readonly number[] }
  | { readonly kind: "drain"; readonly id: number; readonly shards: readonly number[]; readonly graceMs: number }
  | { readonly kind: "start"; readonly ownAddresses: readonly string[] }
  | { readonly kind: "close"; readonly id: number; readonly graceMs: number }
  | { readonly kind: "targets"; readonly id: number }
  /** The connection of an `enlist` may write now; `why`: it may not. */
  | { readonly kind: "enlisted"; readonly id: number; readonly why?: string };

/** To the main thread. */
export type Report =
  | { readonly kind: "reply"; readonly id: number; readonly reply: Reply }
  /** A drain or close is over. */
  | { readonly kind: "done"; readonly id: number }
  | { readonly kind: "targets"; readonly id: number; readonly targets: readonly TargetState[] }
  /** The store refuses commits under that epoch. */
  | { readonly kind: "fenced"; readonly shard: number; readonly epoch: number }
  | { readonly kind: "bumped"; readonly rows: readonly ShardRow[] }
  | { readonly kind: "regressed"; readonly what: string }
  /** A connection wants to write: other nodes must know which to end when they fence this one. */
  | { readonly kind: "enlist"; readonly id: number; readonly connection: number }
  | { readonly kind: "dismiss"; readonly connection: number }
  | { readonly kind: "stats"; readonly stats: EngineStats }
  | {
      readonly kind: "log";
      readonly level: "debug" | "info" | "warn" | "error";
      readonly event: string;
      readonly fields: Readonly<Record<string, unknown>> | undefined;
    }
  | Observed;

/** What an observer is told. The frequent ones are short. */
export type Observed =
  | {
      readonly kind: "finished";
      readonly of: readonly [Ended["type"], Ended["status"], number, number, number | undefined];
    }
  | {
      readonly kind: "called";
      readonly of: readonly [
        gid: string,
        type: Call["type"],
        branchId: string,
        op: string,
        target: string,
        outcome: Answer["outcome"],
        detail: string,
        timedOut: boolean,
        durationMs: number,
      ];
    }
  | { readonly kind: "flushed"; readonly commits: number; readonly durationMs: number }
  | { readonly kind: "late"; readonly call: CallName }
  | { readonly kind: "breaker"; readonly target: string; readonly open: boolean }
  | { readonly kind: "stuck"; readonly alert: StuckBranch };

/** One end of a way between two threads: what is sent arrives once, in order. */
export interface Channel {
  /** Takes the bytes over. */
  send(bytes: Uint8Array<ArrayBuffer>): void;
  receive(handler: (bytes: Uint8Array) => void): void;
}

const packr = new Packr({ useRecords: false, structuredClone: false, copyBuffers: true });

/** Longest that something that is only mentioned waits for something said, milliseconds; and most of it. */
const mentionMs = 50;
const mentionsMax = 256;

/** Says `Out`, hears `In`. */
export class Talk<Out, In> {
  readonly #channel: Channel;
  readonly #soon: (task: () => void) => void;
  readonly #clock: Pick<Clock, "after">;
  #said: Out[] = [];
  #sendsSoon = false;
  #cancel: Cancel | undefined;

  /** @param soon runs a task after the events of this turn of the event loop. */
  constructor(channel: Channel, soon: (task: () => void) => void, clock: Pick<Clock, "after">) {
    this.#channel = channel;
    this.#soon = soon;
    this.#clock = clock;
  }

  /** To be called once; what came before waits for it. */
  hear(listener: (message: In) => void): void {
    this.#channel.receive((bytes) => {
      for (const message of packr.unpack(bytes) as readonly In[]) listener(message);
    });
  }

  say(message: Out): void {
    this.#said.push(message);
    this.#sendSoon();
  }

  /** Says it along with what is said next: nobody waits for it. */
  mention(message: Out): void {
    if (this.#said.push(message) >= mentionsMax) return this.#sendSoon();
    this.#cancel ??= this.#clock.after(mentionMs, () => this.#send());
  }

  #sendSoon(): void {
    if (this.#sendsSoon) return;
    this.#sendsSoon = true;
    this.#soon(() => this.#send());
  }

  #send(): void {
    this.#sendsSoon = false;
    this.#cancel?.();
    this.#cancel = undefined;
    const said = this.#said;
    if (said.length === 0) return;
    this.#said = [];
    this.#channel.send(new Uint8Array(packr.pack(said)));
  }
}
