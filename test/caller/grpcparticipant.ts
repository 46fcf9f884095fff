/**
 * gRPC participants for the callers' tests: on grpc-js' server for ordinary ones, on bare HTTP/2 for odd ones.
 */
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import * as grpc from "@grpc/grpc-js";
import { afterEach } from "vitest";
import { Ending } from "../../src/caller/ending.js";
import { GrpcCaller } from "../../src/caller/grpc/grpc.js";
import { Resolver } from "../../src/caller/resolve.js";
import { type TlsOptions, tlsProfiles } from "../../src/caller/tls.js";
import { parseUrl } from "../../src/caller/url.js";
import type { Answer, Call } from "../../src/ports/caller.js";
import { callOf } from "./participant.js";

/** What a test opened; closed after it, in reverse order. */
export const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** Says what the participant answers: nothing = OK. */
type Handler = (body: Buffer, metadata: grpc.Metadata) => Partial<grpc.StatusObject> | undefined;
const raw = (bytes: Buffer) => bytes;

/** A participant on grpc-js; gives its port. */
export async function participant(
  handler: Handler,
  credentials = grpc.ServerCredentials.createInsecure(),
  host = "127.0.0.1",
) {
  const server = new grpc.Server();
  const method = { requestStream: false, responseStream: false } as const;
  const codec = { requestSerialize: raw, requestDeserialize: raw, responseSerialize: raw, responseDeserialize: raw };
  server.addService(
    {
      Pay: { path: "/busi.Busi/Pay", ...method, ...codec },
      Execute: { path: "/workflow.Workflow/Execute", ...method, ...codec },
    },
    Object.fromEntries(
      ["Pay", "Execute"].map((name) => [
        name,
        (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => {
          const error = handler(call.request, call.metadata);
          if (error === undefined) done(null, Buffer.from("reply"));
          else done(error);
        },
      ]),
    ),
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`${host}:0`, credentials, (error, bound) => (error ? reject(error) : resolve(bound))),
  );
  closing.push(() => server.forceShutdown());
  return port;
}

/** A participant on bare HTTP/2. */
export async function bare(onStream: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, nth: number) => void) {
  const sessions = new Set<ServerHttp2Session>();
  const server = createServer();
  let streams = 0;
  server.on("session", (session) => {
    sessions.add(session);
    session.on("error", () => {});
    session.on("close", () => sessions.delete(session));
  });
  server.on("stream", (stream, headers) => {
    stream.on("error", () => {});
    onStream(stream, headers, streams++);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closing.push(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, sessions, server };
}

/** A caller that is closed after the test. */
export function caller(tls: TlsOptions = {}, addresses?: readonly string[]): GrpcCaller {
  const known = addresses?.map((address) => ({ address, family: 4 }));
  const resolver = new Resolver(known && (async () => known));
  const made = new GrpcCaller(tlsProfiles(tls), (host) => resolver.resolve(host));
  closing.push(() => made.close());
  return made;
}

/** One call of a saga's action, changed as given. */
export function ask(by: GrpcCaller, url: string, changed: Partial<Call> = {}, signal?: AbortSignal): Promise<Answer> {
  const parsed = parseUrl("grpc", url);
  if (parsed.kind !== "grpc") throw new Error(`no gRPC URL: ${url}`);
  const call = callOf({ url, protocol: "grpc", ...changed });
  return by.call(parsed, call, new Ending(signal ?? new AbortController().signal));
}

/** Headers of a response that is nothing but its status. */
export const trailersOnly = { ":status": 200, "content-type": "application/grpc" };
