// The barrier on Postgres through pg. Types only are taken from the driver, so it is loaded by nobody but its user.

import type { ClientBase, Pool } from "pg";
import type { Duration } from "../duration.js";
import { BarrierError } from "../errors.js";
import { cleanBatch, inBatches, olderThan } from "./clean.js";
import { postgresDefinition } from "./pgdialect.js";
import { type SqlBarrierOptions, type SqlGuard, type SqlLibrary, type SqlTx, sqlBarrier, sqlDialect } from "./sql.js";
import { defaultTable } from "./table.js";

/** A guard on a pg pool; business code gets the client that holds the open transaction. */
export interface PostgresBarrier extends SqlGuard<ClientBase> {
  /**
   * Creates schema, table and index where missing; safe in several processes at once. The first table of a schema gets
   * the constraint by whose name DTM's clients insert, `uniq_barrier`: give a table that they share its own schema.
   */
  migrate(): Promise<void>;
  /** Deletes rows older than `older` (at least a day, default 7 days) in small batches; resolves to their number. */
  clean(options?: { readonly older?: Duration }): Promise<number>;
}

/** A barrier over `pool`. Opens nothing by itself; a missing table shows at the first call. */
export function postgresBarrier(pool: Pool, options: SqlBarrierOptions = {}): PostgresBarrier {
  const { table, resultTable } = sqlDialect("postgres", options);
  const { table: name = defaultTable("postgres"), remember = false } = options;
  return {
    ...sqlBarrier(postgresLibrary(pool), options),
    async migrate() {
      await pool.query(postgresDefinition(name, remember));
    },
    async clean({ older = "7d" } = {}) {
      const seconds = olderThan(older);
      if (remember) await deleteOld(pool, resultTable, seconds);
      return deleteOld(pool, table, seconds);
    },
  };
}

/** By the rows' places on disk: both tables have those. */
async function deleteOld(pool: Pool, table: string, seconds: number): Promise<number> {
  const statement = `delete from ${table} where ctid in (select ctid from ${table}
    where create_time < now() - make_interval(secs => $1) limit ${cleanBatch})`;
  return inBatches(async () => (await pool.query(statement, [seconds])).rowCount ?? 0);
}

/** A pool as the SQL barrier and the outbox use it. */
export function postgresLibrary(pool: Pool): SqlLibrary<ClientBase> {
  return {
    database: "postgres",
    statements,
    transaction: (work) => inTransaction(pool, work),
    alone: statements(pool),
  };
}

/** `?` becomes `$1`, `$2`, …; the barrier's statements have no other question marks. */
function statements(client: Pick<ClientBase, "query">): SqlTx {
  const run = (sql: string, params: readonly unknown[]) => {
    let count = 0;
    return client.query<Record<string, unknown>>(
      sql.replace(/\?/g, () => `$${++count}`),
      [...params],
    );
  };
  return {
    exec: async (sql, params) => ({ affected: (await run(sql, params)).rowCount ?? 0 }),
    query: async (sql, params) => (await run(sql, params)).rows,
  };
}

/**
 * After a statement failed Postgres answers COMMIT with ROLLBACK, and no error: business code that swallowed it is
 * told here.
 */
async function inTransaction<T>(pool: Pool, work: (client: ClientBase) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  const watch = (error: Error) => {
    broken = error;
  };
  client.on("error", watch);
  try {
    await client.query("begin");
    const value = await work(client);
    const { command } = await client.query("commit");
    if (command === "COMMIT") return value;
    throw new BarrierError("nothing was committed: a statement of this transaction had failed", {
      hint: "after a failed statement, throw; Postgres rolls the whole transaction back",
    });
  } catch (error) {
    await client.query("rollback").catch((failed: Error) => watch(failed));
    throw error;
  } finally {
    client.removeListener("error", watch);
    client.release(broken);
  }
}
