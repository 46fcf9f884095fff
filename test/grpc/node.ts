/**
 * A whole node on memory for the gRPC tests: an ordinary client (grpc-js) in front, HTTP and gRPC participants behind,
 * whose answers a test decides by path.
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import * as grpc from "@grpc/grpc-js";
import protobuf from "protobufjs";
import { loadConfig } from "../../src/config/config.js";
import { startNode } from "../../src/node.js";

const root = protobuf.parse(readFileSync("proto/dtm.proto", "utf8"), { keepCase: true }).root;
const service = root.lookupService("dtmgimp.Dtm");

/** What a client got: code 0 with the reply, or another with its text. */
export interface Got {
  readonly code: number;
  readonly details: string;
  readonly reply: Record<string, unknown>;
}

/** A call that a participant received. */
export interface Received {
  readonly protocol: "http" | "grpc" | "json-rpc";
  readonly path: string;
  readonly gid: string;
  readonly op: string;
  readonly branchId: string;
  readonly body: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/**
 * `fail`, `ongoing` and `hang` in the path say how a participant answers; everything else is a yes. `slow` leaves the
 * first call of a transaction without an answer (HTTP).
 */
export interface Participants {
  readonly http: string;
  readonly grpc: string;
  readonly received: Received[];
  close(): Promise<void>;
}

/** A node with ports of its own. */
export interface TestNode {
  readonly http: string;
  readonly address: string;
  call(rpc: string, request?: object, options?: grpc.CallOptions, metadata?: grpc.Metadata): Promise<Got>;
  /** GET or POST of DTM's HTTP API: status and parsed body. */
  ask(path: string, body?: object): Promise<{ readonly status: number; readonly json: Record<string, unknown> }>;
  /** Status of a transaction once it is one of those wanted. */
  until(gid: string, ...statuses: readonly string[]): Promise<Record<string, unknown>>;
  close(): Promise<void>;
}

/** Starts a node. Nothing is logged. */
export async function startTestNode(): Promise<TestNode> {
  const flags = { HttpPort: "0", GrpcPort: "0", "Store.Url": "memory:", LogLevel: "error" };
  const node = await startNode(loadConfig({ flags, environment: {}, readFile: () => "" }).config);
  const address = node.addresses.grpc ?? "";
  const client = connectGrpc(address);
  const { http } = node.addresses;
  const ask: TestNode["ask"] = async (path, body) => {
    const response = await fetch(http + path, body && { method: "POST", body: JSON.stringify(body) });
    return { status: response.status, json: (await response.json()) as Record<string, unknown> };
  };
  return {
    http,
    address,
    ask,
    call: client.call,
    async until(gid, ...statuses) {
      const end = Date.now() + 10_000;
      for (;;) {
        const { json } = await ask(`/api/dtmsvr/query?gid=${encodeURIComponent(gid)}`);
        const transaction = json.transaction as Record<string, unknown> | null;
        if (statuses.includes(String(transaction?.status))) return json;
        if (Date.now() > end) throw new Error(`${gid} is not ${statuses.join(" or ")} but ${JSON.stringify(json)}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    async close() {
      client.close();
      await node.close(2000);
    },
  };
}

/** An ordinary client of DTM's service. */
export function connectGrpc(address: string): Pick<TestNode, "call"> & { close(): void } {
  const client = new grpc.Client(address, grpc.credentials.createInsecure());
  return {
    call: (rpc, request = {}, options = {}, metadata = new grpc.Metadata()) =>
      invoke(client, rpc, request, options, metadata),
    close: () => client.close(),
  };
}

function invoke(
  client: grpc.Client,
  rpc: string,
  request: object,
  options: grpc.CallOptions,
  metadata: grpc.Metadata,
): Promise<Got> {
  const method = service.methods[rpc];
  const [input, output] = [method?.requestType ?? "", method?.responseType ?? ""].map((name) =>
    name === "google.protobuf.Empty" ? undefined : root.lookupType(`dtmgimp.${name}`),
  );
  const encode = (value: object) => Buffer.from(input?.encode(input.fromObject(value)).finish() ?? []);
  const decode = (bytes: Buffer) => output?.toObject(output.decode(bytes)) ?? {};
  return new Promise((resolve) => {
    client.makeUnaryRequest(`/dtmgimp.Dtm/${rpc}`, encode, decode, request, metadata, options, (error, reply) => {
      resolve({ code: error?.code ?? 0, details: error?.details ?? "", reply: reply ?? {} });
    });
  });
}

type Way = "fail" | "ongoing" | "hang" | "yes";

function wayOf(path: string): Way {
  return (["fail", "ongoing", "hang"] as const).find((word) => path.includes(word)) ?? "yes";
}

/** Starts participants. */
export async function startParticipants(): Promise<Participants> {
  const received: Received[] = [];
  const [web, rpc] = [await startWeb(received), await startGrpc(received)];
  return {
    http: web.url,
    grpc: rpc.url,
    received,
    async close() {
      rpc.close();
      await web.close();
    },
  };
}

async function startWeb(received: Received[]) {
  const statuses = { fail: 409, ongoing: 425, yes: 200 } as const;
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? "", "http://participant");
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    const frame = url.searchParams.has("method") ? (JSON.parse(body) as { params: Record<string, string> }) : undefined;
    const told = (name: string) => frame?.params[name] ?? url.searchParams.get(name) ?? "";
    const way = wayOf(url.pathname);
    const leaves = url.pathname.includes("slow") && !received.some(({ gid }) => gid === told("gid"));
    received.push({
      ...{ protocol: frame === undefined ? "http" : "json-rpc", path: url.pathname, gid: told("gid") },
      ...{ op: told("op"), branchId: told("branch_id"), body, metadata: request.headers },
    });
    if (way === "hang" || leaves) return;
    response.statusCode = statuses[way];
    response.end(frame === undefined ? `${way}: said the participant` : JSON.stringify({ jsonrpc: "2.0", result: 1 }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const raw = (bytes: Buffer) => bytes;

async function startGrpc(received: Received[]) {
  const codes = { fail: 10, ongoing: 9 } as const;
  const server = new grpc.Server();
  const paths = ["yes", "undo", "fail", "ongoing", "hang"].map((name) => `/busi.Busi/${name}`);
  for (const path of [...paths, "/workflow.Workflow/Execute"])
    server.register<Buffer, Buffer>(
      path,
      (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => {
        const told = (name: string) => String(call.metadata.get(`dtm-${name}`)[0] ?? "");
        received.push({
          ...{ protocol: "grpc", path, gid: told("gid"), op: told("op"), branchId: told("branch_id") },
          ...{ body: call.request.toString(), metadata: call.metadata.getMap() },
        });
        const way = wayOf(path);
        if (way === "hang") return;
        if (way === "yes") done(null, Buffer.alloc(0));
        else done({ code: codes[way], details: `${way}: said the participant` });
      },
      raw,
      raw,
      "unary",
    );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  return { url: `127.0.0.1:${port}/busi.Busi`, close: () => server.forceShutdown() };
}
