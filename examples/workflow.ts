// A workflow: the second step needs what the first one gave, and a refusal undoes it. Needs nothing but this package.
import { fastify } from "fastify";
import { memoryBarrier } from "tandem/barrier/memory";
import { createClient, defineStep, Failure, type Route, workflow } from "tandem/client";
import { startEmbedded } from "tandem/embedded";
import { tandemRoutes } from "tandem/fastify";

const hotel = memoryBarrier(); // with MySQL: mysqlBarrier(pool)
const bank = memoryBarrier();
await hotel.transaction((tx) => tx.update("rooms", () => 5));
await bank.transaction((tx) => tx.update("ada", () => 200));

const book = defineStep({
  path: "/book",
  guard: hotel,
  action: async (tx, { nights }: { nights: number }) => {
    await tx.update("rooms", (left) => Number(left) - 1);
    return { price: 80 * nights };
  },
  compensate: (tx) => tx.update("rooms", (left) => Number(left) + 1),
});
const callback: Route = { path: "/workflow", handle: (incoming) => flows.route.handle(incoming) };
const app = fastify();
await app.register(tandemRoutes([...book.routes, callback]));
const url = await app.listen({ port: 0, host: "127.0.0.1" });
await using coordinator = await startEmbedded({ store: "memory:", retryIntervalSeconds: 1 });
await using client = createClient({ endpoints: [coordinator.endpoint] });

const { action, compensate } = book.at(url);
const travel = workflow("travel", async (flow, stay: { nights: number }) => {
  const { price } = await flow.step("book", {
    run: (scope) => scope.call<{ price: number }>(action, stay),
    rollback: (scope) => scope.call(compensate, stay),
  });
  await flow.tx("pay", bank, {
    run: (tx) =>
      tx.update("ada", (has) => {
        if (Number(has) < price) throw new Failure(`${price} euro are too much`);
        return Number(has) - price;
      }),
  });
  return price;
});
const flows = client.workflows([travel], { callbackUrl: `${url}/workflow` });

for (const nights of [2, 3]) {
  const end = await flows.execute(travel, {}, { nights }).then(
    (price) => `paid ${price}`,
    (error: Error) => `refused, ${error.message}`,
  );
  console.log(`${nights} nights: ${end}; rooms ${hotel.values.get("rooms")}, ada ${bank.values.get("ada")}`);
}
await flows.close();
await app.close();
