/**
 * The meaning of `Filter` on one head, for stores that look through heads themselves.
 */
import type { Head } from "../core/head.js";
import { isFinal, type Transaction } from "../core/transaction.js";
import type { Filter } from "../ports/store.js";

/** Whether the head meets every condition that is given. */
export function matches(head: Head, filter: Filter): boolean {
  return (
    (filter.status === undefined || head.status === filter.status) &&
    (filter.type === undefined || head.type === filter.type) &&
    (filter.createdFromMs === undefined || head.createdAtMs >= filter.createdFromMs) &&
    (filter.createdToMs === undefined || head.createdAtMs <= filter.createdToMs) &&
    (filter.unfinished === undefined || (head.endedAtMs === undefined) === filter.unfinished) &&
    (filter.parked === undefined || head.parked === filter.parked)
  );
}

/** Whether the filter can be met by unfinished transactions only: these are few, and stores find them by an index. */
export function onlyUnfinished({ unfinished, parked, status }: Filter): boolean {
  const final = status !== undefined && isFinal({ status } as Transaction);
  return unfinished === true || parked === true || (status !== undefined && !final);
}
