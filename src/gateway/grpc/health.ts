/**
 * grpc.health.v1.Health: whether the node takes calls. `Watch` tells changes by asking every second.
 */
import { ProtobufReader, ProtobufWriter } from "../../wire/protobuf.js";
import type { CallContext, Methods, Replies } from "./method.js";
import { codes } from "./status.js";

const serving = 1;
const notServing = 2;
const serviceUnknown = 3;
const watchEveryMs = 1000;

/** `ready` is asked at each call; `services` are the names it speaks for, beside the empty one. */
export function healthMethods(ready: () => boolean, services: readonly string[]): Methods {
  const statusOf = (service: string): number => {
    if (service !== "" && !services.includes(service)) return serviceUnknown;
    return ready() ? serving : notServing;
  };
  return new Map([
    [
      "/grpc.health.v1.Health/Check",
      {
        kind: "unary",
        name: "health",
        async handle(message) {
          const status = statusOf(serviceOf(message));
          if (status === serviceUnknown) return { status: { code: codes.notFound, message: "unknown service" } };
          return { message: reply(status) };
        },
      },
    ],
    [
      "/grpc.health.v1.Health/Watch",
      {
        kind: "stream",
        name: "health",
        open: (replies, context) => ({
          message: (message) => watch(serviceOf(message), statusOf, replies, context),
          ended: () => {},
        }),
      },
    ],
  ]);
}

function watch(
  service: string,
  statusOf: (service: string) => number,
  replies: Replies,
  { signal }: CallContext,
): void {
  let told = statusOf(service);
  replies.send(reply(told));
  const timer = setInterval(() => {
    const now = statusOf(service);
    if (now === told) return;
    told = now;
    replies.send(reply(now));
  }, watchEveryMs);
  timer.unref();
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
}

function serviceOf(message: Buffer): string {
  const reader = new ProtobufReader(message);
  let service = "";
  while (reader.next()) {
    if (reader.field === 1) service = reader.text() ?? service;
    else reader.skip();
  }
  return service;
}

function reply(status: number): Buffer {
  return new ProtobufWriter().uint(1, status).finish();
}
