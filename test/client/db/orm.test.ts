// The barrier in transactions that a query builder owns, as docs/client/orm.md shows it, on a real MariaDB.

import knex, { type Knex } from "knex";
import { CompiledQuery, Kysely, MysqlDialect, type Transaction } from "kysely";
import { createPool as createCallbackPool } from "mysql2";
import { createPool, type Pool, type RowDataPacket } from "mysql2/promise";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mysqlBarrier } from "../../../src/client/barrier/mysql2.js";
import { type SqlLibrary, sqlBarrier } from "../../../src/client/barrier/sql.js";
import { Delivery, Failure, type Guard } from "../../../src/client/index.js";
import { available, type Database, makeDatabase, type Server, startMariadb } from "../../servers.js";

interface Tables {
  readonly stock: { readonly sku: string; readonly n: number };
}

const kyselyLibrary = (db: Kysely<Tables>): SqlLibrary<Transaction<Tables>> => ({
  database: "mysql",
  transaction: (work) => db.transaction().execute(work),
  statements: (tx) => ({
    async exec(sql, params) {
      const { numAffectedRows } = await tx.executeQuery(CompiledQuery.raw(sql, [...params]));
      return { affected: Number(numAffectedRows ?? 0) };
    },
    query: async (sql, params) =>
      (await tx.executeQuery<Record<string, unknown>>(CompiledQuery.raw(sql, [...params]))).rows,
  }),
});

const knexLibrary = (db: Knex): SqlLibrary<Knex.Transaction> => ({
  database: "mysql",
  transaction: (work) => db.transaction(work),
  statements: (tx) => ({
    async exec(sql, params) {
      const [{ affectedRows = 0 }] = (await tx.raw(sql, params as string[])) as [{ affectedRows?: number }];
      return { affected: affectedRows };
    },
    async query(sql, params) {
      const [rows] = (await tx.raw(sql, params as string[])) as [readonly Record<string, unknown>[]];
      return rows;
    },
  }),
});

let count = 0;
const gid = () => `orm-${process.pid}-${count++}`;
const delivery = (id: string, op: string) => new Delivery({ gid: id, transType: "saga", branchId: "01", op });

/** The whole truth table of one branch with business code of the library's own. */
function rules<Tx>(open: () => { guard: Guard<Tx>; take: (tx: Tx, n: number) => Promise<unknown> }, left: Left): void {
  it("runs an action once, its repeat never, its compensation once", async () => {
    const { guard, take } = open();
    const [id, before] = [gid(), await left()];
    const act = (op: string, n: number) => guard.run(delivery(id, op), (tx) => take(tx, n));
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
    expect((await guard.run(delivery(id, "compensate"), (tx) => take(tx, -2))).kind).toBe("null-compensation");
    expect((await guard.run(delivery(id, "action"), (tx) => take(tx, 2))).kind).toBe("suspended");
    expect(await left()).toBe(before);
  });

  it("undoes the barrier's row with the business that failed, and so runs the next delivery", async () => {
    const { guard, take } = open();
    const [id, before] = [gid(), await left()];
    const refused = guard.run(delivery(id, "action"), async (tx) => {
      await take(tx, 1);
      throw new Failure("sold out");
    });
    await expect(refused).rejects.toThrow("sold out");
    expect(await left()).toBe(before);
    expect((await guard.run(delivery(id, "action"), (tx) => take(tx, 1))).kind).toBe("executed");
    expect(await left()).toBe(before - 1);
  });
}

type Left = () => Promise<number>;

describe.runIf(await available("mysql"))("the barrier in transactions of", () => {
  let server: Server;
  let database: Database;
  let pool: Pool;
  let kysely: Kysely<Tables>;
  let builder: Knex;
  const left: Left = async () => {
    const [rows] = await pool.query<RowDataPacket[]>("select n from stock where sku = 'a'");
    return Number(rows[0]?.n);
  };

  beforeAll(async () => {
    server = await startMariadb();
    database = await makeDatabase(server);
    pool = createPool(database.url);
    await mysqlBarrier(pool, { table: "barrier" }).migrate();
    await pool.query("create table stock (sku varchar(40) primary key, n int not null)");
    await pool.query("insert into stock values ('a', 100)");
    kysely = new Kysely({ dialect: new MysqlDialect({ pool: createCallbackPool(database.url) }) });
    builder = knex({ client: "mysql2", connection: database.url });
  });
  afterAll(async () => {
    await kysely?.destroy();
    await builder?.destroy();
    await pool?.end();
    await database?.drop();
    await server?.stop();
  });

  describe("kysely", () =>
    rules(
      () => ({
        guard: sqlBarrier(kyselyLibrary(kysely), { table: "barrier" }),
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
        guard: sqlBarrier(knexLibrary(builder), { table: "barrier" }),
        take: (tx, n) => tx("stock").where({ sku: "a" }).decrement("n", n),
      }),
      left,
    ));
});
