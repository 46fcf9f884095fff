/**
 * `tandem doctor` of a node of a cluster: whether its NATS greets, and what it needs to be reached without.
 */
import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { tandem } from "../cli/recorder.js";
import { available, freePort, startNats } from "../servers.js";

interface Finding {
  readonly what: string;
  readonly state: string;
  readonly found: string;
}

/** Its remarks on NATS and the cluster. */
async function look(cluster: string, environment: Record<string, string> = { TANDEM_CLUSTER_SECRET: "s" }) {
  const own = ["--store", "memory:", "--http-port", "0", "--grpc-port", "0", "--node", "a"];
  const { code, out } = await tandem(["doctor", "--json", ...own, "--cluster", cluster], { environment });
  const findings = (JSON.parse(out) as Finding[]).filter(({ what }) => what === "nats" || what === "cluster");
  return { code, said: findings.map(({ what, state, found }) => `${what} ${state}: ${found}`) };
}

const isThere = await available("nats");

describe("tandem doctor on a cluster", () => {
  it.runIf(isThere)("names the version of every NATS that greets", async () => {
    const nats = await startNats({ own: true });
    const { code, said } = await look(nats.url);
    await nats.stop();
    expect(code).toBe(0);
    expect(said).toEqual([
      expect.stringMatching(new RegExp(`^nats ok: \\d+\\.\\d+\\.\\S+ at 127.0.0.1:${nats.port}$`)),
    ]);
  });

  it("notes a NATS that is away or none at all, which keeps no node from starting", async () => {
    const other = createServer((socket) => socket.end("220 mail.example ESMTP\r\n"));
    await new Promise<void>((done) => other.listen(0, "127.0.0.1", done));
    const { port } = other.address() as { port: number };
    const nobody = await freePort();
    const { code, said } = await look(`nats://127.0.0.1:${nobody},nats://127.0.0.1:${port}`, {});
    other.close();
    expect(code).toBe(0);
    expect(said).toEqual([
      `nats warning: none at 127.0.0.1:${nobody}: ECONNREFUSED`,
      expect.stringMatching(new RegExp(`^nats warning: none at 127.0.0.1:${port}: 220 mail`)),
      "cluster warning: no Cluster.Secret: nodes reach one another over NATS only",
    ]);
  });

  it("works beside a secret that stands in the environment of nodes", async () => {
    const args = ["doctor", "--store", "memory:", "--http-port", "0", "--grpc-port", "0"];
    expect(await tandem(args, { environment: { TANDEM_CLUSTER_SECRET: "s" } })).toMatchObject({ code: 0 });
  });
});
