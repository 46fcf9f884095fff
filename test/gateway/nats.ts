/** The NATS gateway of a test's coordinator, without a NATS: requests are handed to it as its service would. */
import { headers, type NatsConnection, type ServiceMsg } from "nats";
import { Arriving } from "../../src/gateway/arriving.js";
import { createNatsGateway } from "../../src/gateway/nats/gateway.js";
import { inputLimits } from "../../src/wire/limits.js";
import type { Coordinator } from "./harness.js";

type Handler = (error: Error | null, message: ServiceMsg) => void;

export interface AskedByNats {
  /** Resolves to the status and the parsed body. */
  ask(operation: string, body: object): Promise<{ readonly status: number; readonly json: Record<string, unknown> }>;
  close(): Promise<void>;
}

/** A connection that knows only how to serve. */
function serving(handlers: Map<string, Handler>): NatsConnection {
  const group = { addEndpoint: (name: string, { handler }: { handler: Handler }) => void handlers.set(name, handler) };
  const service = { addGroup: () => group, stop: async () => {} };
  const client = () => ({ info: async () => [] });
  return { services: { add: async () => service, client } } as unknown as NatsConnection;
}

/** Opens the gateway; resolves when it takes requests. */
export async function askedByNats(c: Coordinator, arriving = new Arriving(256 << 20)): Promise<AskedByNats> {
  const handlers = new Map<string, Handler>();
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
  while (!handlers.has("submit")) await new Promise((resolve) => setImmediate(resolve));
  return {
    ask: (operation, body) =>
      new Promise((resolve) => {
        const answer = (status: number, bytes: Uint8Array | undefined) => {
          resolve({ status, json: JSON.parse(Buffer.from(bytes ?? []).toString() || "{}") });
          return true;
        };
        const message = {
          data: Buffer.from(JSON.stringify(body)),
          headers: headers(),
          respond: (bytes?: Uint8Array) => answer(200, bytes),
          respondError: (code: number, _text: string, bytes?: Uint8Array) => answer(code, bytes),
        };
        handlers.get(operation)?.(null, message as unknown as ServiceMsg);
      }),
    close: () => gateway.close(),
  };
}
