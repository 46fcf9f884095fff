/**
 * Operations over many transactions: pages of them, their history, and the bulk "due now". All go through the store in
 * pages, so that no answer and no step of one grows with the number of stored transactions.
 */
import type { JournalRow } from "../core/evolve.js";
import { type Head, restoreFromHead } from "../core/head.js";
import type { Transaction } from "../core/transaction.js";
import type { Filter, Page } from "../ports/store.js";
import { readGid } from "../wire/identifier.js";
import { fromPosition, mustHaveRoom } from "./failure.js";
import type { OperationsDeps } from "./operations.js";

/** One page of transactions, newest first; `next` is opaque, empty on the last page. */
export interface TransactionPage {
  readonly transactions: readonly Transaction[];
  readonly next: string;
}

export interface Listings {
  /** Whole transactions; of those whose journal is gone what their head still says. */
  all(filter: Filter, position: string, limit: number): Promise<TransactionPage>;
  /** Heads only: cheap. */
  list(filter: Filter, cursor: string, limit: number): Promise<Page>;
  /** The journal, in order of time; empty for an unknown gid. */
  history(gid: string): Promise<readonly JournalRow[]>;
  /**
   * Makes due at once up to `limit` unfinished transactions that would wait longer than `timeoutS` seconds (default:
   * three times the server's timeout, S-CRON-9). Those that wait for their client, a timeout or a delay have no next
   * try to bring forward and do not count.
   */
  resetCronTime(
    timeoutS: number | undefined,
    limit: number,
  ): Promise<{ readonly succeedCount: number; readonly hasRemaining: boolean }>;
}

/** Transactions folded in one go: bounds what one answer holds in memory beside its own text. */
const loadAtOnce = 50;

export function listings({ coordinator, store, clock, timeoutToFailMs, isSwamped }: OperationsDeps): Listings {
  const list = async (filter: Filter, cursor: string, limit: number): Promise<Page> => {
    mustHaveRoom(isSwamped);
    return fromPosition(() => store.list(filter, cursor === "" ? undefined : cursor, limit));
  };
  const loadAll = async (heads: readonly Head[]): Promise<readonly Transaction[]> => {
    const loaded: Transaction[] = [];
    for (let i = 0; i < heads.length; i += loadAtOnce) {
      const some = heads.slice(i, i + loadAtOnce);
      const stored = await store.load(some.map(({ gid }) => gid));
      some.forEach((head, j) => {
        loaded.push(stored[j]?.tx ?? restoreFromHead(head));
      });
    }
    return loaded;
  };
  const hasten = async (heads: readonly Head[]): Promise<number> => {
    const replies = await Promise.all(heads.map(({ gid }) => coordinator.handle(gid, { kind: "hasten", bulk: true })));
    return replies.filter(({ kind }) => kind === "accepted").length;
  };
  return {
    list,
    async all(filter, position, limit) {
      const page = await list(filter, position, limit);
      return { transactions: await loadAll(page.heads), next: page.next ?? "" };
    },
    async history(gid) {
      mustHaveRoom(isSwamped);
      return store.history(readGid(gid));
    },
    async resetCronTime(timeoutS, limit) {
      const afterMs = clock.nowMs() + (timeoutS === undefined ? 3 * timeoutToFailMs : timeoutS * 1000);
      let succeedCount = 0;
      let cursor = "";
      do {
        const page = await list({ unfinished: true, parked: false }, cursor, 1000);
        const far = page.heads.filter((head) => mayWaitForTry(head) && (head.wakeAtMs ?? 0) > afterMs);
        for (let from = 0; from < far.length && succeedCount < limit; ) {
          const some = far.slice(from, from + Math.min(loadAtOnce, limit - succeedCount));
          succeedCount += await hasten(some);
          from += some.length;
        }
        cursor = page.next ?? "";
      } while (cursor !== "" && succeedCount < limit);
      return { succeedCount, hasRemaining: succeedCount >= limit };
    },
  };
}

/** What is prepared waits for its client, but for a check-back or callback of a msg or workflow. */
function mayWaitForTry({ status, type }: Head): boolean {
  return status !== "prepared" || type === "msg" || type === "workflow";
}
