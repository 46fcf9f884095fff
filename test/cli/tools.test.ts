// The tools against a running node, over HTTP: what an operator sees and may do.
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connect } from "../../src/cli/api.js";
import { type Bank, openBank } from "../../src/cli/demo/bank.js";
import { transferBody } from "../../src/cli/demo/demo.js";
import type { RunningNode } from "../../src/cli/serve.js";
import { loadConfig } from "../../src/config/config.js";
import { startNode } from "../../src/node.js";
import { tandem } from "./recorder.js";

let node: RunningNode;
let bank: Bank;
let url: string;

beforeAll(async () => {
  const flags = { "Store.Url": "memory:", HttpPort: "0", GrpcPort: "0", LogLevel: "error" } as const;
  const environment = { TANDEM_LIMITS_RETRY_LIMIT: "5", TANDEM_LIMITS_BRANCHES: "3" };
  node = await startNode(loadConfig({ environment, flags, readFile: () => "" }).config);
  url = node.addresses.http;
  bank = await openBank({ paceMs: 0, onMove: () => {} });
  const api = connect(url);
  await api.send("POST", "/api/dtmsvr/submit", transferBody("done", bank));
  bank.freezeBob(true);
  await api.send("POST", "/api/dtmsvr/submit", transferBody("undone", bank)).catch(() => undefined);
  for (const gid of ["stuck", "stuck too", "third"]) await api.send("POST", "/api/dtmsvr/submit", stuckBody(gid));
  await until(async () => (await json("show", "stuck")).branches[1].attempts >= 1);
}, 30_000);

afterAll(async () => {
  await bank?.close();
  await node?.close(500);
});

/** A saga whose only step nobody answers. */
function stuckBody(gid: string) {
  const { steps: _steps, wait_result: _wait, ...body } = transferBody(gid, bank) as Record<string, unknown>;
  const nowhere = { action: "http://127.0.0.1:9/nowhere", compensate: "" };
  return { ...body, payloads: ["{}"], steps: [nowhere], retry_interval: 3600 };
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 10_000; !(await holds()); ) {
    if (Date.now() > end) throw new Error("it did not come about within 10 s");
    await pause(20);
  }
}

const tx = (...args: string[]) => tandem(["tx", ...args, "--url", url]);

async function json(...args: string[]) {
  const { out } = await tx(...args, "--json");
  return JSON.parse(out);
}

describe("tandem tx list", () => {
  it("shows transactions newest first, with their state", async () => {
    const { code, out } = await tx("list");
    expect(code).toBe(0);
    expect(out.split("\n")[0]).toMatch(/^gid +type +status +age +reason$/);
    expect(out).toMatch(/^done +saga +succeed +\d+ \w+$/m);
    expect(out).toMatch(/^undone +saga +failed +\d+ \w+ +url:http/m);
  });

  it("keeps to its conditions and limit", async () => {
    const gids = async (...args: string[]) => (await json("list", ...args)).map(({ gid }: { gid: string }) => gid);
    expect(await gids("--status", "succeed")).toEqual(["done"]);
    expect((await gids("--unfinished")).sort()).toEqual(["stuck", "stuck too", "third"]);
    expect(await gids("--type", "tcc")).toEqual([]);
    expect(await gids("--limit", "2")).toHaveLength(2);
    expect((await tx("list", "--limit", "2")).err).toMatch(/more than 2; see more with --limit N/);
  });
});

describe("tandem tx show", () => {
  it("shows state, branches and history of a transaction", async () => {
    const { code, out } = await tx("show", "undone");
    expect(code).toBe(0);
    expect(out).toMatch(/^status +failed$/m);
    expect(out).toMatch(/^reason +url:http/m);
    expect(out).toMatch(/^01 +compensate +succeed +/m);
    expect(out).toMatch(/^02 +action +failed +/m);
    expect(out).toMatch(/^#3 +\+\d+ \w+ +02 action failed; rolling back → 02 compensate$/m);
    expect(out).toMatch(/end: failed, undone$/m);
  });

  it("shows what a transaction waits for", async () => {
    const { out } = await tx("show", "stuck");
    expect(out).toMatch(/^next look +20\d\d-/m);
    expect(out).toMatch(/^01 +action +prepared +1 +http:\/\/127.0.0.1:9\/nowhere: .*/m);
  });

  it("does not know an unknown gid: exit code 7", async () => {
    expect(await tx("show", "nobody")).toMatchObject({ code: 7, out: "" });
  });
});

describe("what an operator may do", () => {
  it("parks with name and reason, lists what is parked, and lets it go on", async () => {
    const environment = { USER: "ada" };
    const parking = await tandem(["tx", "park", "stuck", "--reason", "night", "--url", url], { environment });
    expect(parking.code).toBe(0);
    expect((await json("show", "stuck")).transaction.parked).toMatchObject({ by: "ada", reason: "night" });
    expect((await tx("list", "--parked")).out).toMatch(/^stuck +saga +submitted \(parked\)/m);
    expect((await tx("unpark", "stuck")).code).toBe(0);
    expect((await json("list", "--parked")).length).toBe(0);
  });

  it("retries now", async () => {
    const before = (await json("show", "stuck too")).branches[1].attempts;
    expect((await tx("retry", "stuck too")).code).toBe(0);
    await until(async () => (await json("show", "stuck too")).branches[1].attempts > before);
  });

  it("stops only when it is meant", async () => {
    expect(await tx("stop", "third")).toMatchObject({ code: 2, out: "" });
    const no = await tandem(["tx", "stop", "third", "--url", url], { answer: "n" });
    expect(no).toMatchObject({ code: 8, err: "tandem: nothing was stopped" });
    expect((await json("show", "third")).transaction.status).toBe("submitted");
    expect((await tandem(["tx", "stop", "third", "--url", url], { answer: "y" })).code).toBe(0);
    expect((await json("show", "third")).transaction.status).toBe("failed");
  });

  it("is told why not, goes on with the others, and ends with the first refusal's code", async () => {
    const { code, err } = await tx("stop", "--yes", "done", "nobody", "stuck");
    expect(code).toBe(8);
    expect(err).toMatch(/^done: /m);
    expect(err).toMatch(/^nobody: /m);
    expect(err).toMatch(/^stuck was stopped/m);
  });
});

describe("tandem topics", () => {
  const topics = (...args: string[]) => tandem(["topics", ...args, "--url", url]);

  it("subscribes, lists, unsubscribes and deletes", async () => {
    expect((await topics("list")).err).toMatch(/no topics/);
    expect((await topics("subscribe", "orders", "http://127.0.0.1:9/a", "--remark", "stock")).code).toBe(0);
    expect((await topics("subscribe", "orders", "http://127.0.0.1:9/b")).code).toBe(0);
    expect((await topics()).out).toMatch(/^orders +http:\/\/127.0.0.1:9\/a +stock\norders +http:\/\/127.0.0.1:9\/b$/m);
    expect((await topics("subscribe", "orders", "http://127.0.0.1:9/a")).code).toBe(8);
    expect((await topics("unsubscribe", "orders", "http://127.0.0.1:9/a")).code).toBe(0);
    expect(JSON.parse((await topics("list", "--json")).out)[0].subscribers).toHaveLength(1);
    expect((await topics("delete", "orders")).code).toBe(0);
    expect((await topics("delete", "orders")).code).toBe(7);
  });
});

describe("tandem status", () => {
  it("shows the node, its transactions by type and status, and its participants", async () => {
    const { code, out } = await tandem(["status", "--url", url]);
    expect(code).toBe(0);
    expect(out).toMatch(/^http:\/\/127.0.0.1:\d+ {2}ready$/m);
    expect(out).toMatch(/store memory:/);
    expect(out).toMatch(/^type +prepared +submitted +aborting +succeed +failed$/m);
    expect(out).toMatch(/^saga +- +\d +- +1 +\d$/m);
    expect(out).toMatch(/participants known/);
  });

  it("gives the same as JSON", async () => {
    const { out } = await tandem(["status", "--json", "--url", url]);
    expect(JSON.parse(out)).toMatchObject({ status: { ready: true }, targets: expect.any(Array) });
  });
});

describe("tandem doctor", () => {
  it("knows the running server and lets it have its ports", async () => {
    const port = new URL(url).port;
    const { code, out } = await tandem(["doctor", "--http-port", port, "--grpc-port", "0", "--store", "memory:"]);
    expect(out).toMatch(/ok +server +answers at/);
    expect(out).toMatch(/ok +port http +\d+, the running server's/);
    expect(code).toBe(0);
  });
});

describe("configured limits", () => {
  it("are those of the API", async () => {
    const api = connect(url);
    const step = { action: "", compensate: "" };
    const body = { gid: "limited", trans_type: "saga", steps: [step], payloads: ["{}"] };
    await expect(api.send("POST", "/api/dtmsvr/submit", { ...body, retry_limit: 6 })).rejects.toThrow(/from 1 to 5/);
    const four = { ...body, steps: [step, step, step, step], payloads: ["", "", "", ""] };
    await expect(api.send("POST", "/api/dtmsvr/submit", four)).rejects.toThrow(/steps.*3/);
    await api.send("POST", "/api/dtmsvr/submit", { ...body, retry_limit: 5 });
  });
});
