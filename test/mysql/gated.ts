// The set-up of suites about what goes wrong on the way to the database: one server and database, and for each test an
// empty store behind a proxy of its own, which can lose and cut.
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import type { Place } from "../conformance/store.js";
import { Teller } from "../conformance/story.js";
import type { Server } from "../servers.js";
import { clear, type Ground, makeGround, openPlace, type Shards } from "./database.js";
import { type Gate, startProxy } from "./proxy.js";

/** Of the test that runs. `ground` looks into the database past the proxy. */
export interface Gated {
  readonly ground: Ground;
  readonly proxy: Gate;
  readonly place: Place & { readonly shards: Shards };
  readonly teller: Teller;
}

/** Call it in a `describe`; what it returns is filled before each test. */
export function gatedStore(start: () => Promise<Server>): Gated {
  const at = {} as { -readonly [name in keyof Gated]: Gated[name] };
  let server: Server;
  beforeAll(async () => {
    server = await start();
    at.ground = await makeGround(server);
  });
  afterAll(async () => {
    await at.ground.drop();
    await server.stop();
  });
  beforeEach(async () => {
    await clear(at.ground);
    at.proxy = await startProxy(at.ground.url);
    at.place = await openPlace(at.ground, { url: at.proxy.url, timeoutMs: 4_000 });
    at.teller = new Teller((shard) => at.place.shards.epochOf(shard));
  });
  afterEach(async () => {
    at.proxy.mode = "pass";
    await at.place.dispose();
    await at.proxy.close();
  });
  return at;
}
