// The client against our own coordinator, in this process with its store in memory, over real HTTP.
import { loadConfig } from "../../../src/config/config.js";
import { startNode } from "../../../src/node.js";
import { clientSuite } from "./suite.js";

clientSuite("client with Tandem", async () => {
  const flags = { HttpPort: "0", GrpcPort: "0", "Store.Url": "memory:", LogLevel: "error" };
  const { config } = loadConfig({ environment: {}, flags, readFile: () => "" });
  const node = await startNode(config);
  return { address: node.addresses.http, stop: () => node.close(1_000) };
});
