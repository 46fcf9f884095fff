// The barrier in transactions of Kysely, here on MySQL or MariaDB; for Postgres say so and number the parameters.
import { CompiledQuery, type Kysely, type Transaction } from "kysely";
import { type SqlBarrierOptions, sqlBarrier } from "tandem/barrier/sql";

/** `guard.run(request, (tx) => tx.updateTable("stock")…)`. */
export const kyselyBarrier = <DB>(db: Kysely<DB>, options: SqlBarrierOptions = {}) =>
  sqlBarrier<Transaction<DB>>(
    {
      database: "mysql",
      transaction: (work) => db.transaction().execute(work),
      statements: (tx) => ({
        async exec(sql, params) {
          const { numAffectedRows = 0n } = await tx.executeQuery(CompiledQuery.raw(sql, [...params]));
          return { affected: Number(numAffectedRows) };
        },
        async query(sql, params) {
          const { rows } = await tx.executeQuery<Record<string, unknown>>(CompiledQuery.raw(sql, [...params]));
          return rows;
        },
      }),
    },
    options,
  );
