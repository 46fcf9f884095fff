// The client against our own coordinator, in this process with its store in memory, over real HTTP and gRPC.
import { grpcEndpoint } from "../../../src/client/grpc/index.js";
import { loadConfig } from "../../../src/config/config.js";
import { startNode } from "../../../src/node.js";
import { clientSuite } from "./suite.js";

async function start() {
  const flags = { HttpPort: "0", GrpcPort: "0", "Store.Url": "memory:", LogLevel: "error" };
  const { config } = loadConfig({ environment: {}, flags, readFile: () => "" });
  const node = await startNode(config);
  return { address: node.addresses.http, grpc: node.addresses.grpc ?? "", stop: () => node.close(1_000) };
}

clientSuite("client with Tandem", start);

clientSuite("client with Tandem over gRPC", async () => {
  const node = await start();
  return { ...node, endpoints: [grpcEndpoint(node.grpc)] };
});
