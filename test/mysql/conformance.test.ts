// The shared store passes the suite of all stores on a real database.
import { afterAll, beforeAll, describe } from "vitest";
import { storeRules } from "../conformance/store.js";
import { available, type Server, startMariadb } from "../servers.js";
import { clear, type Ground, makeGround, openPlace } from "./database.js";

describe.runIf(await available("mysql"))("in a database", () => {
  let server: Server;
  let ground: Ground;

  beforeAll(async () => {
    server = await startMariadb();
    ground = await makeGround(server);
  });
  afterAll(async () => {
    await ground.drop();
    await server.stop();
  });

  storeRules({
    name: "mysql",
    keeps: true,
    fences: true,
    open: async () => {
      await clear(ground);
      return openPlace(ground);
    },
  });
});
