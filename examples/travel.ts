// A journey by two services: flights in TypeScript, a hotel in Python (examples/python/hotel.py). Needs python3.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { fastify } from "fastify";
import { memoryBarrier } from "tandem/barrier/memory";
import { createClient, defineStep } from "tandem/client";
import { startEmbedded } from "tandem/embedded";
import { tandemRoutes } from "tandem/fastify";

const script = fileURLToPath(new URL("python/hotel.py", import.meta.url));
const python = spawn("python3", [script], { stdio: ["ignore", "pipe", "inherit"] });
const [hotelUrl] = await once(createInterface(python.stdout), "line");
const hotel = { action: `${hotelUrl}/book`, compensate: `${hotelUrl}/book/compensate` };
const rooms = async () => ((await (await fetch(`${hotelUrl}/rooms`)).json()) as { readonly free: number }).free;

const db = memoryBarrier();
const flight = defineStep({
  path: "/flight",
  guard: db,
  action: (tx, seats: number) => tx.update("seats sold", (sold) => Number(sold ?? 0) + seats),
  compensate: (tx, seats) => tx.update("seats sold", (sold) => Number(sold) - seats),
});
const app = fastify();
await app.register(tandemRoutes(flight.routes));
const url = await app.listen({ port: 0, host: "127.0.0.1" });
await using coordinator = await startEmbedded({ store: "memory:", retryIntervalSeconds: 1 });
await using client = createClient({ endpoints: [coordinator.endpoint] });

for (const traveller of ["Ada", "Bob"]) {
  const journey = client.saga({ wait: "10s" }).step(flight.at(url), 1).step(hotel);
  const { status } = await journey.submit();
  console.log(`${traveller}: ${status}, ${db.values.get("seats sold")} seats sold, ${await rooms()} rooms free`);

  // A call may come twice, for its answer may be lost: the hotel's barrier makes nothing of it.
  const repeat = `gid=${journey.gid}&trans_type=saga&branch_id=02&op=compensate`;
  if (status === "failed") await fetch(`${hotel.compensate}?${repeat}`, { method: "POST" });
}
console.log(`in the end: ${await rooms()} rooms free`);
await app.close();
python.kill();
