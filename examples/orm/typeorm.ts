// The barrier in transactions of TypeORM on MySQL or MariaDB.
import { type SqlBarrierOptions, sqlBarrier } from "tandem/barrier/sql";
import type { DataSource, EntityManager } from "typeorm";

/** `guard.run(request, (tx) => tx.getRepository(Stock).decrement({ sku }, "n", 1))`. */
export const typeormBarrier = (source: DataSource, options: SqlBarrierOptions = {}) =>
  sqlBarrier<EntityManager>(
    {
      database: "mysql",
      transaction: (work) => source.transaction(work),
      statements: (tx) => ({
        async exec(sql, params) {
          const { affectedRows = 0 } = await tx.query<{ affectedRows?: number }>(sql, [...params]);
          return { affected: affectedRows };
        },
        query: (sql, params) => tx.query<Record<string, unknown>[]>(sql, [...params]),
      }),
    },
    options,
  );
