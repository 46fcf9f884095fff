// A barrier table and a few business numbers in memory, with transactions that behave as InnoDB's do at READ COMMITTED:
// writes are staged, a staged key is locked until commit or rollback, a second writer waits, cycles of waiting are
// broken.
// It is the reference model for the database adapters, and serves tests and embedded use. Nothing is durable.

import { BarrierError, LocksLost, Ongoing } from "../errors.js";
import type { BarrierKey, BarrierRow, BarrierRows } from "./core.js";
import { type BarrierStore, createGuard, type Guard } from "./guard.js";

/** An open transaction. Every method rejects once it has ended. */
export interface MemoryTx {
  /** Own staged value, else the committed one. Does not wait. */
  get(key: string): unknown;
  /** Locks the key, waiting for another transaction that holds it, then stages `change(current value)`. */
  update(key: string, change: (current: unknown) => unknown): Promise<void>;
}

/** A memory database with its guard. `rows` and `values` show what is committed. */
export interface MemoryBarrier extends Guard<MemoryTx> {
  readonly rows: ReadonlyMap<string, BarrierRow>;
  readonly values: ReadonlyMap<string, unknown>;
  /** The store under the guard. */
  readonly store: BarrierStore<MemoryTx>;
  /** Opens a transaction that the caller ends, once. */
  begin(): OpenMemoryTx;
}

/** A transaction in its owner's hands. */
export interface OpenMemoryTx {
  readonly tx: MemoryTx;
  /** Does not wait for a row that another transaction holds: rejects with `Ongoing`. */
  readonly rows: BarrierRows;
  commit(): void;
  rollback(): void;
}

/** Length-prefixed, so that no two keys share a text whatever characters the ids have. */
export function barrierKeyText({ gid, branchId, op, barrierId }: BarrierKey): string {
  return [gid, branchId, op, barrierId].map((part) => `${part.length}:${part}`).join("");
}

interface Held {
  readonly owner: Transaction;
  readonly released: Promise<void>;
}

interface Database {
  readonly rows: Map<string, BarrierRow>;
  /** Remembered results. */
  readonly results: Map<string, string>;
  readonly values: Map<string, unknown>;
  readonly locks: Map<string, Held>;
}

class Transaction implements MemoryTx {
  readonly #database: Database;
  readonly #rows = new Map<string, BarrierRow>();
  readonly #results = new Map<string, string>();
  readonly #values = new Map<string, unknown>();
  readonly #held: string[] = [];
  #release: () => void = () => {};
  readonly #released = new Promise<void>((resolve) => {
    this.#release = resolve;
  });
  #waitsFor: Transaction | undefined;
  #open = true;

  constructor(database: Database) {
    this.#database = database;
  }

  get(key: string): unknown {
    this.#assertOpen();
    return this.#values.has(key) ? this.#values.get(key) : this.#database.values.get(key);
  }

  async update(key: string, change: (current: unknown) => unknown): Promise<void> {
    await this.#lock(`value ${key}`);
    this.#values.set(key, change(this.get(key)));
  }

  /** Throws `Ongoing` if an insert of the row would have to wait. */
  refuseToWait(row: BarrierRow): void {
    const held = this.#database.locks.get(`row ${barrierKeyText(row)}`);
    if (held === undefined || held.owner === this) return;
    throw new Ongoing("another delivery of this branch is still in its transaction");
  }

  async insertIgnore(row: BarrierRow): Promise<boolean> {
    const key = barrierKeyText(row);
    await this.#lock(`row ${key}`);
    if (this.#rows.has(key) || this.#database.rows.has(key)) return false;
    this.#rows.set(key, row);
    return true;
  }

  reason(key: BarrierKey): string | undefined {
    const text = barrierKeyText(key);
    return (this.#rows.get(text) ?? this.#database.rows.get(text))?.reason;
  }

  /** Its row is locked by this transaction. */
  keepResult(key: BarrierKey, json: string): void {
    this.#assertOpen();
    this.#results.set(barrierKeyText(key), json);
  }

  result(key: BarrierKey): string | undefined {
    const text = barrierKeyText(key);
    return this.#results.get(text) ?? this.#database.results.get(text);
  }

  /** Makes all staged writes visible at once. */
  commit(): void {
    this.#assertOpen();
    for (const [key, row] of this.#rows) this.#database.rows.set(key, row);
    for (const [key, json] of this.#results) this.#database.results.set(key, json);
    for (const [key, value] of this.#values) this.#database.values.set(key, value);
    this.rollback();
  }

  /** Forgets what is staged and lets the waiting ones go on. A second time it does nothing. */
  rollback(): void {
    if (!this.#open) return;
    this.#open = false;
    for (const name of this.#held) this.#database.locks.delete(name);
    this.#release();
  }

  #assertOpen(): void {
    if (!this.#open) throw new BarrierError("the transaction has ended");
  }

  async #lock(name: string): Promise<void> {
    this.#assertOpen();
    for (;;) {
      const held = this.#database.locks.get(name);
      if (held?.owner === this) return;
      if (held === undefined) break;
      this.#assertNoCycle(held.owner);
      this.#waitsFor = held.owner;
      await held.released;
      this.#waitsFor = undefined;
      this.#assertOpen();
    }
    this.#database.locks.set(name, { owner: this, released: this.#released });
    this.#held.push(name);
  }

  #assertNoCycle(owner: Transaction): void {
    for (let at: Transaction | undefined = owner; at !== undefined; at = at.#waitsFor) {
      if (at === this) throw new LocksLost("deadlock: two transactions wait for each other");
    }
  }
}

/** A new, empty database. With `remember` repeated deliveries are answered with the value of the first. */
export function memoryBarrier(options: { readonly remember?: boolean } = {}): MemoryBarrier {
  const database: Database = { rows: new Map(), results: new Map(), values: new Map(), locks: new Map() };
  const store: BarrierStore<Transaction> = {
    async transaction(work) {
      const tx = new Transaction(database);
      try {
        const value = await work(tx);
        tx.commit();
        return value;
      } catch (error) {
        tx.rollback();
        throw error;
      }
    },
    guarded: (tx, statements) => statements(rowsOf(tx)),
    takeCheckBack: (row) =>
      store.transaction(async (tx) => {
        await tx.insertIgnore(row);
        return tx.reason(row);
      }),
    ...(options.remember && {
      results: {
        keep: async (tx: Transaction, key: BarrierKey, json: string) => tx.keepResult(key, json),
        find: async (tx: Transaction, key: BarrierKey) => tx.result(key),
      },
    }),
  };
  const { rows, values } = database;
  return {
    ...createGuard<MemoryTx>(asMemoryStore(store)),
    rows,
    values,
    store: asMemoryStore(store),
    begin() {
      const tx = new Transaction(database);
      const insertIgnore = async (row: BarrierRow) => {
        tx.refuseToWait(row);
        return tx.insertIgnore(row);
      };
      return { tx, rows: { ...rowsOf(tx), insertIgnore }, commit: () => tx.commit(), rollback: () => tx.rollback() };
    },
  };
}

const rowsOf = (tx: Transaction): BarrierRows => ({
  insertIgnore: (row) => tx.insertIgnore(row),
  reason: async (key) => tx.reason(key),
});

/** Business code sees only `MemoryTx`; every handle it can have was made above. */
function asMemoryStore(store: BarrierStore<Transaction>): BarrierStore<MemoryTx> {
  return {
    transaction: (work) => store.transaction(work),
    guarded: (tx, statements) => store.guarded(tx as Transaction, statements),
    takeCheckBack: (row) => store.takeCheckBack(row),
    ...(store.results && {
      results: {
        keep: (tx: MemoryTx, key: BarrierKey, json: string) => store.results!.keep(tx as Transaction, key, json),
        find: (tx: MemoryTx, key: BarrierKey) => store.results!.find(tx as Transaction, key),
      },
    }),
  };
}
