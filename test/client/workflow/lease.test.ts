// Executors of one workflow under a lease: of two processes one runs its steps, the other waits for the lease to end.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { grpcEndpoint } from "../../../src/client/grpc/index.js";
import { type Client, createClient, isOngoing, workflow } from "../../../src/client/index.js";
import { loadConfig } from "../../../src/config/config.js";
import { type RunningNode, startNode } from "../../../src/node.js";
import { until } from "../e2e/suite.js";

let node: RunningNode;
const clients: Client[] = [];

beforeAll(async () => {
  const flags = { HttpPort: "0", GrpcPort: "0", "Store.Url": "memory:", LogLevel: "error" };
  node = await startNode(loadConfig({ environment: {}, flags, readFile: () => "" }).config);
});
afterAll(async () => {
  for (const client of clients) await client.close();
  await node?.close(1_000);
});

/** A process of its own, as far as the coordinator can tell; its first step lasts until `finish`. `ran`: branches. */
function executor(protocol: string, lease?: "1s" | "60s") {
  const endpoint = protocol === "gRPC" ? grpcEndpoint(node.addresses.grpc ?? "") : node.addresses.http;
  const client = createClient({ endpoints: [endpoint] });
  clients.push(client);
  const ran: string[] = [];
  let finish = () => {};
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const slow = workflow("slow", async (flow) => {
    await flow.step("first", async ({ branch }) => {
      ran.push(branch.branchId);
      await finished;
    });
    return flow.step("second", ({ branch }) => {
      ran.push(branch.branchId);
      return "done";
    });
  });
  const flows = client.workflows([slow], { callbackUrl: "http://127.0.0.1:9/nobody", ...(lease && { lease }) });
  const execute = (gid: string) => flows.execute(slow, { gid });
  return { client, ran, finish, execute };
}

const inItsFirstStep = ({ ran }: ReturnType<typeof executor>) =>
  until(
    () => ran.length === 1,
    () => ran,
  );

describe.each(["HTTP", "gRPC"])("a workflow's lease over %s", (protocol) => {
  it("keeps a second executor from running any step while the first one holds it", async () => {
    const [first, second] = [executor(protocol, "60s"), executor(protocol, "60s")];
    const gid = first.client.newGid();
    const running = first.execute(gid);
    await inItsFirstStep(first);
    await expect(second.execute(gid).catch((error: unknown) => isOngoing(error))).resolves.toBe(true);
    first.finish();
    expect(await running).toBe("done");
    expect(second.ran).toEqual([]);
    second.finish();
    await second.execute(gid);
    expect(second.ran).toEqual([]);
  });

  it("passes on when it has run out, and the late first executor records nothing any more", async () => {
    const [first, second] = [executor(protocol, "1s"), executor(protocol, "60s")];
    const gid = first.client.newGid();
    const running = first.execute(gid).catch((error: unknown) => isOngoing(error));
    await inItsFirstStep(first);
    let taking = Promise.resolve<unknown>(undefined);
    await until(
      async () => {
        taking = second.execute(gid).catch((error: unknown) => error);
        await Promise.race([
          taking,
          until(
            () => second.ran.length === 1,
            () => second.ran,
          ),
        ]);
        return second.ran.length === 1;
      },
      () => second.ran,
    );
    first.finish();
    expect(await running, "the first one's step is refused").toBe(true);
    second.finish();
    expect(await taking).toBe("done");
    expect([first.ran, second.ran]).toEqual([["01"], ["01", "02"]]);
  });

  it("is renewed by every recorded step", async () => {
    const [first, second] = [executor(protocol, "60s"), executor(protocol, "60s")];
    const gid = first.client.newGid();
    const running = first.execute(gid);
    await inItsFirstStep(first);
    const before = await leaseEnd(gid);
    await new Promise((resolve) => setTimeout(resolve, 20));
    first.finish();
    await running;
    expect(await leaseEnd(gid)).toBeGreaterThan(before);
    second.finish();
  });

  it("is not asked for by default, as DTM's clients do not", async () => {
    const only = executor(protocol);
    const gid = only.client.newGid();
    only.finish();
    expect(await only.execute(gid)).toBe("done");
    await expect(leaseEnd(gid)).rejects.toThrow(/no lease/);
  });
});

it("refuses a lease that the coordinator would not give", () => {
  const client = createClient({ endpoints: ["http://127.0.0.1:9"] });
  const register = (lease: number | "2h") => client.workflows([], { callbackUrl: "http://127.0.0.1:9/w", lease });
  expect(() => register("2h")).toThrow(/not within/);
  expect(() => register(0)).toThrow(/not within/);
});

/** Milliseconds at which the lease of a run ends, as the coordinator shows it to operators. */
async function leaseEnd(gid: string): Promise<number> {
  const answer = await fetch(`${node.addresses.http.replace(/\/api.*$/, "")}/api/v1/transactions/${gid}`);
  const { transaction } = (await answer.json()) as { transaction: { executor?: { lease_until: string } } };
  if (transaction.executor === undefined) throw new Error(`no lease: ${JSON.stringify(transaction)}`);
  return Date.parse(transaction.executor.lease_until);
}
