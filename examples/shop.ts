// Order, stock and payment on MySQL: the same deed as a saga, a tcc, a message and a workflow. Needs MYSQL_URL.
import { fastify } from "fastify";
import { createPool, type ResultSetHeader, type RowDataPacket } from "mysql2/promise";
import { mysqlBarrier } from "tandem/barrier/mysql2";
import {
  checkBack,
  createClient,
  defineReceiver,
  defineStep,
  defineTccStep,
  Failure,
  type Route,
  workflow,
} from "tandem/client";
import { startEmbedded } from "tandem/embedded";
import { tandemRoutes } from "tandem/fastify";

interface Order {
  readonly sku: string;
  readonly count: number;
  readonly euro: number;
}

const pool = createPool(process.env.MYSQL_URL ?? "mysql://root@127.0.0.1:3306/shop");
const guard = mysqlBarrier(pool, { table: "barrier" });
await guard.migrate();
await pool.query("create table stock (sku varchar(40) primary key, free int not null, held int not null)");
await pool.query("create table wallet (id int primary key, euro int not null)");
await pool.query("insert into stock values ('book', 10, 0)");
await pool.query("insert into wallet values (1, 100)");

type Sql = Parameters<Parameters<typeof guard.transaction>[0]>[0];

/** Runs an update that must hit a row: none means that the goods or the money are not there. */
async function must(tx: Sql, refusal: string, sql: string, values: readonly (string | number)[]): Promise<void> {
  const [result] = await tx.execute<ResultSetHeader>(sql, [...values]);
  if (result.affectedRows === 0) throw new Failure(refusal);
}

const take = (tx: Sql, { sku, count }: Order) =>
  must(tx, "sold out", "update stock set free = free - ? where sku = ? and free >= ?", [count, sku, count]);
const putBack = (tx: Sql, { sku, count }: Order) =>
  must(tx, "", "update stock set free = free + ? where sku = ?", [count, sku]);
const charge = (tx: Sql, { euro }: Order) =>
  must(tx, "no money", "update wallet set euro = euro - ? where id = 1 and euro >= ?", [euro, euro]);
const refund = (tx: Sql, { euro }: Order) => must(tx, "", "update wallet set euro = euro + ? where id = 1", [euro]);

const stock = defineStep({ path: "/stock", guard, action: take, compensate: putBack });
const payment = defineStep({ path: "/payment", guard, action: charge, compensate: refund });
const hold = defineTccStep({
  path: "/hold",
  guard,
  try: (tx, { sku, count }: Order) =>
    must(tx, "sold out", "update stock set free = free - ?, held = held + ? where sku = ? and free >= ?", [
      count,
      count,
      sku,
      count,
    ]),
  confirm: (tx, { sku, count }) => must(tx, "", "update stock set held = held - ? where sku = ?", [count, sku]),
  cancel: (tx, { sku, count }) =>
    must(tx, "", "update stock set free = free + ?, held = held - ? where sku = ?", [count, count, sku]),
});
const holdMoney = defineTccStep({ path: "/money", guard, try: charge, confirm: async () => {}, cancel: refund });
const ship = defineReceiver({ path: "/ship", guard, receive: take });

const callback: Route = { path: "/workflow", handle: (incoming) => flows.route.handle(incoming) };
const steps = [stock, payment, hold, holdMoney, ship].flatMap((step) => step.routes);
const app = fastify();
await app.register(tandemRoutes([...steps, checkBack("/check", guard), callback]));
const url = await app.listen({ port: 0, host: "127.0.0.1" });

await using coordinator = await startEmbedded({ store: "memory:", retryIntervalSeconds: 1 });
await using client = createClient({ endpoints: [coordinator.endpoint], checkBackUrl: `${url}/check` });

const buy = workflow("buy", async (flow, order: Order) => {
  await flow.step("stock", {
    run: (scope) => scope.call(stock.at(url).action, order),
    rollback: (scope) => scope.call(stock.at(url).compensate, order),
  });
  await flow.tx("payment", guard, { run: (tx) => charge(tx, order), rollback: (tx) => refund(tx, order) });
});
const flows = client.workflows([buy], { callbackUrl: `${url}/workflow` });

const ways: Readonly<Record<string, (order: Order) => Promise<unknown>>> = {
  saga: (order) => client.saga({ wait: "10s" }).step(stock.at(url), order).step(payment.at(url), order).submit(),
  tcc: (order) =>
    client.tcc({ wait: "10s" }, async (t) => {
      await t.call(hold.at(url), order);
      await t.call(holdMoney.at(url), order);
    }),
  message: (order) =>
    client
      .msg({ wait: "10s" })
      .to(ship.at(url), order)
      .commitWith(guard, (tx) => charge(tx, order)),
  workflow: (order) => flows.execute(buy, {}, order),
};

/** A refused tcc is cancelled by the coordinator after the initiator was told; so the books are awaited. */
async function books(settled: string): Promise<string> {
  for (let look = 0; ; look++) {
    const [rows] = await pool.query<RowDataPacket[]>("select free, held, euro from stock, wallet");
    const text = `${rows[0]?.free} free, ${rows[0]?.held} held, ${rows[0]?.euro} euro`;
    if (text === settled || look === 200) return text;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

let [free, euro] = [10, 100];
for (const [name, way] of Object.entries(ways)) {
  await way({ sku: "book", count: 1, euro: 10 });
  free -= 1;
  euro -= 10;
  console.log(`${name}: bought; ${await books(`${free} free, 0 held, ${euro} euro`)}`);
  await way({ sku: "book", count: 1, euro: 1_000 }).catch(() => {});
  console.log(`${name}: refused; ${await books(`${free} free, 0 held, ${euro} euro`)}`);
}
await app.close();
await pool.end();
