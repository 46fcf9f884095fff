// The barrier in transactions of Knex with its mysql2 client.
import type { Knex } from "knex";
import { type SqlBarrierOptions, sqlBarrier } from "tandem/barrier/sql";

/** What mysql2 gives for a statement: rows, or what it changed. */
type Answer = [rows: readonly Record<string, unknown>[] & { readonly affectedRows?: number }];

/** `guard.run(request, (tx) => tx("stock").where({ sku }).decrement("n"))`. */
export const knexBarrier = (db: Knex, options: SqlBarrierOptions = {}) =>
  sqlBarrier<Knex.Transaction>(
    {
      database: "mysql",
      transaction: (work) => db.transaction(work),
      statements: (tx) => {
        const run = async (sql: string, params: readonly unknown[]) =>
          ((await tx.raw(sql, params as Knex.Value[])) as Answer)[0];
        return {
          exec: async (sql, params) => ({ affected: (await run(sql, params)).affectedRows ?? 0 }),
          query: run,
        };
      },
    },
    options,
  );
