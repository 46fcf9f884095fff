// XA: 30 euro from one database to another, both or neither, and never seen in between. Needs MYSQL_URL.
import { fastify } from "fastify";
import { createPool, type ResultSetHeader, type RowDataPacket } from "mysql2/promise";
import { mysqlBarrier } from "tandem/barrier/mysql2";
import { createClient, Failure } from "tandem/client";
import { startEmbedded } from "tandem/embedded";
import { tandemRoutes } from "tandem/fastify";
import { xaRoute } from "tandem/xa";
import { mysqlXa } from "tandem/xa/mysql2";

const mysqlUrl = process.env.MYSQL_URL ?? "mysql://root@127.0.0.1:3306/shop";
const [bank, shop] = [createPool(mysqlUrl), createPool(mysqlUrl)]; // in life, two servers
for (const [pool, table] of [
  [bank, "account"],
  [shop, "till"],
] as const) {
  await mysqlBarrier(pool, { table: "barrier" }).migrate();
  await pool.query(`create table ${table} (name varchar(40) primary key, euro int not null)`);
}
await bank.query("insert into account values ('ada', 100)");
await shop.query("insert into till values ('books', 0)");

await using coordinator = await startEmbedded({ store: "memory:", retryIntervalSeconds: 1 });
await using client = createClient({ endpoints: [coordinator.endpoint] });
const routes = [
  xaRoute("/take", { database: mysqlXa(bank, { table: "barrier" }), client }, async (tx, payload) => {
    const { euro } = payload as { readonly euro: number };
    const update = "update account set euro = euro - ? where name = 'ada' and euro >= ?";
    const [{ affectedRows }] = await tx.execute<ResultSetHeader>(update, [euro, euro]);
    if (affectedRows === 0) throw new Failure("not enough money");
  }),
  xaRoute("/give", { database: mysqlXa(shop, { table: "barrier" }), client }, async (tx, payload) => {
    const { euro } = payload as { readonly euro: number };
    await tx.execute("update till set euro = euro + ? where name = 'books'", [euro]);
  }),
];
const app = fastify();
await app.register(tandemRoutes(routes));
const url = await app.listen({ port: 0, host: "127.0.0.1" });

for (const euro of [30, 300]) {
  const gid = `payment-of-${euro}`;
  const paid = client.xa({ gid, wait: "10s" }, async (xa) => {
    await xa.call(`${url}/give`, { euro });
    await xa.call(`${url}/take`, { euro }); // refuses 300: what /give prepared is rolled back
  });
  const end = await paid.then(
    () => "paid",
    () => "refused",
  );
  while ((await client.query(gid))?.status === "pending") await new Promise((resolve) => setTimeout(resolve, 50));
  const [rows] = await bank.query<RowDataPacket[]>("select account.euro as ada, till.euro as books from account, till");
  console.log(`${euro} euro: ${end}, ada ${rows[0]?.ada}, books ${rows[0]?.books}`);
}
await app.close();
await Promise.all([bank.end(), shop.end()]);
