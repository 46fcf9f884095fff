/**
 * Retention without an index of its own: ids ascend with time, so what ended before a moment was made before it, and
 * stands at the low end of the tables. Each kind of purge walks upwards from there in small steps and remembers where
 * it is; it begins anew when it has come to the moment. What is unfinished, or ended late, is passed over.
 */
import { firstIdAt, shardCount } from "../../core/shard.js";
import type { Lines } from "./lines.js";
import { literal, within } from "./literal.js";

/** Transactions looked at by one statement. */
const stepMax = 500;

/** Transactions whose rows one statement removes: locks are held for a few milliseconds. */
const removeMax = 50;

type What = "journals" | "heads";

/** The walks of one process. */
export class Purge {
  readonly #lines: Lines;
  readonly #walked: Record<What, number> = { journals: 0, heads: 0 };

  constructor(lines: Lines) {
    this.#lines = lines;
  }

  /** See `Store.purge`. */
  async run(journalsBeforeMs: number, headsBeforeMs: number, limit: number): Promise<number> {
    const heads = await this.#walk("heads", headsBeforeMs, limit);
    await this.#remove(heads, ["journal", "head"]);
    const journals = await this.#walk("journals", journalsBeforeMs, limit);
    await this.#remove(journals, ["journal"]);
    return heads.length + journals.length;
  }

  /** The next ids that ended before the moment; none when the walk has come to its end, which begins it anew. */
  async #walk(what: What, beforeMs: number, limit: number): Promise<readonly number[]> {
    const ids: number[] = [];
    const endId = beforeMs <= 0 ? 0 : Math.min(firstIdAt(shardCount, beforeMs), Number.MAX_SAFE_INTEGER);
    while (ids.length < limit) {
      const looked = await this.#look(what, this.#walked[what], endId, beforeMs, Math.min(stepMax, limit));
      const room = limit - ids.length;
      const due = looked.filter(({ ended }) => ended);
      ids.push(...due.slice(0, room).map(({ id }) => id));
      if (looked.length === 0) {
        this.#walked[what] = 0;
        break;
      }
      this.#walked[what] = due.length > room ? due[room - 1]!.id : looked.at(-1)!.id;
    }
    return ids;
  }

  async #look(what: What, aboveId: number, endId: number, beforeMs: number, limit: number) {
    const ended = `(h.ended_at IS NOT NULL AND h.ended_at < ${literal(beforeMs)}) AS ended`;
    const range = (table: string) => `${table}.id > ${literal(aboveId)} AND ${table}.id < ${literal(endId)}`;
    const [rows] = await this.#lines.send(
      what === "heads"
        ? `SELECT h.id, ${ended} FROM head h WHERE ${range("h")} ORDER BY h.id LIMIT ${literal(limit)}`
        : `SELECT j.id, ${ended} FROM journal j JOIN head h ON h.id=j.id
           WHERE ${range("j")} AND j.seq=1 ORDER BY j.id LIMIT ${literal(limit)}`,
    );
    return rows!.map((row) => ({ id: Number(row.id), ended: row.ended === 1 }));
  }

  /** Rows of a transaction go together; who removes the same ones at the same time does no harm. */
  async #remove(ids: readonly number[], tables: readonly ("journal" | "head")[]): Promise<void> {
    for (let n = 0; n < ids.length; n += removeMax) {
      const chosen = within("id", ids.slice(n, n + removeMax));
      const deletions = tables.map((table) => `DELETE FROM ${table} WHERE ${chosen}`);
      await this.#lines.send(["START TRANSACTION", ...deletions, "COMMIT"].join("; "));
    }
  }
}
