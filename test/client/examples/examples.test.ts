// Every example is run as a program of its own, and the newcomer's page is the first of them, word for word.
import { execFile, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { available, makeDatabase, startMariadb, startNats } from "../../servers.js";

const root = join(import.meta.dirname, "..", "..", "..");
const execute = promisify(execFile);
const text = (path: string) => readFileSync(join(root, path), "utf8");
const here = await available("mysql");
const python = spawnSync("python3", ["--version"]).status === 0;
if (!python) console.warn("the example with Python: skipped, there is no python3");

/** Output lines of an example. */
async function run(example: string, environment: Readonly<Record<string, string>> = {}): Promise<readonly string[]> {
  const args = ["--import", "tsx", join("examples", example)];
  const { stdout } = await execute(process.execPath, args, { cwd: root, env: { ...process.env, ...environment } });
  return stdout.trim().split("\n");
}

describe("the newcomer's page", () => {
  const printed = /```ts\n([\s\S]*?)```/.exec(text("docs/client/getting-started.md"))?.[1] ?? "";

  it("prints the example as it is run, in at most 40 lines", () => {
    const [, ...code] = text("examples/first-saga.ts").split("\n");
    expect(printed).toBe(code.join("\n"));
    expect(printed.trim().split("\n").length).toBeLessThanOrEqual(40);
  });

  it("does what it says", async () => {
    const lines = (await run("first-saga.ts")).join(" ");
    expect(lines).toMatch(/status: 'succeeded'\s*\} books left: 3/);
    expect(lines).toMatch(/status: 'failed'.*card refused.*books left: 3/);
  });
});

describe("the page about patterns", () => {
  const blocks = [...text("docs/client/patterns.md").matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code);

  it.each(["outbox.ts", "xa.ts", "workflow.ts"])("prints %s as it is run", (name) => {
    const [, ...code] = text(`examples/${name}`).split("\n");
    expect(blocks).toContain(code.join("\n"));
  });
});

describe("examples without a database", () => {
  it("workflow: the second step takes what the first one gave, and what cannot be paid is not booked", async () => {
    expect(await run("workflow.ts")).toEqual([
      "2 nights: paid 160; rooms 4, ada 40",
      expect.stringMatching(/^3 nights: refused, .*240 euro are too much.*; rooms 4, ada 40$/),
    ]);
  });

  it("grpc: the bank is called over gRPC by coordinator and client", async () => {
    const after = ["20 euro: succeeded, ada 30, bob 20", "200 euro: failed, ada 30, bob 20", "held 5, 25 left"];
    expect(await run("grpc.ts")).toEqual(after);
  });

  it.runIf(python)("travel: the participant in Python takes part, refuses, and makes nothing of a repeat", async () => {
    expect(await run("travel.ts")).toEqual([
      "Ada: succeeded, 1 seats sold, 0 rooms free",
      "Bob: failed, 1 seats sold, 0 rooms free",
      "in the end: 0 rooms free",
    ]);
  });
});

describe.runIf(await available("nats"))("an example with NATS", () => {
  it("nats: services without a port of their own take part, refuse and are tried", async () => {
    const server = await startNats();
    try {
      expect(await run("nats.ts", { NATS_URL: server.url })).toEqual([
        "30 euro: succeeded, 3 books left, ada 70",
        "300 euro: failed, 3 books left, ada 70",
        "held 5, 65 left",
      ]);
    } finally {
      await server.stop();
    }
  });
});

describe.runIf(here)("examples with MySQL", () => {
  async function onMysql(example: string): Promise<readonly string[]> {
    const server = await startMariadb();
    const database = await makeDatabase(server);
    try {
      return await run(example, { MYSQL_URL: database.url });
    } finally {
      await database.drop();
      await server.stop();
    }
  }

  it("shop: every pattern buys, and leaves nothing behind when it is refused", async () => {
    const ways = ["saga", "tcc", "message", "workflow"];
    const expected = ways.flatMap((way, index) => {
      const state = `${9 - index} free, 0 held, ${90 - 10 * index} euro`;
      return [`${way}: bought; ${state}`, `${way}: refused; ${state}`];
    });
    expect(await onMysql("shop.ts")).toEqual(expected);
  });

  it("xa: both databases have it or neither", async () => {
    expect(await onMysql("xa.ts")).toEqual(["30 euro: paid, ada 70, books 30", "300 euro: refused, ada 70, books 30"]);
  });

  it("outbox: mails go out for the orders that were committed", async () => {
    expect(await onMysql("outbox.ts")).toEqual(["order 2: changed my mind", "mails for orders 1, 3"]);
  });
});
