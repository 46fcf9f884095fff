/**
 * What every actor of a node shares. One value, made by the engine, handed to each actor.
 */
import type { Defaults } from "../core/transaction.js";
import type { Callers } from "../ports/caller.js";
import type { Clock, Random } from "../ports/clock.js";
import type { Log, Observer } from "../ports/observer.js";
import type { Ownership } from "../ports/ownership.js";
import type { Store } from "../ports/store.js";
import type { KeyValues } from "../ports/topics.js";
import type { Committer, FlushLimits } from "./committer.js";
import type { Dispatcher } from "./dispatcher.js";
import type { Footprint } from "./footprint.js";
import type { Ids } from "./ids.js";
import type { Timers } from "./timers.js";

/** Numbers that an operator may set; see docs/configuration.md. */
export interface EngineSettings {
  readonly defaults: Defaults;
  readonly alertAfter: number;
  readonly parkAfter: number;
  readonly branchesMax: number;
  /** Longest that a reply is held for the end of a transaction (D1). */
  readonly waitResultMs: number;
  /** Actors in memory; resting ones are evicted beyond. */
  readonly residentMax: number;
  /** Bytes of clients that actors hold; past half of it none stays that only waits, past it new ones are refused. */
  readonly residentBytesMax: number;
  /** Transactions being worked on; new ones are refused beyond. */
  readonly activeMax: number;
  /** Bytes of transitions that wait for a flush; new transactions are refused beyond. */
  readonly queuedBytesMax: number;
  /** Requests that wait in one actor's mailbox; refused beyond. */
  readonly mailboxMax: number;
  /** How long a request may wait for a store that takes no writes. */
  readonly storeWaitMs: number;
  readonly flush: FlushLimits;
  readonly dispatch: {
    readonly perOrigin: number;
    readonly perNode: number;
    readonly waitingPerTarget: number;
    readonly targets: number;
  };
  /** `undefined`: another engine of the node removes what is finished. */
  readonly retention: { readonly journalMs: number; readonly headMs: number } | undefined;
}

export interface Services {
  readonly store: Store;
  readonly keyValues: KeyValues;
  readonly clock: Clock;
  readonly random: Random;
  readonly observer: Observer;
  readonly log: Log;
  /** Notes a transaction that could not be read. */
  readonly unread: (fields: { readonly gid: string; readonly cause: string }) => void;
  readonly ownership: Ownership;
  readonly callers: Pick<Callers, "locate">;
  readonly committer: Committer;
  readonly dispatcher: Dispatcher;
  readonly footprint: Footprint;
  readonly ids: Ids;
  readonly timers: Timers;
  /** Shards that are about to be handed over: their transactions start no calls. */
  readonly draining: ReadonlySet<number>;
  readonly settings: EngineSettings;
}
