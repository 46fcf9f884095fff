/**
 * What the NATS gateway does without a NATS: its bounds. The rest is shown with a real one (test/client/nats).
 */
import { headers, type NatsConnection, type ServiceMsg } from "nats";
import { expect, it } from "vitest";
import { Arriving } from "../../src/gateway/arriving.js";
import { createNatsGateway } from "../../src/gateway/nats/gateway.js";
import { inputLimits } from "../../src/wire/limits.js";
import { coordinator, freshGid, patient, sagaBody } from "./harness.js";

type Handler = (error: Error | null, message: ServiceMsg) => void;

/** A connection that knows only how to serve. */
function serving(handlers: Map<string, Handler>): NatsConnection {
  const group = { addEndpoint: (name: string, { handler }: { handler: Handler }) => void handlers.set(name, handler) };
  const service = { addGroup: () => group, stop: async () => {} };
  const client = () => ({ info: async () => [] });
  return { services: { add: async () => service, client } } as unknown as NatsConnection;
}

it("refuses a request over NATS while others hold all bytes, until they are answered", async () => {
  const c = coordinator();
  let answer = () => {};
  c.participants.script = () =>
    new Promise((resolve) => {
      answer = () => resolve({ outcome: "success", detail: "" });
    });
  const handlers = new Map<string, Handler>();
  const arriving = new Arriving(1500);
  const gateway = createNatsGateway({
    operations: c.operations,
    limits: inputLimits,
    arriving,
    metrics: { api: () => ({ served: () => {} }) },
    log: { info: () => {}, warn: () => {}, error: () => {} },
    clock: { nowMs: Date.now, monotonicMs: () => performance.now(), after: () => () => {} },
    ...{ prefix: "tandem", clusterId: "one" },
    version: "0.0.0",
    whenConnected: (task) => task(serving(handlers)),
  });
  const said: string[] = [];
  const ask = (name: string) => {
    const body = sagaBody(freshGid(), { payloads: ["x".repeat(1000)], wait_result: true });
    const note = (status: string) => {
      said.push(`${name} ${status}`);
      return true;
    };
    const message = {
      data: Buffer.from(JSON.stringify(body)),
      headers: headers(),
      respond: () => note("200"),
      respondError: (code: number) => note(String(code)),
    };
    handlers.get("submit")?.(null, message as unknown as ServiceMsg);
  };
  await expect.poll(() => handlers.has("submit"), patient).toBe(true);
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
  await gateway.close();
  await c.close();
});
