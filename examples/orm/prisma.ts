// The barrier in transactions of Prisma on Postgres.
import { type SqlBarrierOptions, sqlBarrier } from "tandem/barrier/sql";

/** What is used of a generated client's transactions. */
interface RawStatements {
  $executeRawUnsafe(sql: string, ...params: unknown[]): Promise<number>;
  $queryRawUnsafe<T>(sql: string, ...params: unknown[]): Promise<T>;
}

/** Postgres numbers its parameters. */
const numbered = (sql: string): string => {
  let count = 0;
  return sql.replace(/\?/g, () => `$${++count}`);
};

/** The same error with the database's own code, by which the barrier knows a lock from a missing table. */
const coded = (error: unknown): never => {
  const { meta } = error as { meta?: { code?: string; driverAdapterError?: { cause?: { originalCode?: string } } } };
  const code = meta?.driverAdapterError?.cause?.originalCode ?? meta?.code;
  throw Object.assign(new Error("Prisma's statement failed", { cause: error }), code === undefined ? {} : { code });
};

/** `guard.run(request, (tx) => tx.stock.update({ where: { sku }, data: { n: { decrement: 1 } } }))`. */
export const prismaBarrier = <Tx extends RawStatements>(
  db: { $transaction<T>(work: (tx: Tx) => Promise<T>, options?: { timeout?: number }): Promise<T> },
  options: SqlBarrierOptions = {},
) =>
  sqlBarrier<Tx>(
    {
      database: "postgres",
      transaction: (work) => db.$transaction(work, { timeout: 10_000 }),
      statements: (tx) => ({
        exec: async (sql, params) => ({
          affected: await tx.$executeRawUnsafe(numbered(sql), ...params).catch(coded),
        }),
        query: (sql, params) => tx.$queryRawUnsafe<Record<string, unknown>[]>(numbered(sql), ...params).catch(coded),
      }),
    },
    options,
  );
