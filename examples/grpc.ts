// A bank that is a gRPC service, and a client that speaks gRPC to the coordinator and, in a tcc, to the bank.
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { memoryBarrier } from "tandem/barrier/memory";
import { createClient, defineStep, defineTccStep, Failure } from "tandem/client";
import { startEmbedded } from "tandem/embedded";
import { addRoutes, grpcCalls } from "tandem/grpc";

const db = memoryBarrier();
await db.transaction((tx) => tx.update("ada", () => 50));

interface Transfer {
  readonly account: string;
  readonly euro: number;
}
const pay = defineStep({
  path: "/Pay",
  guard: db,
  action: (tx, { account, euro }: Transfer) =>
    tx.update(account, (has) => {
      if (Number(has ?? 0) + euro < 0) throw new Failure(`${account} has only ${has}`);
      return Number(has ?? 0) + euro;
    }),
  compensate: (tx, { account, euro }) => tx.update(account, (has) => Number(has) - euro),
});
const hold = defineTccStep({
  path: "/Hold",
  guard: db,
  try: async (tx, { account, euro }: Transfer) => {
    await tx.update(account, (has) => Number(has) - euro);
    return { left: Number(tx.get(account)) };
  },
  confirm: async () => {},
  cancel: (tx, { account, euro }) => tx.update(account, (has) => Number(has) + euro),
});

const server = new Server();
addRoutes(server, "bank.Bank", [...pay.routes, ...hold.routes]);
const port = await new Promise<number>((resolve, reject) =>
  server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
    error === null ? resolve(bound) : reject(error),
  ),
);
const bank = `grpc://127.0.0.1:${port}/bank.Bank`;

// With a server: endpoints: [grpcEndpoint("127.0.0.1:36790")]
await using coordinator = await startEmbedded({ store: "memory:" });
await using client = createClient({ endpoints: [coordinator.endpoint], participants: [grpcCalls()] });

for (const euro of [20, 200]) {
  const saga = client
    .saga({ wait: "10s" })
    .step(pay.at(bank), { account: "bob", euro })
    .step(pay.at(bank), { account: "ada", euro: -euro });
  const { status } = await saga.submit();
  console.log(`${euro} euro: ${status}, ada ${db.values.get("ada")}, bob ${db.values.get("bob")}`);
}
const { left } = await client.tcc((t) => t.call(hold.at(bank), { account: "ada", euro: 5 }));
console.log(`held 5, ${left} left`);
server.forceShutdown();
