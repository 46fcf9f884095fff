// Transactions as actors would write them, for tests of stores: every commit carries the row and the head that the core
// makes of the events, so a store sees nothing that it would not see in production.
import { type Event, type NewOp, retryRecordOf } from "../../src/core/event.js";
import { evolve } from "../../src/core/evolve.js";
import { headChanged, headOf } from "../../src/core/head.js";
import { nextId, shardOf } from "../../src/core/shard.js";
import type { Options, Transaction, TransType, Tries } from "../../src/core/transaction.js";
import type { Commit } from "../../src/ports/store.js";

/** A time in the past of every machine that runs the tests. */
export const someTimeMs = 1_760_000_000_000;

export const noOptions: Options = {
  waitResult: false,
  timeoutToFailS: undefined,
  requestTimeoutS: undefined,
  retryIntervalS: undefined,
  retryLimit: undefined,
  branchHeaders: undefined,
  concurrent: false,
};

/** What may differ between the transactions of a test. */
export interface Birth {
  readonly type?: TransType;
  readonly options?: Options;
  readonly ops?: readonly NewOp[];
  readonly atMs?: number;
  readonly wakeAtMs?: number | undefined;
  readonly customData?: string;
  /** Submitted at once unless told otherwise. */
  readonly status?: "prepared" | "submitted";
  /** Instead of the next one of its shard. */
  readonly id?: number;
}

/** An op with a payload; `n` makes it different from others. */
export function someOp(n: number, payload: Uint8Array = new TextEncoder().encode(`{"n":${n}}`)): NewOp {
  const branchId = String(n + 1).padStart(2, "0");
  return { branchId, op: "action", url: `http://127.0.0.1:1/branch/${n}`, payload, status: "prepared" };
}

/** Running totals of a retry. */
export function someTries(attempts: number, lastError = `attempt ${attempts} timed out`): Tries {
  const nextAtMs = someTimeMs + attempts * 10_000;
  return { attempts, unknowns: attempts, refusals: 0, intervalMs: 10_000, nextAtMs, lastError };
}

/** Hands out ids, epochs and stories: the shards' owner. */
export class Teller {
  /** Epochs that the test sets itself. */
  readonly epochs = new Map<number, number>();
  readonly #lastIds = new Map<number, number>();
  readonly #epochOf: (shard: number) => number | undefined;

  constructor(epochOf: (shard: number) => number | undefined = () => undefined) {
    this.#epochOf = epochOf;
  }

  /** The owner's epoch of the shard; 1 unless somebody says otherwise. */
  epochOf(shard: number): number {
    return this.epochs.get(shard) ?? this.#epochOf(shard) ?? 1;
  }

  newId(shard: number, atMs: number): number {
    const id = nextId(shard, this.#lastIds.get(shard) ?? 0, atMs);
    this.#lastIds.set(shard, id);
    return id;
  }

  /** A transaction that is not stored yet. */
  tell(gid: string, birth: Birth = {}): Story {
    return new Story(this, gid, birth);
  }
}

/** One transaction and what its actor remembers of it. */
export class Story {
  readonly gid: string;
  readonly shard: number;
  readonly id: number;
  /** As of the last commit that was made here, whatever the store said to it. */
  tx: Transaction | undefined;
  wakeAtMs: number | undefined;
  readonly #teller: Teller;
  readonly #birth: Birth;
  #head: Commit["head"];

  constructor(teller: Teller, gid: string, birth: Birth) {
    this.gid = gid;
    this.shard = shardOf(gid);
    this.id = birth.id ?? teller.newId(this.shard, birth.atMs ?? someTimeMs);
    this.#teller = teller;
    this.#birth = birth;
  }

  /** The commit that creates it. */
  created(): Commit {
    const {
      type = "saga",
      options = noOptions,
      ops = [someOp(0)],
      atMs = someTimeMs,
      status = "submitted",
    } = this.#birth;
    const event: Event = {
      kind: "created",
      atMs,
      id: this.id,
      gid: this.gid,
      type,
      protocol: "http",
      status,
      options,
      defaults: { timeoutToFailMs: 35_000, requestTimeoutMs: 3_000, retryIntervalMs: 10_000 },
      digest: status === "submitted" ? "d1" : undefined,
      queryPrepared: "",
      customData: this.#birth.customData ?? "",
      ops,
      executor: undefined,
    };
    return this.next([event], "wakeAtMs" in this.#birth ? this.#birth.wakeAtMs : atMs);
  }

  /** The next commit. It carries a head when the status changed or another wake time is given. */
  next(events: readonly Event[], wakeAtMs: number | undefined = this.wakeAtMs): Commit {
    const retryOf = retryRecordOf(events);
    let tx = this.tx;
    for (const event of events) tx = evolve(tx, event);
    const version = (this.tx?.version ?? 0) + (retryOf === undefined ? 1 : 0);
    this.tx = { ...tx!, version };
    const head = headOf(this.tx, wakeAtMs);
    const changed = headChanged(this.#head, head) || wakeAtMs !== this.wakeAtMs;
    this.wakeAtMs = head.wakeAtMs;
    if (changed) this.#head = head;
    return {
      gid: this.gid,
      id: this.id,
      shard: this.shard,
      epoch: this.#teller.epochOf(this.shard),
      row: { version, retryOf, events },
      head: changed ? head : undefined,
    };
  }

  started(op = 0, atMs = someTimeMs + 1): Commit {
    return this.next([{ kind: "started", atMs, ops: [op] }]);
  }

  retried(op: number, attempts: number, lastError?: string): Commit {
    return this.next([{ kind: "retried", atMs: someTimeMs + attempts, op, tries: someTries(attempts, lastError) }]);
  }

  finished(status: "succeed" | "failed" = "succeed", atMs = someTimeMs + 2): Commit {
    return this.next([{ kind: "finished", atMs, status, reason: "", result: "", byClient: false }], undefined);
  }

  parked(atMs = someTimeMs + 3): Commit {
    return this.next([{ kind: "parked", atMs, parked: { sinceMs: atMs, by: "operator", reason: "test" } }], undefined);
  }
}
