// Participants that listen on NATS subjects: one request, one reply. All processes of a service share a queue group, so
// each delivery reaches one of them.

import { headers, Match, type Msg, type NatsConnection, type Subscription } from "nats";
import { invalidInput } from "../errors.js";
import type { Route, ServeRoutesOptions } from "../participant/route.js";
import type { HttpAnswer } from "../result.js";

/** Settings of a service on NATS. */
export interface ServeOptions extends ServeRoutesOptions {
  /** Queue group that the service's processes share; default: the base subject. */
  readonly queue?: string;
}

/** A service that listens. */
export interface Serving extends AsyncDisposable {
  /** Takes no new deliveries and resolves when those begun are answered. */
  stop(): Promise<void>;
}

const idHeaders = ["gid", "trans_type", "branch_id", "op", "dtm", "phase2_url"] as const;

/**
 * Serves routes below a subject: with the base `bank` the route `/debit/compensate` is `bank.debit.compensate`, and a
 * defined step's address `step.at("nats://bank")`. Resolves once the server knows the subscriptions.
 */
export async function serveRoutes(
  connection: NatsConnection,
  base: string,
  routes: readonly Route[],
  options: ServeOptions = {},
): Promise<Serving> {
  if (!/^[A-Za-z0-9-][\w-]*(\.[\w-]+)*$/.test(base)) {
    throw invalidInput(`not a subject for a service: ${JSON.stringify(base)}`, {
      hint: "write letters, digits and - in parts joined by dots, without scheme: bank, shop.stock",
    });
  }
  const open = new Set<Promise<void>>();
  const listen = (one: Route): Subscription =>
    connection.subscribe(base + one.path.replaceAll("/", "."), {
      queue: options.queue ?? base,
      callback(error, message) {
        if (error !== null) return;
        const answering = answer(one, message, options).finally(() => open.delete(answering));
        open.add(answering);
      },
    });
  const subscriptions = routes.map(listen);
  await connection.flush();
  const stop = async () => {
    // A connection that was closed before has ended its subscriptions.
    if (!connection.isClosed()) await Promise.all(subscriptions.map((one) => one.drain()));
    await Promise.all(open);
  };
  return { stop, [Symbol.asyncDispose]: stop };
}

async function answer(one: Route, message: Msg, { onError }: ServeOptions): Promise<void> {
  // Names keep their case on the way, unlike those of HTTP and gRPC.
  const header = (name: string) => message.headers?.get(name, Match.IgnoreCase) || undefined;
  const url = `${one.path}?${queryOf(message)}`;
  const { status, body } = await one.handle({ url, body: message.data, header, ...(onError && { onError }) });
  respond(message, { status, body });
}

/** A closed connection cannot be answered over; the coordinator asks again. */
function respond(message: Msg, { status, body }: HttpAnswer): void {
  const said = headers();
  said.set("Status", String(status));
  message.respond(body, { headers: said });
}

/** Header values are percent-encoded, as in a query. */
function queryOf(message: Msg): string {
  return idHeaders
    .map((name) => [name, message.headers?.get(name) ?? ""] as const)
    .filter(([, text]) => text !== "")
    .map((pair) => pair.join("="))
    .join("&");
}
