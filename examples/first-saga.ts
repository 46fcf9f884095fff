// The newcomer's example: a service and a coordinator in one process; one saga succeeds and one is undone.
import { fastify } from "fastify";
import { memoryBarrier } from "tandem/barrier/memory";
import { createClient, defineStep, Failure } from "tandem/client";
import { startEmbedded } from "tandem/embedded";
import { tandemRoutes } from "tandem/fastify";

const db = memoryBarrier(); // with MySQL: mysqlBarrier(pool)
await db.transaction((tx) => tx.update("book", () => 5));

const reserve = defineStep({
  path: "/reserve",
  guard: db,
  action: (tx, order: { count: number }) =>
    tx.update("book", (left) => {
      if (Number(left) < order.count) throw new Failure(`only ${left} left`);
      return Number(left) - order.count;
    }),
  compensate: (tx, order) => tx.update("book", (left) => Number(left) + order.count),
});
const pay = defineStep({
  path: "/pay",
  guard: db,
  action: async (_tx, bill: { euro: number }) => {
    if (bill.euro > 100) throw new Failure("card refused");
  },
  compensate: async () => {},
});

const app = fastify();
await app.register(tandemRoutes([...reserve.routes, ...pay.routes]));
const url = await app.listen({ port: 0, host: "127.0.0.1" });

await using coordinator = await startEmbedded({ store: "memory:" }); // or endpoints: ["http://127.0.0.1:36789"]
await using client = createClient({ endpoints: [coordinator.endpoint] });
for (const euro of [30, 300]) {
  const saga = client.saga({ wait: "5s" }).step(reserve.at(url), { count: 2 }).step(pay.at(url), { euro });
  console.log(await saga.submit(), "books left:", db.values.get("book"));
}
await app.close();
