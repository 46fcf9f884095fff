// The coordinator over NATS as an endpoint of the client: a request to `<prefix>.api.<operation>` with the same JSON as
// over HTTP, answered by whichever node is free. The connection is the user's own.

import { headers, type Msg, type NatsConnection } from "nats";
import type { ApiAnswer, ApiBody, Endpoint } from "../api.js";
import { invalidInput } from "../errors.js";
import { jsonBody } from "../http.js";

/** Settings of a NATS endpoint. */
export interface NatsEndpointOptions {
  /** First part of the coordinator's subjects, default `tandem`. */
  readonly prefix?: string;
}

/** An endpoint over `connection`, which stays open when the client is closed. */
export function natsEndpoint(connection: NatsConnection, options: NatsEndpointOptions = {}): Endpoint {
  const prefix = options.prefix ?? "tandem";
  if (!/^[\w-]+(\.[\w-]+)*$/.test(prefix)) {
    throw invalidInput(`not a prefix of subjects: ${JSON.stringify(prefix)}`);
  }
  return {
    address: `nats://${prefix}.api`,
    async call(operation, body, signal) {
      const message = await natsRequest(connection, `${prefix}.api.${operation}`, jsonBody(body), {}, signal);
      return answerOf(message);
    },
  };
}

/** Status in the header `Status`, or in that of NATS services for errors; none means that all went well. */
export function answerOf(message: Msg): ApiAnswer {
  const word = message.headers?.get("Status") || message.headers?.get("Nats-Service-Error-Code");
  const status = word === undefined || word === "" ? 200 : Number(word);
  const text = message.string();
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return { status, body: value as ApiBody };
  } catch {
    // Not JSON: shown as the message.
  }
  return { status, body: { message: text || (message.headers?.get("Nats-Service-Error") ?? "") } };
}

/** Waits that NATS itself would not end sooner than the caller's signal does. */
const waitMsMax = 3_600_000;

/** One request. Rejects when nobody listens or nobody answered, and with the signal's reason once it is aborted. */
export function natsRequest(
  connection: NatsConnection,
  subject: string,
  payload: string | Uint8Array,
  named: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<Msg> {
  const all = headers();
  for (const [name, value] of Object.entries(named)) all.set(name, value);
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) return stop();
    signal.addEventListener("abort", stop, { once: true });
    connection
      .request(subject, payload, { timeout: waitMsMax, headers: all })
      .then(resolve, reject)
      .finally(() => signal.removeEventListener("abort", stop));
  });
}
