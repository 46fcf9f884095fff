// The client against DTM's own server, where TANDEM_TEST_DTM names its program; otherwise skipped, and says so.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe } from "vitest";
import { grpcEndpoint } from "../../../src/client/grpc/index.js";
import { freePort, makeFolder, run } from "../../servers.js";
import { type Coordinator, clientSuite } from "../e2e/suite.js";

const program = process.env.TANDEM_TEST_DTM;

/** DTM with its embedded store, every step durable before it is answered. */
async function startDtm(command: string): Promise<Coordinator & { readonly grpc: string }> {
  const folder = await makeFolder("dtm");
  const [port, grpcPort, jsonRpcPort] = [await freePort(), await freePort(), await freePort()];
  const settings = [
    `HttpPort: ${port}`,
    `GrpcPort: ${grpcPort}`,
    `JsonRpcPort: ${jsonRpcPort}`,
    "UpdateBranchSync: 1",
    "TransCronInterval: 1",
    "ConfigUpdateInterval: 1",
    "LogLevel: error",
  ];
  const file = join(folder, "conf.yml");
  writeFileSync(file, settings.join("\n"));
  const url = `http://127.0.0.1:${port}`;
  const ready = async () => {
    await (await fetch(`${url}/api/dtmsvr/newGid`)).text();
  };
  const server = await run({ name: "DTM", command, args: ["-c", file], folder, port, url, ready });
  return { address: url, grpc: `127.0.0.1:${grpcPort}`, stop: () => server.stop() };
}

if (program === undefined) console.warn("client with DTM: skipped, TANDEM_TEST_DTM names no DTM server program");

describe.runIf(program !== undefined)("the same client", () => {
  clientSuite("with DTM", () => startDtm(program!));
  clientSuite("with DTM over gRPC", async () => {
    const dtm = await startDtm(program!);
    return { ...dtm, endpoints: [grpcEndpoint(dtm.grpc, { http: dtm.address })], forgetsResults: true };
  });
});
