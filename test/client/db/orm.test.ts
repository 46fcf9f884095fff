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
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { drizzleBarrier } from "../../../examples/orm/drizzle.js";
import { knexBarrier } from "../../../examples/orm/knex.js";
import { kyselyBarrier } from "../../../examples/orm/kysely.js";
import { typeormBarrier } from "../../../examples/orm/typeorm.js";
import { mysqlBarrier } from "../../../src/client/barrier/mysql2.js";
import { postgresBarrier } from "../../../src/client/barrier/pg.js";
import type { SqlBarrierOptions } from "../../../src/client/barrier/sql.js";
import { Delivery, Failure, type Guard, isOngoing } from "../../../src/client/index.js";
import { available, type Database, makeDatabase, type Server, startMariadb, startPostgres } from "../../servers.js";

interface Stock {
  readonly sku: string;
  readonly n: number;
}

/** A library with business code of its own. */
interface Library<Tx> {
  guard(options: SqlBarrierOptions): Guard<Tx>;
  /** Takes `n` of the stock. */
  take(tx: Tx, n: number): Promise<unknown>;
}

/** How many are left, asked outside of the library. */
type Left = () => Promise<number>;

let count = 0;
const gid = () => `orm-${process.pid}-${count++}`;
const delivery = (id: string, op: string) => new Delivery({ gid: id, transType: "saga", branchId: "01", op });

/** A promise with its resolver. */
function gate(): { readonly promise: Promise<void>; resolve(): void } {
  let resolve = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve: () => resolve() };
}

/** What is at stake with any library: the truth table, and that its errors are still understood. */
function rules<Tx>(open: () => Library<Tx>, left: Left): void {
  const table = "barrier";

  it("runs an action once, its repeat never, its compensation once", async () => {
    const { guard, take } = open();
    const [id, before] = [gid(), await left()];
    const act = (op: string, n: number) => guard({ table }).run(delivery(id, op), (tx) => take(tx, n));
    expect((await act("action", 2)).kind).toBe("executed");
    expect((await act("action", 2)).kind).toBe("duplicate");
    expect(await left()).toBe(before - 2);
    expect((await act("compensate", -2)).kind).toBe("executed");
    expect((await act("compensate", -2)).kind).toBe("duplicate");
    expect(await left()).toBe(before);
  });

  it("suspends an action whose compensation came first", async () => {
    const { guard, take } = open();
    const [id, before] = [gid(), await left()];
    const act = (op: string, n: number) => guard({ table }).run(delivery(id, op), (tx) => take(tx, n));
    expect((await act("compensate", -2)).kind).toBe("null-compensation");
    expect((await act("action", 2)).kind).toBe("suspended");
    expect(await left()).toBe(before);
  });

  it("undoes the barrier's row with the business that failed, and so runs the next delivery", async () => {
    const { guard, take } = open();
    const [id, before] = [gid(), await left()];
    const refused = guard({ table }).run(delivery(id, "action"), async (tx) => {
      await take(tx, 1);
      throw new Failure("sold out");
    });
    await expect(refused).rejects.toThrow("sold out");
    expect(await left()).toBe(before);
    expect((await guard({ table }).run(delivery(id, "action"), (tx) => take(tx, 1))).kind).toBe("executed");
    expect(await left()).toBe(before - 1);
  });

  it("remembers what the first delivery gave", async () => {
    const guard = open().guard({ table, remember: true });
    const one = delivery(gid(), "action");
    await guard.run(one, async () => ({ receipt: 5 }));
    const again = await guard.run(new Delivery(one.branch), async () => ({ receipt: 6 }));
    expect(again).toEqual({ kind: "duplicate", value: { receipt: 5 } });
  });

  it("understands through the library's errors that another delivery is still at work", async () => {
    const guard = open().guard({ table, lockTimeout: "1s" });
    const [id, started, held] = [gid(), gate(), gate()];
    const slow = guard.run(delivery(id, "action"), async () => {
      started.resolve();
      await held.promise;
    });
    await started.promise;
    const impatient = guard.run(delivery(id, "compensate"), async () => {});
    await expect(impatient.catch((error: unknown) => isOngoing(error))).resolves.toBe(true);
    held.resolve();
    expect((await slow).kind).toBe("executed");
  });

  it("names a missing table and the way out through the library's errors", async () => {
    const lost = open().guard({ table: "nowhere" });
    await expect(lost.run(delivery(gid(), "action"), async () => {})).rejects.toMatchObject({
      ...{ code: "DTX_BARRIER", message: expect.stringContaining("nowhere"), hint: expect.stringContaining("migrate") },
    });
  });
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
    rules(
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
    rules(
      () => ({
        guard: (options) => knexBarrier(builder, options),
        take: (tx, n) => tx("stock").where({ sku: "a" }).decrement("n", n),
      }),
      left,
    ));

  describe("typeorm", () =>
    rules(
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
    rules(
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
