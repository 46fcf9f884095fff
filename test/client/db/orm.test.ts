// The barrier in transactions that a query builder or an ORM owns: the adapters of examples/orm, which
// docs/client/orm.md prints, on a real MariaDB and a real Postgres.

import { eq, sql } from "drizzle-orm";
import { drizzle, type NodePgDatabase } from "drizzle-orm/node-postgres";
import { integer, pgTable, varchar } from "drizzle-orm/pg-core";
import knex, { type Knex } from "knex";
import { Kysely, MysqlDialect } from "kysely";
import { createPool as createCallbackPool } from "mysql2";
import { createPool, type Pool, type RowDataPacket } from "mysql2/promise";
import { Pool as PgPool } from "pg";
import { DataSource, EntitySchema } from "typeorm";
import { afterAll, beforeAll, describe } from "vitest";
import { drizzleBarrier } from "../../../examples/orm/drizzle.js";
import { knexBarrier } from "../../../examples/orm/knex.js";
import { kyselyBarrier } from "../../../examples/orm/kysely.js";
import { typeormBarrier } from "../../../examples/orm/typeorm.js";
import { mysqlBarrier } from "../../../src/client/barrier/mysql2.js";
import { postgresBarrier } from "../../../src/client/barrier/pg.js";
import { available, type Database, makeDatabase, type Server, startMariadb, startPostgres } from "../../servers.js";
import { type Left, libraryConformance } from "../barrier/library.js";

interface Stock {
  readonly sku: string;
  readonly n: number;
}

describe.runIf(await available("mysql"))("the barrier on MariaDB in transactions of", () => {
  let server: Server;
  let database: Database;
  let pool: Pool;
  let kysely: Kysely<{ readonly stock: Stock }>;
  let builder: Knex;
  let source: DataSource;
  const entity = new EntitySchema<Stock>({
    name: "stock",
    columns: { sku: { type: "varchar", primary: true }, n: { type: "int" } },
  });
  const left: Left = async () => {
    const [rows] = await pool.query<RowDataPacket[]>("select n from stock where sku = 'a'");
    return Number(rows[0]?.n);
  };

  beforeAll(async () => {
    server = await startMariadb();
    database = await makeDatabase(server);
    pool = createPool(database.url);
    await mysqlBarrier(pool, { table: "barrier", remember: true }).migrate();
    await pool.query("create table stock (sku varchar(40) primary key, n int not null)");
    await pool.query("insert into stock values ('a', 100)");
    kysely = new Kysely({ dialect: new MysqlDialect({ pool: createCallbackPool(database.url) }) });
    builder = knex({ client: "mysql2", connection: database.url });
    source = await new DataSource({ type: "mysql", url: database.url, entities: [entity] }).initialize();
  });
  afterAll(async () => {
    await kysely?.destroy();
    await builder?.destroy();
    await source?.destroy();
    await pool?.end();
    await database?.drop();
    await server?.stop();
  });

  describe("kysely", () =>
    libraryConformance(
      () => ({
        guard: (options) => kyselyBarrier(kysely, options),
        take: (tx, n) =>
          tx
            .updateTable("stock")
            .set((column) => ({ n: column("n", "-", n) }))
            .where("sku", "=", "a")
            .execute(),
      }),
      left,
    ));

  describe("knex", () =>
    libraryConformance(
      () => ({
        guard: (options) => knexBarrier(builder, options),
        take: (tx, n) => tx("stock").where({ sku: "a" }).decrement("n", n),
      }),
      left,
    ));

  describe("typeorm", () =>
    libraryConformance(
      () => ({
        guard: (options) => typeormBarrier(source, options),
        take: (tx, n) => tx.getRepository(entity).decrement({ sku: "a" }, "n", n),
      }),
      left,
    ));
});

describe.runIf(await available("postgres"))("the barrier on Postgres in transactions of", () => {
  let server: Server;
  let pool: PgPool;
  let db: NodePgDatabase;
  const stock = pgTable("stock", { sku: varchar({ length: 40 }).primaryKey(), n: integer().notNull() });
  const left: Left = async () => {
    const { rows } = await pool.query<Stock>("select n from stock where sku = 'a'");
    return Number(rows[0]?.n);
  };

  beforeAll(async () => {
    server = await startPostgres();
    pool = new PgPool({ connectionString: server.url });
    await postgresBarrier(pool, { table: "barrier", remember: true }).migrate();
    await pool.query("create table stock (sku varchar(40) primary key, n int not null)");
    await pool.query("insert into stock values ('a', 100)");
    db = drizzle({ client: pool });
  });
  afterAll(async () => {
    await pool?.end();
    await server?.stop();
  });

  describe("drizzle", () =>
    libraryConformance(
      () => ({
        guard: (options) => drizzleBarrier(db, options),
        take: (tx, n) =>
          tx
            .update(stock)
            .set({ n: sql`${stock.n} - ${n}` })
            .where(eq(stock.sku, "a")),
      }),
      left,
    ));
});
