// XA on Postgres through pg: PREPARE TRANSACTION. The server needs max_prepared_transactions above 0.

import type { ClientBase, Pool } from "pg";
import { postgresLibrary } from "../barrier/pg.js";
import { type SqlBarrierOptions, sqlDialect } from "../barrier/sql.js";
import { BarrierError } from "../errors.js";
import type { XaDatabase } from "./branch.js";
import { guardRows } from "./rows.js";

/** undefined_object: no such prepared transaction. */
const unknownXid = "42704";

/** XA over a pool; `options.table` is the barrier table that guards the branches. */
export function postgresXa(pool: Pool, options: SqlBarrierOptions = {}): XaDatabase<ClientBase> {
  const rows = guardRows(postgresLibrary(pool), sqlDialect("postgres", options));
  return {
    xidBytesMax: 199,
    async begin(xid) {
      const client = await pool.connect();
      await client.query("begin").catch((error: Error) => {
        client.release(error);
        throw error;
      });
      return {
        tx: client,
        rows: rows.of(client),
        async prepare() {
          const { command } = await client.query(`prepare transaction '${xid}'`);
          if (command === "PREPARE") return;
          // After a failed statement Postgres answers with ROLLBACK, and no error.
          throw new BarrierError("the branch was not prepared: a statement of it had failed", {
            hint: "after a failed statement, throw; Postgres rolls the whole transaction back",
          });
        },
        async rollback() {
          await client.query("rollback");
        },
        // Closed, not returned: whatever the business set in the session ends with it.
        end: async () => client.release(true),
      };
    },
    async finish(xid, op) {
      try {
        await pool.query(`${op} prepared '${xid}'`);
        return true;
      } catch (error) {
        if ((error as { code?: unknown }).code === unknownXid) return false;
        throw error;
      }
    },
    take: rows.take,
    reason: rows.reason,
    async prepared() {
      const found = await pool.query<{ gid: string }>(
        "select gid from pg_prepared_xacts where database = current_database() order by prepared",
      );
      return found.rows.map(({ gid }) => gid);
    },
  };
}
