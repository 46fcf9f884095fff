/**
 * What the NATS gateway does without a NATS: its bounds. The rest is shown with a real one (test/client/nats).
 */
import { expect, it } from "vitest";
import { Arriving } from "../../src/gateway/arriving.js";
import { coordinator, freshGid, patient, sagaBody } from "./harness.js";
import { askedByNats } from "./nats.js";

it("refuses a request over NATS while others hold all bytes, until they are answered", async () => {
  const c = coordinator();
  let answer = () => {};
  c.participants.script = () =>
    new Promise((resolve) => {
      answer = () => resolve({ outcome: "success", detail: "" });
    });
  const arriving = new Arriving(1500);
  const nats = await askedByNats(c, arriving);
  const said: string[] = [];
  const ask = (name: string) => {
    const body = sagaBody(freshGid(), { payloads: ["x".repeat(1000)], wait_result: true });
    void nats.ask("submit", body).then(({ status }) => said.push(`${name} ${status}`));
  };
  ask("first");
  await expect.poll(() => c.participants.inFlight, patient).toBe(1);
  ask("second");
  await expect.poll(() => said, patient).toEqual(["second 503"]);
  answer();
  await expect.poll(() => said, patient).toEqual(["second 503", "first 200"]);
  expect(arriving.bytes).toBe(0);
  ask("third");
  await expect.poll(() => c.participants.inFlight, patient).toBe(1);
  answer();
  await expect.poll(() => said, patient).toEqual(["second 503", "first 200", "third 200"]);
  await nats.close();
  await c.close();
});
