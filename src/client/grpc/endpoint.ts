// The coordinator's gRPC API as an endpoint of the client, for Tandem and for DTM's own server.

import {
  type ChannelCredentials,
  type ChannelOptions,
  Client,
  credentials,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { InvalidInput } from "../../wire/invalid.js";
import type { ApiAnswer, ApiBody, Endpoint, Operation } from "../api.js";
import { invalidInput } from "../errors.js";
import { type Fetch, httpEndpoint } from "../http.js";
import { answerOf, decodeReply, encodeRequest, methods } from "./messages.js";

/** Settings of a gRPC endpoint. */
export interface GrpcEndpointOptions {
  /** Default: no TLS. */
  readonly credentials?: ChannelCredentials;
  readonly channel?: ChannelOptions;
  /**
   * Address of the same coordinator's HTTP API. DTM's gRPC API cannot be asked how a transaction stands, so with DTM's
   * server `query`, and `wait` for a transaction that fails, need it. Tandem's can.
   */
  readonly http?: string;
  /** Used for `http`. */
  readonly fetch?: Fetch;
}

const unimplemented = 501;

/** An endpoint at `host:port`. Connects at the first call, and again after a loss; `close` ends the connection. */
export function grpcEndpoint(address: string, options: GrpcEndpointOptions = {}): Endpoint {
  if (!/^[^\s/]+:\d{1,5}$/.test(address)) {
    throw invalidInput(`not a gRPC address of a coordinator: ${JSON.stringify(address)}`, {
      hint: 'write "host:36790", without scheme or path',
    });
  }
  const client = new Client(address, options.credentials ?? credentials.createInsecure(), options.channel);
  const http = options.http === undefined ? undefined : httpEndpoint(options.http, options.fetch);
  return {
    address,
    async call(operation, body, signal) {
      const answer = await callGrpc(client, operation, body, signal);
      if (operation !== "query" || answer.status !== unimplemented) return answer;
      return http?.call(operation, body, signal) ?? { status: unimplemented, body: { message: noQuery } };
    },
    close: async () => client.close(),
  };
}

const noQuery =
  "DTM's gRPC API has no query: give grpcEndpoint(address, { http }) the address of the same server's HTTP API";

async function callGrpc(client: Client, operation: Operation, body: ApiBody, signal: AbortSignal): Promise<ApiAnswer> {
  signal.throwIfAborted();
  let request: Buffer;
  try {
    request = encodeRequest(operation, body);
  } catch (error) {
    if (error instanceof InvalidInput) return { status: 400, body: { message: error.message } };
    throw error;
  }
  try {
    const reply = await unary(client, `/dtmgimp.Dtm/${methods[operation]}`, request, signal);
    return { status: 200, body: decodeReply(operation, reply) };
  } catch (error) {
    signal.throwIfAborted();
    const { code, details } = error as Partial<ServiceError>;
    const answer = typeof code === "number" ? answerOf(code, details ?? "") : undefined;
    if (answer === undefined) throw error;
    return answer;
  }
}

const raw = (bytes: Buffer): Buffer => bytes;

/** One call with bytes in and out. Rejects with the ServiceError, or with the signal's reason. */
export function unary(
  client: Client,
  path: string,
  message: Buffer,
  signal: AbortSignal | undefined,
  metadata: Metadata = new Metadata(),
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      call.cancel();
      reject(signal?.reason);
    };
    const call = client.makeUnaryRequest(path, raw, raw, message, metadata, (error, reply) => {
      signal?.removeEventListener("abort", stop);
      if (error === null) resolve(reply ?? Buffer.alloc(0));
      else reject(error);
    });
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}
