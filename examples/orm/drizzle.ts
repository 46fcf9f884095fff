// The barrier in transactions of Drizzle on node-postgres, or on mysql2 with `database: "mysql"` and its result shape.
import { type SQL, sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { type SqlBarrierOptions, sqlBarrier } from "tandem/barrier/sql";

/** Drizzle takes a statement's parameters as parts of it. */
const bound = (text: string, params: readonly unknown[]): SQL =>
  sql.join(text.split("?").flatMap((part, n) => (n === 0 ? [sql.raw(part)] : [sql`${params[n - 1]}`, sql.raw(part)])));

type Transaction = Parameters<Parameters<NodePgDatabase["transaction"]>[0]>[0];

/** `guard.run(request, (tx) => tx.update(stock).set({ … }).where(eq(stock.sku, sku)))`. */
export const drizzleBarrier = (db: NodePgDatabase, options: SqlBarrierOptions = {}) =>
  sqlBarrier<Transaction>(
    {
      database: "postgres",
      transaction: (work) => db.transaction(work),
      statements: (tx) => ({
        exec: async (text, params) => ({ affected: (await tx.execute(bound(text, params))).rowCount ?? 0 }),
        query: async (text, params) => (await tx.execute(bound(text, params))).rows,
      }),
    },
    options,
  );
