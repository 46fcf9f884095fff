// Stock and payment as services on NATS subjects, without a port of their own. Needs NATS_URL.
import { connect } from "nats";
import { memoryBarrier } from "tandem/barrier/memory";
import { createClient, defineStep, defineTccStep, Failure } from "tandem/client";
import { startEmbedded } from "tandem/embedded";
import { natsCalls, serveRoutes } from "tandem/nats";

const nats = await connect({ servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222" });
await using _end = { [Symbol.asyncDispose]: () => nats.drain() }; // after everything that uses it

const stockDb = memoryBarrier();
await stockDb.transaction((tx) => tx.update("book", () => 5));
const take = defineStep({
  path: "/take",
  guard: stockDb,
  action: (tx, order: { count: number }) =>
    tx.update("book", (left) => {
      if (Number(left) < order.count) throw new Failure(`only ${left} left`);
      return Number(left) - order.count;
    }),
  compensate: (tx, order) => tx.update("book", (left) => Number(left) + order.count),
});

const bankDb = memoryBarrier();
await bankDb.transaction((tx) => tx.update("ada", () => 100));
const pay = (tx: Parameters<Parameters<typeof bankDb.transaction>[0]>[0], euro: number) =>
  tx.update("ada", (has) => {
    if (Number(has) < euro) throw new Failure(`ada has only ${has} euro`);
    return Number(has) - euro;
  });
const charge = defineStep({
  path: "/charge",
  guard: bankDb,
  action: (tx, bill: { euro: number }) => pay(tx, bill.euro),
  compensate: (tx, bill) => pay(tx, -bill.euro),
});
const hold = defineTccStep({
  path: "/hold",
  guard: bankDb,
  try: async (tx, bill: { euro: number }) => {
    await pay(tx, bill.euro);
    return { left: Number(tx.get("ada")) };
  },
  confirm: async () => {},
  cancel: (tx, bill) => pay(tx, -bill.euro),
});

// Each could be many processes: those that serve one subject share the work.
await using _stock = await serveRoutes(nats, "shop.stock", take.routes);
await using _bank = await serveRoutes(nats, "shop.bank", [...charge.routes, ...hold.routes]);

// With a cluster: endpoints: [natsEndpoint(nats)]
await using coordinator = await startEmbedded({ store: "memory:", retryIntervalSeconds: 1, nats });
await using client = createClient({ endpoints: [coordinator.endpoint], participants: [natsCalls(nats)] });

for (const euro of [30, 300]) {
  const saga = client
    .saga({ wait: "10s" })
    .step(take.at("nats://shop.stock"), { count: 2 })
    .step(charge.at("nats://shop.bank"), { euro });
  const { status } = await saga.submit();
  console.log(`${euro} euro: ${status}, ${stockDb.values.get("book")} books left, ada ${bankDb.values.get("ada")}`);
}
const { left } = await client.tcc((t) => t.call(hold.at("nats://shop.bank"), { euro: 5 }));
console.log(`held 5, ${left} left`);
