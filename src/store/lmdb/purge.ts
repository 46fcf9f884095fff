/**
 * Retention in the embedded store, by the index of ended transactions: oldest end first, in batches of bounded size
 * with room for commits between them. A transaction's rows go together, so a crash leaves none half removed.
 */
import { headCodec } from "../codec.js";
import type { Tables } from "./folder.js";
import { endedKey, idKey, readNumber } from "./keys.js";
import type { Pause } from "./pace.js";
import type { Plan, Write, Writer } from "./writer.js";

/** Journal rows removed by one batch: a few milliseconds of writing. A longer journal is a batch of its own. */
const rowsPerBatch = 2_000;

/** See `Store.purge`. */
export interface PurgeLimits {
  readonly journalsBeforeMs: number;
  readonly headsBeforeMs: number;
  readonly limit: number;
}

/** Removes at most `limit` heads and as many journals; resolves to how many transactions it touched. */
export async function purgeOnce(tables: Tables, writer: Writer, pause: Pause, limits: PurgeLimits): Promise<number> {
  const { journalsBeforeMs, headsBeforeMs, limit } = limits;
  const withJournal = endedBefore(tables, false, Math.max(journalsBeforeMs, headsBeforeMs), limit);
  const whole = withJournal.filter(({ endedAtMs }) => endedAtMs < headsBeforeMs);
  const journals = withJournal.filter(({ endedAtMs }) => endedAtMs >= headsBeforeMs && endedAtMs < journalsBeforeMs);
  const heads = endedBefore(tables, true, headsBeforeMs, limit - whole.length);
  const work = [
    ...[...whole, ...heads].map(({ id }) => ({ id, whole: true })),
    ...journals.map(({ id }) => ({ id, whole: false })),
  ];
  for (let done = 0; done < work.length; ) {
    done += await writer.write(() => planBatch(tables, writer, work.slice(done)));
    await pause();
  }
  return work.length;
}

/** As much of the work as one batch takes; its result says how much. */
function planBatch(
  tables: Tables,
  writer: Writer,
  work: readonly { readonly id: number; readonly whole: boolean }[],
): Plan<number> {
  const tally = writer.tally.copy();
  const writes: Write[] = [];
  let result = 0;
  for (const { id, whole } of work) {
    if (writes.length >= rowsPerBatch) break;
    const stored = tables.heads.getBinary(idKey(id));
    if (stored !== undefined) writes.push(...writer.planPurge(headCodec.decode(stored), whole, tally));
    result++;
  }
  return { writes, result, tally };
}

function endedBefore(tables: Tables, journalGone: boolean, beforeMs: number, limit: number) {
  const found: { readonly endedAtMs: number; readonly id: number }[] = [];
  const range = { start: endedKey(journalGone, 0, 0), end: endedKey(journalGone, beforeMs, 0), limit };
  for (const key of limit > 0 ? tables.ended.getKeys(range) : []) {
    found.push({ endedAtMs: readNumber(key, 1), id: readNumber(key, 9) });
  }
  return found;
}
