/**
 * Numbers that are kept with every change instead of being counted: transactions by type and status, and the highest id
 * of each shard (which stays when its transaction is purged, so ids are never used twice). One row of about 2 KiB.
 */
import type { Head } from "../../core/head.js";
import { shardCount } from "../../core/shard.js";
import { type Status, statuses, type TransType, transTypes } from "../../core/transaction.js";
import { codecOf } from "../codec.js";
import { list, plain, record } from "../shape.js";

/** What `Store.count` answers with. */
export interface Count {
  readonly type: TransType;
  readonly status: Status;
  readonly transactions: number;
}

interface TallyRow {
  readonly lastIds: readonly number[];
  readonly counts: readonly Count[];
}

const count = record<Count>({ type: plain<TransType>(), status: plain<Status>(), transactions: plain<number>() });

/** Stored form of a tally. */
export const tallyCodec = codecOf("tally", record<TallyRow>({ lastIds: list(plain<number>()), counts: list(count) }));

/** A tally that can be changed and, when the change was not stored, thrown away: take a `copy` first. */
export class Tally {
  readonly #lastIds: number[];
  readonly #counts: Map<string, number>;

  constructor(lastIds: readonly number[] = [], counts: readonly Count[] = []) {
    this.#lastIds = Array.from({ length: shardCount }, (_, shard) => lastIds[shard] ?? 0);
    this.#counts = new Map(counts.map(({ type, status, transactions }) => [`${type} ${status}`, transactions]));
  }

  copy(): Tally {
    return new Tally(this.#lastIds, this.counts());
  }

  lastId(shard: number): number {
    return this.#lastIds[shard] ?? 0;
  }

  /** Those above 0. */
  counts(): readonly Count[] {
    return transTypes.flatMap((type) =>
      statuses.flatMap((status) => {
        const transactions = this.#counts.get(`${type} ${status}`) ?? 0;
        return transactions > 0 ? [{ type, status, transactions }] : [];
      }),
    );
  }

  /** A head took the place of another; `undefined` = there was or is none. */
  replaced(before: Head | undefined, after: Head | undefined): void {
    this.#add(before, -1);
    this.#add(after, 1);
    if (before === undefined && after !== undefined) {
      this.#lastIds[after.shard] = Math.max(this.lastId(after.shard), after.id);
    }
  }

  stored(): Buffer {
    return tallyCodec.encode({ lastIds: this.#lastIds, counts: this.counts() });
  }

  #add(head: Head | undefined, by: number): void {
    if (head === undefined) return;
    const name = `${head.type} ${head.status}`;
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + by);
  }
}
