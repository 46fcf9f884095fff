// The client against DTM's own server, where TANDEM_TEST_DTM names its program; otherwise skipped, and says so.
import { describe } from "vitest";
import { grpcEndpoint } from "../../../src/client/grpc/index.js";
import { startDtm } from "../../servers.js";
import { type Coordinator, clientSuite } from "../e2e/suite.js";

const program = process.env.TANDEM_TEST_DTM;

/** DTM with its embedded store, every step durable before it is answered. */
async function start(command: string): Promise<Coordinator & { readonly grpc: string }> {
  const server = await startDtm(command, [
    "UpdateBranchSync: 1",
    "TransCronInterval: 1",
    "ConfigUpdateInterval: 1",
    "LogLevel: error",
  ]);
  return { address: server.url, grpc: new URL(server.grpc).host, stop: () => server.stop() };
}

if (program === undefined) console.warn("client with DTM: skipped, TANDEM_TEST_DTM names no DTM server program");

describe.runIf(program !== undefined)("the same client", () => {
  clientSuite("with DTM", () => start(program!));
  clientSuite("with DTM over gRPC", async () => {
    const dtm = await start(program!);
    return { ...dtm, endpoints: [grpcEndpoint(dtm.grpc, { http: dtm.address })], forgetsResults: true };
  });
});
