// The outbox: an order and its message in one transaction; a relay submits the message. Needs MYSQL_URL.
import { fastify } from "fastify";
import { createPool, type RowDataPacket } from "mysql2/promise";
import { mysqlBarrier, mysqlLibrary } from "tandem/barrier/mysql2";
import { createClient, defineReceiver } from "tandem/client";
import { startEmbedded } from "tandem/embedded";
import { tandemRoutes } from "tandem/fastify";
import { sqlOutbox } from "tandem/outbox";

const pool = createPool(process.env.MYSQL_URL ?? "mysql://root@127.0.0.1:3306/shop");
const guard = mysqlBarrier(pool, { table: "barrier" });
const outbox = sqlOutbox(mysqlLibrary(pool));
await guard.migrate();
await outbox.migrate();
await pool.query("create table orders (id int primary key)");
await pool.query("create table mails (order_id int)");

const mail = defineReceiver({
  path: "/mail",
  guard,
  receive: async (tx, order: { id: number }) => {
    await tx.execute("insert into mails values (?)", [order.id]);
  },
});
const app = fastify();
await app.register(tandemRoutes(mail.routes));
const url = await app.listen({ port: 0, host: "127.0.0.1" });
await using coordinator = await startEmbedded({ store: "memory:", retryIntervalSeconds: 1 });
await using client = createClient({ endpoints: [coordinator.endpoint] });
await using relay = outbox.start(client);

/** One transaction: the order, and the promise of its mail. */
const place = (id: number, fails = false) =>
  guard.transaction(async (tx) => {
    await tx.execute("insert into orders values (?)", [id]);
    await outbox.enqueue(tx, { to: mail.at(url), payload: { id }, key: `order ${id}` });
    if (fails) throw new Error("changed my mind");
  });

await place(1);
await place(2, true).catch((error: Error) => console.log(`order 2: ${error.message}`));
await place(3);
relay.wake();
for (let look = 0; look < 200; look++) {
  const [rows] = await pool.query<RowDataPacket[]>("select order_id as id from mails order by order_id");
  if (rows.length < 2) await new Promise((resolve) => setTimeout(resolve, 50));
  else {
    console.log(`mails for orders ${rows.map((row) => row.id).join(", ")}`);
    break;
  }
}
await app.close();
await relay.close();
await pool.end();
