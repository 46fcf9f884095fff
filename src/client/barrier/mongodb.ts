// The barrier on MongoDB: documents of DTM's form in a collection with a unique index, upserted in the transaction of a
// session. Needs a replica set or mongos. MongoDB does not wait for another open transaction that inserted the same
// key, it refuses at once (WriteConflict); that is tried again a few times, then the coordinator is told to ask again.
// Types only are taken from the driver.

import type { ClientSession, Collection, MongoClient } from "mongodb";
import { type Duration, toMs } from "../duration.js";
import { BarrierError, LocksLost, Ongoing, TandemError } from "../errors.js";
import { cleanBatch, olderThan } from "./clean.js";
import type { BarrierKey, BarrierRow, BarrierRows } from "./core.js";
import { type BarrierResults, type BarrierStore, createGuard, defaultLockTimeout, type Guard } from "./guard.js";
import { collectionOf } from "./mongoname.js";

/** Settings of a MongoDB barrier. */
export interface MongoBarrierOptions {
  /** `database.collection`, on the deployment of the business data. Default `dtm_barrier.barrier`. */
  readonly collection?: string;
  /** Longest wait of a check-back for a local transaction that is still open; default 2 s. */
  readonly lockTimeout?: Duration;
  /**
   * Keep what business code returns, as JSON in the row's document, and answer repeated deliveries with it instead of
   * nothing. Default: no, as DTM's clients.
   */
  readonly remember?: boolean;
}

/**
 * A guard on a MongoDB client; business code gets the session, and must hand it to every operation: one without
 * `{ session }` is outside the transaction, and so outside the barrier.
 */
export interface MongoBarrier extends Guard<ClientSession> {
  /** Creates the collection and its unique index where missing. */
  migrate(): Promise<void>;
  /** Deletes rows older than `older` (at least a day, default 7 days) in small batches; resolves to their number. */
  clean(options?: { readonly older?: Duration }): Promise<number>;
}

/** A row as DTM's clients store it. Its age is in the `_id`. */
interface RowDocument {
  readonly trans_type: string;
  readonly gid: string;
  readonly branch_id: string;
  readonly op: string;
  readonly barrier_id: string;
  readonly reason: string;
  /** Remembered result, JSON. */
  readonly result?: string;
}

type Rows = Collection<RowDocument>;

const uniqueKey = { gid: 1, branch_id: 1, op: 1, barrier_id: 1 } as const;
/** What counts must survive a change of the primary. */
const durable = {
  readConcern: { level: "majority" },
  writeConcern: { w: "majority" },
  readPreference: "primary",
} as const;
/** Three further attempts after the first, within 140 ms. */
const lockRetry = { attemptsMax: 4, firstPauseMs: 20 };
/** A commit whose outcome the server did not tell is asked for again; doing so is harmless. */
const commitAttemptsMax = 4;

/** A barrier over `client`. Opens nothing by itself; a missing index shows at the first call. */
export function mongoBarrier(client: MongoClient, options: MongoBarrierOptions = {}): MongoBarrier {
  const { database, collection: name } = collectionOf(options.collection ?? "dtm_barrier.barrier");
  const rows: Rows = client.db(database).collection<RowDocument>(name);
  return {
    ...createGuard({
      ...mongoStore(client, rows, toMs(options.lockTimeout ?? defaultLockTimeout)),
      ...(options.remember && { results: resultsIn(rows) }),
    }),
    async migrate() {
      await rows.createIndex(uniqueKey, { unique: true });
    },
    clean: async ({ older = "7d" } = {}) => deleteOld(rows, olderThan(older)),
  };
}

function mongoStore(client: MongoClient, rows: Rows, waitMs: number): BarrierStore<ClientSession> {
  const requireIndex = uniqueIndexCheck(rows);
  return {
    lockRetry,
    transaction: (work) => inTransaction(client, work),
    async guarded(session, statements) {
      await requireIndex();
      if (!session.inTransaction()) {
        throw new BarrierError("no transaction is open in this session", {
          hint: "call session.startTransaction() first, or let the guard's run() open one",
        });
      }
      return explained(() => statements(rowsIn(rows, session)));
    },
    async takeCheckBack(row) {
      await requireIndex();
      return explained(async () => {
        const limit = { ...durable, maxTimeMS: waitMs };
        if (await upserted(rows, row, limit)) return row.reason;
        return (await rows.findOne(keyOf(row), limit))?.reason;
      });
    },
  };
}

/** All reads and writes of a transaction see its snapshot, and what it wrote itself. */
function rowsIn(rows: Rows, session: ClientSession): BarrierRows {
  return {
    insertIgnore: (row) => upserted(rows, row, { session }),
    reason: async (key) => (await rows.findOne(keyOf(key), { session }))?.reason,
  };
}

function resultsIn(rows: Rows): BarrierResults<ClientSession> {
  return {
    async keep(session, key, json) {
      await explained(() => rows.updateOne(keyOf(key), { $set: { result: json } }, { session }));
    },
    find: async (session, key) => (await explained(() => rows.findOne(keyOf(key), { session })))?.result,
  };
}

/** True if the row was inserted. A row that is there is matched and left as it is: `$setOnInsert` writes nothing. */
async function upserted(rows: Rows, row: BarrierRow, options: object): Promise<boolean> {
  const payload = { trans_type: row.transType, reason: row.reason };
  const { upsertedCount } = await rows.updateOne(keyOf(row), { $setOnInsert: payload }, { ...options, upsert: true });
  return upsertedCount === 1;
}

const keyOf = ({ gid, branchId, op, barrierId }: BarrierKey) => ({
  ...{ gid, branch_id: branchId, op },
  barrier_id: barrierId,
});

/**
 * Commits when `work` resolves. If the transaction was lost to another one, be it in `work` or at its end, nothing of
 * it took effect and the answer is `Ongoing`: the coordinator delivers again.
 */
async function inTransaction<T>(client: MongoClient, work: (session: ClientSession) => Promise<T>): Promise<T> {
  const session = client.startSession();
  try {
    session.startTransaction(durable);
    let value: T;
    try {
      value = await work(session);
    } catch (error) {
      // The server gives up what nobody ends; the first error is the one to tell.
      if (session.inTransaction()) await session.abortTransaction().catch(() => {});
      throw lostToAnother(error);
    }
    await commit(session);
    return value;
  } finally {
    await session.endSession();
  }
}

async function commit(session: ClientSession): Promise<void> {
  for (let count = 1; ; count++) {
    try {
      await session.commitTransaction();
      return;
    } catch (error) {
      if (!hasLabel(error, "UnknownTransactionCommitResult")) throw lostToAnother(error);
      if (count < commitAttemptsMax) continue;
      throw new BarrierError("it is not known whether the transaction was committed", {
        cause: error,
        hint: "the next delivery finds out by the barrier's rows",
      });
    }
  }
}

/** Once per guard: without the unique index MongoDB would create a collection that guards nothing. */
function uniqueIndexCheck(rows: Rows): () => Promise<void> {
  let isThere = false;
  return async () => {
    if (isThere) return;
    const found = await rows.listIndexes().toArray().catch(noCollection);
    isThere = found.some(({ key, unique, collation, partialFilterExpression }) => {
      const guards = unique === true && collation === undefined && partialFilterExpression === undefined;
      return guards && JSON.stringify(Object.entries(Object(key))) === JSON.stringify(Object.entries(uniqueKey));
    });
    if (isThere) return;
    throw new BarrierError(`the collection ${rows.namespace} has no unique index for the barrier`, {
      hint: "create it with migrate(), or name yours with the option `collection`",
    });
  };
}

function noCollection(error: unknown): [] {
  if (codeOf(error) === codes.namespaceNotFound) return [];
  throw explain(error);
}

/** By the time within `_id`; ids of another kind are not touched. */
async function deleteOld(rows: Rows, ageSeconds: number): Promise<number> {
  const before = Math.floor(Date.now() / 1_000) - ageSeconds;
  const hex = before.toString(16).padStart(8, "0").padEnd(24, "0");
  const old = { _id: { $type: "objectId" }, $expr: { $lt: ["$_id", { $toObjectId: hex }] } } as const;
  for (let total = 0; ; ) {
    const found = await rows
      .find(old, { projection: { _id: 1 } })
      .limit(cleanBatch)
      .toArray();
    const { deletedCount } = await rows.deleteMany({ _id: { $in: found.map(({ _id }) => _id) } });
    total += deletedCount;
    if (found.length < cleanBatch) return total;
  }
}

const codes = {
  illegalOperation: 20,
  namespaceNotFound: 26,
  maxTimeExpired: 50,
  writeConflict: 112,
  noSuchTransaction: 251,
  duplicateKey: 11_000,
} as const;

async function explained<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof TandemError ? error : explain(error);
  }
}

function explain(error: unknown): TandemError {
  const code = codeOf(error);
  if (code === codes.writeConflict || code === codes.duplicateKey || isTransient(error)) {
    return new LocksLost("deliveries of one branch ran into each other", { cause: error });
  }
  if (code === codes.maxTimeExpired) {
    return new Ongoing("another delivery of this branch is still in its transaction", { cause: error });
  }
  const hint = code === codes.illegalOperation ? "transactions need a replica set or mongos" : undefined;
  return new BarrierError("the barrier's statement failed", { cause: error, ...(hint && { hint }) });
}

/** The server undid the transaction for another one's sake; everything else is passed on as it is. */
function lostToAnother(error: unknown): unknown {
  if (error instanceof TandemError || !isTransient(error)) return error;
  return new Ongoing("the transaction was lost to another one, and had no effect", { cause: error });
}

const isTransient = (error: unknown): boolean => hasLabel(error, "TransientTransactionError");

/** Asked of the error itself, not of its class: the driver may be there in two copies. */
function hasLabel(error: unknown, label: string): boolean {
  const { hasErrorLabel } = Object(error) as { hasErrorLabel?: unknown };
  return typeof hasErrorLabel === "function" && hasErrorLabel.call(error, label) === true;
}

const codeOf = (error: unknown): unknown => (Object(error) as { code?: unknown }).code;
