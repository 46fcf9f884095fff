// The barrier as handlers use it, for any store with transactions: run the business code in a transaction of its own
// (`run`), in one that the caller owns (`within`), and answer a check-back. An adapter supplies the four verbs of
// BarrierStore.

import type { Duration } from "../duration.js";
import { invalidInput, LocksLost } from "../errors.js";
import type { BranchIdentity, BranchSource, RequestLike } from "../identity.js";
import { readIdentity } from "../identity.js";
import {
  type BarrierKey,
  type BarrierResult,
  type BarrierRow,
  type BarrierRows,
  type CheckBack,
  checkBackRow,
  checkBackVerdict,
  passBarrier,
} from "./core.js";
import { barrierFrom, type Delivery } from "./delivery.js";
import { type LockRetry, retryTransaction } from "./retry.js";

/**
 * What an adapter does for one database. `Tx` is the driver's handle of an open transaction, as business code uses it.
 */
export interface BarrierStore<Tx> {
  /**
   * Commits when `work` resolves; rolls back and rejects with the same error when it rejects. Rejects if the commit is
   * in doubt.
   */
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  /**
   * Runs guard statements inside `tx` under the store's lock timeout, which must not leak to the caller's statements.
   * A lock that could not be had is rejected as `Ongoing`, a broken cycle of waiting as `LocksLost`, everything else as
   * `BarrierError`.
   */
  guarded<T>(tx: Tx, statements: (rows: BarrierRows) => Promise<T>): Promise<T>;
  /** Insert-ignores the row and makes that durable; resolves to the reason that is committed afterwards. */
  takeCheckBack(row: BarrierRow): Promise<string | undefined>;
  /**
   * Rejects with `BarrierError` if no transaction is open in `tx`, a caller's: each statement would be committed by
   * itself then, the barrier's row before the business. Not given by a store whose `guarded` sees it.
   */
  requireOpen?(tx: Tx): Promise<void>;
  /** How `LocksLost` is met before business code ran; default five attempts without a pause. */
  readonly lockRetry?: LockRetry;
  /** Given by a store that remembers what business code returned, to answer repeated deliveries with it. */
  readonly results?: BarrierResults<Tx>;
}

/** Values of executed deliveries as JSON, kept in the transaction that executed them. */
export interface BarrierResults<Tx> {
  keep(tx: Tx, key: BarrierKey, json: string): Promise<void>;
  /** The committed text, `undefined` where none was kept; must not read an older snapshot. */
  find(tx: Tx, key: BarrierKey): Promise<string | undefined>;
}

/**
 * Longest wait for another delivery's transaction where nothing else is asked for. Less than the three seconds after
 * which a coordinator gives a call up: it is to hear "not yet", not nothing.
 */
export const defaultLockTimeout: Duration = "2s";

/** Settings of one barrier call. */
export interface BarrierCallOptions {
  /** Fixed number of this call within its handler, where calls are conditional. Default: 1, 2, … in order of calls. */
  readonly id?: number;
}

/** What a handler may pass to say which delivery it is handling: the request itself, or what `barrierFrom` gave. */
export type DeliverySource = Delivery | RequestLike;

/** The barrier of one database. */
export interface Guard<Tx> {
  /**
   * Runs `business` at most once, in one transaction with the barrier's rows. Commits for every result; what `business`
   * throws rolls everything back and is thrown on. Throw `Failure` out of `business`, never return it.
   */
  run<T>(
    delivery: DeliverySource,
    business: (tx: Tx) => Promise<T>,
    options?: BarrierCallOptions,
  ): Promise<BarrierResult<T>>;
  /**
   * The same in a transaction that the caller opened, and commits or rolls back. It must be on the database that holds
   * the barrier table; roll back if this rejects.
   */
  within<T>(
    tx: Tx,
    delivery: DeliverySource,
    business: (tx: Tx) => Promise<T>,
    options?: BarrierCallOptions,
  ): Promise<BarrierResult<T>>;
  /** A transaction without barrier; commits unless `work` rejects. For reading what an earlier delivery committed. */
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  /** Whether a message's local transaction is committed. If it is not yet, it never will be: the answer is final. */
  queryPrepared(source: BranchSource | Delivery): Promise<CheckBack>;
}

/** The guard over a store. Adapters export a function of their own that calls this. */
export function createGuard<Tx>(store: BarrierStore<Tx>): Guard<Tx> {
  const { lockRetry = waitingStore, results } = store;

  async function within<T>(
    tx: Tx,
    source: DeliverySource,
    business: (tx: Tx) => Promise<T>,
    options: BarrierCallOptions = {},
  ): Promise<BarrierResult<T>> {
    const delivery = barrierFrom(source);
    await store.requireOpen?.(tx);
    return pass(tx, delivery, delivery.nextBarrierId(options.id), business);
  }

  async function pass<T>(
    tx: Tx,
    delivery: Delivery,
    barrierId: string,
    business: (tx: Tx) => Promise<T>,
  ): Promise<BarrierResult<T>> {
    const { branch } = delivery;
    const verdict = await store.guarded(tx, (rows) => passBarrier(rows, branch, barrierId));
    if (verdict === "execute") {
      const value = await business(tx);
      if (value !== undefined) await results?.keep(tx, { ...branch, barrierId }, jsonOf(value, branch));
      return { kind: "executed", value };
    }
    const known = verdict === "duplicate" ? await results?.find(tx, { ...branch, barrierId }) : undefined;
    // What was kept is what this business code had returned.
    return known === undefined ? { kind: verdict } : { kind: "duplicate", value: JSON.parse(known) as T };
  }

  return {
    within,
    transaction: (work) => store.transaction(work),
    async run(source, business, options = {}) {
      const delivery = barrierFrom(source);
      const barrierId = delivery.nextBarrierId(options.id);
      let started = false;
      const once = (tx: Tx) => {
        started = true;
        return business(tx);
      };
      return retryTransaction(
        lockRetry,
        () => store.transaction((tx) => pass(tx, delivery, barrierId, once)),
        (error) => lostLocks(error) && !started,
      );
    },
    async queryPrepared(source) {
      const { gid, transType } =
        source instanceof Object && "branch" in source ? barrierFrom(source).branch : readIdentity(source);
      const row = checkBackRow(gid, transType);
      const reason = await retryTransaction(lockRetry, () => store.takeCheckBack(row), lostLocks);
      return checkBackVerdict(reason, gid);
    },
  };
}

/**
 * Attempts of a transaction that lost its locks before business code ran; then the coordinator is told to ask again.
 */
const waitingStore: LockRetry = { attemptsMax: 5, firstPauseMs: 0 };

const lostLocks = (error: unknown): boolean => error instanceof LocksLost;

/** A value that cannot be kept undoes what was done: a repeat could not be answered with it. */
function jsonOf(value: unknown, { gid, branchId }: BranchIdentity): string {
  let cause: unknown;
  try {
    const text: string | undefined = JSON.stringify(value);
    if (text !== undefined) return text;
  } catch (error) {
    cause = error;
  }
  throw invalidInput(`the result of ${gid}/${branchId} cannot be remembered as JSON`, {
    ...{ cause, gid, branchId, hint: "return plain JSON data, or nothing: no BigInt, function or cycle" },
  });
}
