// XA on a database in memory, for tests: prepared branches keep their locks until phase two, and survive the session
// that made them.

import { barrierKeyText, type MemoryBarrier, type MemoryTx, type OpenMemoryTx } from "../barrier/memory.js";
import type { XaDatabase } from "./branch.js";

/** XA over `database`; its guard rows are those of its barrier. */
export function memoryXa(database: MemoryBarrier): XaDatabase<MemoryTx> {
  const prepared = new Map<string, OpenMemoryTx>();
  return {
    xidBytesMax: 64,
    async begin(xid) {
      if (prepared.has(xid)) throw new Error(`the xid ${xid} is prepared already`);
      const open = database.begin();
      return {
        tx: open.tx,
        rows: open.rows,
        async prepare() {
          prepared.set(xid, open);
        },
        rollback: async () => open.rollback(),
        async end() {
          if (prepared.get(xid) !== open) open.rollback();
        },
      };
    },
    async finish(xid, op) {
      const open = prepared.get(xid);
      prepared.delete(xid);
      open?.[op]();
      return open !== undefined;
    },
    async take(row) {
      const open = database.begin();
      try {
        await open.rows.insertIgnore(row);
        open.commit();
      } finally {
        open.rollback();
      }
      return database.rows.get(barrierKeyText(row))?.reason;
    },
    reason: async (row) => database.rows.get(barrierKeyText(row))?.reason,
    prepared: async () => [...prepared.keys()],
  };
}
