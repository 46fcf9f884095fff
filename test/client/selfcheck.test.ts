// What a service learns about its own settings when it starts, instead of after its first crash.

import { createServer } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { memoryBarrier } from "../../src/client/barrier/memory.js";
import { checkBack, createClient, type Endpoint, route } from "../../src/client/index.js";
import { tandemRoutes } from "../../src/client/participant/express.js";
import { type Embedded, startEmbedded } from "../../src/embedded/embedded.js";
import { listen, stop } from "./e2e/service.js";

const db = memoryBarrier();
const routes = [
  checkBack("/check", db),
  route("/yes", () => {}),
  route("/broken", () => {
    throw new Error("no such table");
  }),
];

describe("a client that checks itself", () => {
  const http = createServer(tandemRoutes(routes, { onError: () => {} }));
  let coordinator: Embedded;
  let url = "";
  beforeAll(async () => {
    coordinator = await startEmbedded({ store: "memory:" });
    url = await listen(http);
  });
  afterAll(async () => {
    await stop(http);
    await coordinator.close(100);
  });

  const check = (checkBackUrl?: string, ...further: readonly (Endpoint | string)[]) =>
    createClient({ endpoints: [coordinator.endpoint, ...further], checkBackUrl, callTimeout: "2s" }).selfCheck();

  it("is content with a coordinator that answers and a check-back that says no of what never was", async () => {
    await check();
    await check(`${url}/check`);
    expect([...db.rows.values()]).toMatchObject([{ op: "msg", reason: "rollback" }]);
  });

  it.each([
    ["/yes", /says that a message was committed which never was: serve checkBack/],
    ["/broken", /does not work: .*500.*no such table/],
    ["/nowhere", /does not work: .*404/],
  ])("finds the check-back at %s", async (path, problem) => {
    const checked = check(url + path);
    await expect(checked).rejects.toMatchObject({ code: "DTX_UNREACHABLE", message: expect.stringMatching(problem) });
  });

  it("names every address that is wrong, although another one would do", async () => {
    const checked = check("http://127.0.0.1:9/check", "http://127.0.0.1:9", url);
    await expect(checked).rejects.toMatchObject({
      message: expect.stringMatching(
        /no coordinator answered at http:\/\/127.0.0.1:9.*answered 404, not as a coordinator.*check-back at/,
      ),
      hint: expect.stringContaining("createClient"),
    });
  });
});
