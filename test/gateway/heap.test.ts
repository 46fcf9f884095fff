/**
 * Nothing of a finished transaction stays in the heap: gateway, engine, metrics and limits forget it.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, expect, it } from "vitest";
import { coordinator, freshGid, sagaBody } from "./harness.js";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

const c = coordinator();
afterAll(() => c.close());

const steps = ["TransOut", "TransIn"].map((name) => ({
  action: `http://busi.test/${name}`,
  compensate: `http://busi.test/${name}Com`,
}));

/** Many transactions, each with a participant's path of its own, then all the store's memory is given back. */
async function run(count: number): Promise<void> {
  for (let done = 0; done < count; done += 50) {
    const bodies = Array.from({ length: 50 }, (_, i) => {
      const own = { action: `http://busi.test/own/${done + i}`, compensate: "http://busi.test/undo" };
      return sagaBody(freshGid(), { steps: [...steps, own], payloads: ["{}", "{}", "{}"], wait_result: true });
    });
    const replies = await Promise.all(bodies.map((body) => c.post("submit", body)));
    expect(replies.filter(({ status }) => status !== 200)).toEqual([]);
    c.participants.calls.length = 0;
    await c.store.purge(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, 1000);
  }
}

/** Bytes in use when everything that can go has gone. */
async function heldBytes(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => setImmediate(resolve));
    collect();
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

it("keeps nothing of what has ended", async () => {
  const held: number[] = [];
  await run(1500); // tables that are bounded fill up, code is compiled
  for (let round = 0; round < 4; round++) {
    await run(1000);
    held.push(await heldBytes());
  }
  const growth = (held.at(-1)! - held[0]!) / (3 * 1000);
  expect(growth).toBeLessThan(200); // bytes a transaction; an actor alone is more
});
