/**
 * What a client is told that waits when the server stops: ONGOING only by whoever knows that its request is recorded.
 */
import { EventEmitter } from "node:events";
import { expect, it } from "vitest";
import { type Reply, refused } from "../../src/core/input.js";
import { Waits } from "../../src/gateway/http/waits.js";

const connection = () => new EventEmitter();

it("S1: a request that nobody has acknowledged when the server stops is not said to go on", async () => {
  const waits = new Waits();
  const reply = waits.until(connection(), () => new Promise<Reply>(() => {}));
  waits.close();
  expect(await reply).toMatchObject({ kind: "refused", code: "UNAVAILABLE", retryAfterS: 1 });
});

it("D1: one that is recorded says so itself as soon as it is not waited for any more", async () => {
  const waits = new Waits();
  const reply = waits.until(
    connection(),
    (signal) =>
      new Promise<Reply>((resolve) => {
        signal.addEventListener("abort", () => resolve(refused("ONGOING", "it goes on. ONGOING")));
      }),
  );
  waits.close();
  expect(await reply).toMatchObject({ kind: "refused", code: "ONGOING", retryAfterS: 1 });
});
