// The commands as scripts and people meet them: exit codes, messages that say what to do, what goes to stdout.
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { StartNode } from "../../src/cli/serve.js";
import type { Config } from "../../src/config/config.js";
import { startNode } from "../../src/node.js";
import { tandem } from "./recorder.js";

const folder = mkdtempSync(join(tmpdir(), "tandem-cli-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A port on which nobody listens. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** A starter of nodes that does nothing but remember. */
function fakeNode(close: (graceMs: number) => Promise<void> = async () => {}) {
  const started: Config[] = [];
  const startNode: StartNode = async (config) => {
    started.push(config);
    return { addresses: { http: "http://127.0.0.1:1", grpc: "127.0.0.1:2" }, close };
  };
  return { started, startNode };
}

const failing =
  (error: object): StartNode =>
  () =>
    Promise.reject(Object.assign(new Error("raw"), error));

describe("tandem", () => {
  it("prints its version and its help, and is content", async () => {
    expect(await tandem(["--version"])).toMatchObject({ code: 0, out: "0.1.0" });
    const help = await tandem(["--help"]);
    expect(help.code).toBe(0);
    expect(help.out).toMatch(/serve.*demo.*Exit codes: 0 done, .*8 the transaction's state forbids it/s);
  });

  it.each([
    [["frobnicate"], /there is no command 'frobnicate'/],
    [["--frobnicate"], /unknown option/],
    [["serve", "extra"], /too many arguments/],
    [["serve", "--http-port"], /argument missing/],
    [["tx", "show"], /missing required argument/],
    [["tx", "list", "--status", "done"], /prepared, submitted, aborting, succeed, failed/],
    [["tx", "list", "--limit", "x"], /whole number/],
    [["serve", "--http-port", "x"], /flag --http-port: is 'x'; needs an integer/],
    [["serve", "--config", "/nowhere/conf.yml"], /configuration file \/nowhere\/conf.yml cannot be read: ENOENT/],
    [["serve", "--host", "0.0.0.0"], /--insecure/],
    [["status", "--url", "ftp://x"], /is no URL of a server/],
    [["tx", "stop", "g", "--url", "http://127.0.0.1:1"], /--yes/],
  ])("answers %j with exit code 2 and what is wrong", async (args, message) => {
    const { code, err, out } = await tandem(args);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toMatch(message);
  });

  it("says that no server answers, and how to get one", async () => {
    const { code, err } = await tandem(["status", "--url", `127.0.0.1:${await freePort()}`]);
    expect(code).toBe(6);
    expect(err).toMatch(/no server at http:\/\/127.0.0.1:\d+ \(ECONNREFUSED\)\n.*tandem serve/);
  });

  it("looks for the server where flag, TANDEM_URL or the configuration says, in this order", async () => {
    const port = await freePort();
    const file = join(folder, "where.yml");
    writeFileSync(file, `HttpPort: ${port}`);
    const asked = async (args: string[], environment = {}) => (await tandem(args, { environment })).err;
    const environment = { TANDEM_URL: "http://127.0.0.1:2" };
    expect(await asked(["status", "--url", "http://127.0.0.1:3"], environment)).toMatch("127.0.0.1:3 ");
    expect(await asked(["status", "-c", file], environment)).toMatch("127.0.0.1:2 ");
    expect(await asked(["status", "-c", file])).toMatch(`127.0.0.1:${port} `);
    expect(await asked(["status"], { TANDEM_CONFIG: file })).toMatch(`127.0.0.1:${port} `);
  });
});

describe("tandem serve", () => {
  it("is what happens without a command; says in one line on stdout that it is ready, and ends well on a signal", async () => {
    const { startNode, started } = fakeNode();
    const { code, out } = await tandem(["--store", "memory:", "--http-port", "0"], { startNode });
    expect(code).toBe(0);
    expect(out).toBe(`tandem ready http=http://127.0.0.1:1 grpc=127.0.0.1:2 store=memory: pid=${process.pid}`);
    expect(started).toHaveLength(1);
  });

  it("takes DTM's short flags", async () => {
    const { startNode, started } = fakeNode();
    writeFileSync(join(folder, "conf.yml"), "RetryInterval: 5\n");
    await tandem(["-c", join(folder, "conf.yml"), "-d"], { startNode });
    expect(started[0]).toMatchObject({ defaults: { retryIntervalMs: 5000 }, log: { level: "debug" } });
  });

  it("does not end before it is told to, and then closes the node", async () => {
    let tell: (signal: string) => void = () => {};
    const stopped = new Promise<string>((resolve) => {
      tell = resolve;
    });
    const closed: number[] = [];
    const { startNode } = fakeNode(async (graceMs) => void closed.push(graceMs));
    const running = tandem(["serve", "--store", "memory:"], { startNode, stopped });
    expect(await Promise.race([running, new Promise((done) => setImmediate(done, "still running"))])).toBe(
      "still running",
    );
    tell("SIGTERM");
    expect((await running).code).toBe(0);
    expect(closed).toHaveLength(1);
    expect(closed[0]).toBeLessThan(10_000);
  });

  it("warns of configuration without effect on stderr", async () => {
    const environment = { UPDATE_BRANCH_SYNC: "0" };
    const { err } = await tandem(["serve"], { startNode: fakeNode().startNode, environment });
    expect(err).toMatch(/environment UPDATE_BRANCH_SYNC: '0' has no effect/);
  });

  it.each([
    [{ code: "EADDRINUSE", port: 7 }, 9, /port 7 on 127.0.0.1 is taken.*ss -ltnp 'sport = :7'.*--http-port N/s],
    [{ code: "EADDRINUSE", port: 36790 }, 9, /--grpc-port N/],
    [{ code: "EACCES", port: 80 }, 2, /port 80 is not for ordinary users.*above 1023/s],
    [{ code: "EADDRNOTAVAIL", port: 7 }, 2, /this machine has no address 127.0.0.1/],
    [{ reason: "inUse", pid: 4711 }, 3, /tandem-data is in use by process 4711.*kill 4711.*--store lmdb:DIR/s],
    [{ code: "EACCES" }, 5, /tandem-data cannot be used: this user may not write there/],
    [{ reason: "inUse" }, 3, /in use by another process/],
    [{ reason: "unusable", cause: { code: "EROFS" } }, 5, /read-only/],
    [{ reason: "notAStore", message: "no store" }, 5, /no store/],
    [{ name: "UnknownFormat", message: "format 9" }, 5, /format 9/],
    [{ code: "ENOSPC" }, 5, /disk is full/],
    [{ code: "ENOTDIR" }, 5, /it is a file/],
    [{ code: "EWHAT" }, 1, /raw/],
  ])("ends on %o with exit code %d and what to do", async (error, code, message) => {
    const outcome = await tandem(["serve"], { startNode: failing(error) });
    expect(outcome.code).toBe(code);
    expect(outcome.err).toMatch(message);
    expect(outcome.out).toBe("");
  });
});

describe("the program without clusters", () => {
  it.each([
    ["--store", "mysql://tandem@127.0.0.1:3306/tandem"],
    ["--cluster", "nats://127.0.0.1:4222", "--node", "n1"],
  ])("says which program serves %s", async (...args) => {
    const { code, out, err } = await tandem(["serve", ...args], { startNode });
    expect([code, out]).toEqual([2, ""]);
    expect(err).toMatch(/embedded stores only.*dist\/cluster\/main\.js, which is installed as tandem/s);
    expect(err).not.toMatch(/\n\s+at /);
  });
});

describe("tandem doctor", () => {
  it("is content where a server could start, and changes nothing", async () => {
    const args = ["doctor", "--http-port", `${await freePort()}`, "--grpc-port", "0", "--store", `lmdb:${folder}/new`];
    const { code, out } = await tandem(args);
    expect(out).toMatch(/ok +node +\d+/);
    expect(out).toMatch(/ok +port http +\d+ is free/);
    expect(out).toMatch(/ok +store +.*new can be made/);
    expect(code).toBe(0);
  });

  it("names a taken port and every problem of the configuration, with exit code 1", async () => {
    const server = createServer();
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const { port } = server.address() as { port: number };
    const taken = await tandem(["doctor", "--http-port", `${port}`, "--grpc-port", "0", "--store", "memory:"]);
    server.close();
    expect(taken.code).toBe(1);
    expect(taken.out).toMatch(/TROUBLE +port http +\d+ on 127.0.0.1: EADDRINUSE\n.*ss -ltnp/);
    const bad = await tandem(["doctor", "--log-level", "loud"], { environment: { TANDEM_HTTP_PORT: "x" } });
    expect(bad.code).toBe(1);
    expect(bad.out.match(/TROUBLE +configuration/g)).toHaveLength(2);
  });

  it("sees that a store's folder cannot be one", async () => {
    const file = join(folder, "file");
    writeFileSync(file, "");
    const { out } = await tandem(["doctor", "--http-port", "0", "--grpc-port", "0", "--store", `lmdb:${file}`]);
    expect(out).toMatch(/TROUBLE +store +.*file cannot be written: it is a file/);
  });

  it("names the process that has the folder, and what is no store", async () => {
    const look = (dir: string) => tandem(["doctor", "--http-port", "0", "--grpc-port", "0", "--store", `lmdb:${dir}`]);
    const held = join(folder, "held");
    const { openLmdb } = await import("../../src/store/lmdb/lmdb.js");
    const store = openLmdb(held);
    const busy = await look(held);
    expect(busy.out).toMatch(`held in use by process ${process.pid}\n`);
    expect(busy.out).toMatch(/TROUBLE +store .*\n.*stop that process/);
    expect(busy.code).toBe(1);
    await store.close();
    expect((await look(held)).out).toMatch(/ok +store +.*held writable/);

    const foreign = join(folder, "foreign");
    mkdirSync(foreign);
    writeFileSync(join(foreign, "data.mdb"), "a diary, not a database".repeat(10));
    const { out, code } = await look(foreign);
    expect(out).toMatch(/TROUBLE +store +.*foreign.data.mdb is not a store of tandem/);
    expect(code).toBe(1);
    expect(readdirSync(foreign)).toEqual(["data.mdb"]);
  });
});
