/**
 * Several clusters on one NATS: with a prefix each they never meet, neither nodes nor APIs; with one prefix by mistake
 * the second keeps its hands off the first one's API.
 */
import { connect, JSONCodec, type NatsConnection } from "nats";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { available, type Database, makeDatabase, type Server, startMariadb, startNats } from "../servers.js";
import { type Run, serve } from "./serve.js";

const isThere = (await available("mysql")) && (await available("nats"));
const json = JSONCodec<Record<string, unknown>>();

describe.runIf(isThere)("clusters on one NATS", () => {
  let mysql: Server;
  let nats: Server;
  let nc: NatsConnection;
  const runs: Run[] = [];

  beforeAll(async () => {
    [mysql, nats] = await Promise.all([startMariadb({ own: true }), startNats({ own: true })]);
    nc = await connect({ servers: nats.url.replace("nats://", "") });
  });
  afterAll(async () => {
    for (const run of runs) run.child.kill("SIGKILL");
    await nc?.close();
    await Promise.all([mysql?.stop(), nats?.stop()]);
  });

  const start = (database: Database, node: string, prefix: string) => {
    const run = serve(database.url, ["--cluster", nats.url, "--node", node], { TANDEM_CLUSTER_PREFIX: prefix });
    runs.push(run);
    return run;
  };
  const ask = async (subject: string, body: object) => {
    const reply = await nc.request(subject, json.encode(body as never), { timeout: 10_000 });
    return { status: reply.headers?.get("Status"), ...json.decode(reply.data) };
  };
  const clusterOf = async (http: string) =>
    (await (await fetch(`${http}/api/v1/cluster`)).json()) as { nodes: { node: string; shards: number }[] };
  const known = async (http: string, gid: string) => {
    const answer = await fetch(`${http}/api/dtmsvr/query?gid=${gid}`);
    return ((await answer.json()) as { transaction: unknown }).transaction !== null;
  };
  const message = (gid: string) => ({ gid, trans_type: "msg", query_prepared: "http://127.0.0.1:1/q" });

  it("are apart by their prefix: neither knows the other's nodes or transactions, each answers its own subjects", async () => {
    const [first, second] = [await makeDatabase(mysql), await makeDatabase(mysql)];
    const [one, two] = await Promise.all([
      start(first, "same-name", "one").ready,
      start(second, "same-name", "two.deep").ready,
    ]);
    for (const [prefix, own, other] of [
      ["one", one, two],
      ["two.deep", two, one],
    ] as const) {
      await expect.poll(() => ask(`${prefix}.api.version`, {}), { timeout: 10_000 }).toMatchObject({ status: "200" });
      const gid = `of-${prefix}`;
      expect(await ask(`${prefix}.api.prepare`, message(gid))).toMatchObject({ status: "200" });
      expect([await known(own, gid), await known(other, gid)]).toEqual([true, false]);
      expect(await clusterOf(own)).toMatchObject({ nodes: [{ node: "same-name", shards: 256 }] });
    }
    const found: string[] = [];
    for await (const { metadata } of await nc.services.client().info("tandem")) found.push(String(metadata?.prefix));
    expect(found.sort()).toEqual(["one", "two.deep"]);
  });

  it("that share a prefix by mistake: the second does not answer the first one's requests, and says why", async () => {
    const [first, second] = [await makeDatabase(mysql), await makeDatabase(mysql)];
    const one = await start(first, "a", "shared").ready;
    await expect.poll(() => ask("shared.api.version", {}), { timeout: 10_000 }).toMatchObject({ status: "200" });
    const late = start(second, "b", "shared");
    const two = await late.ready;
    await expect.poll(late.said, { timeout: 10_000 }).toContain("nats_prefix_taken");
    for (let n = 0; n < 20; n++) {
      const gid = `shared-${n}`;
      expect(await ask("shared.api.prepare", message(gid))).toMatchObject({ status: "200" });
      expect([await known(one, gid), await known(two, gid)]).toEqual([true, false]);
    }
    expect((await clusterOf(two)).nodes.map(({ node }) => node)).toEqual(["b"]);
  });
});
