// The barrier in transactions of Prisma on a real Postgres, where `npm run test:prisma` has generated a client.

import { join } from "node:path";
import { Pool } from "pg";
import { afterAll, beforeAll, describe } from "vitest";
import { prismaBarrier } from "../../../examples/orm/prisma.js";
import { postgresBarrier } from "../../../src/client/barrier/pg.js";
import { available, type Server, startPostgres } from "../../servers.js";
import { libraryConformance } from "../barrier/library.js";

const folder = process.env.TANDEM_TEST_PRISMA;
if (folder === undefined) process.stderr.write("SKIPPED: the barrier with Prisma; run npm run test:prisma\n");

/** What is used of the generated client's transaction; `main.ts` has the compiler look at the real one. */
interface Transaction {
  readonly stock: { update(change: object): Promise<unknown> };
  $executeRawUnsafe(sql: string, ...params: unknown[]): Promise<number>;
  $queryRawUnsafe<T>(sql: string, ...params: unknown[]): Promise<T>;
}

interface Client {
  $transaction<T>(work: (tx: Transaction) => Promise<T>, options?: object): Promise<T>;
  $disconnect(): Promise<void>;
}

describe.runIf(folder !== undefined && (await available("postgres")))("the barrier on Postgres with Prisma", () => {
  let server: Server;
  let pool: Pool;
  let db: Client;

  beforeAll(async () => {
    server = await startPostgres();
    pool = new Pool({ connectionString: server.url });
    await postgresBarrier(pool, { table: "barrier", remember: true }).migrate();
    await pool.query("create table stock (sku varchar(40) primary key, n int not null)");
    await pool.query("insert into stock values ('a', 100)");
    const { PrismaClient } = await import(join(folder!, "generated/client.ts"));
    const { PrismaPg } = await import(join(folder!, "node_modules/@prisma/adapter-pg/dist/index.mjs"));
    db = new PrismaClient({ adapter: new PrismaPg({ connectionString: server.url }) }) as Client;
  });
  afterAll(async () => {
    await db?.$disconnect();
    await pool?.end();
    await server?.stop();
  });

  libraryConformance(
    () => ({
      guard: (options) => prismaBarrier<Transaction>(db, options),
      take: (tx, n) => tx.stock.update({ where: { sku: "a" }, data: { n: { decrement: n } } }),
    }),
    async () => Number((await pool.query<{ n: number }>("select n from stock where sku = 'a'")).rows[0]?.n),
  );
});
