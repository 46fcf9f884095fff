// The harness itself: each kind of server starts, answers, survives kill and restart on the same port, and leaves
// nothing behind.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { Redis } from "ioredis";
import { createConnection } from "mysql2/promise";
import { connect } from "nats";
import { Client } from "pg";
import { afterEach, describe, expect, it } from "vitest";
import {
  available,
  makeDatabase,
  type Server,
  startMariadb,
  startNats,
  startPostgres,
  startRedis,
} from "../servers.js";

const started: Server[] = [];
const own = { own: true };

async function keep(server: Server): Promise<Server> {
  started.push(server);
  return server;
}

async function waitUntil(rule: string, holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 15_000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`not within 15 s: ${rule}`);
    await delay(20);
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

afterEach(async () => {
  for (const server of started.splice(0)) await server.stop();
});

describe.runIf(await available("mysql"))("MariaDB", () => {
  it("flushes every commit and keeps committed rows over kill -9 and restart", async () => {
    const server = await keep(await startMariadb(own));
    const database = await makeDatabase(server);
    const before = await createConnection(database.url);
    const [settings] = await before.query("SELECT @@innodb_flush_log_at_trx_commit AS durable");
    expect(settings).toEqual([{ durable: 1 }]);
    await before.query("CREATE TABLE t (a INT PRIMARY KEY)");
    await before.query("INSERT INTO t VALUES (42)");
    before.on("error", () => {});
    const pid = server.pid!;
    await server.restart("SIGKILL");
    before.destroy();
    expect(server.pid).not.toBe(pid);
    const after = await createConnection(database.url);
    const [rows] = await after.query("SELECT a FROM t");
    expect(rows).toEqual([{ a: 42 }]);
    await database.drop();
    await expect(after.query("SELECT a FROM t")).rejects.toThrow();
    await after.end();
  });

  it("removes the server's process and folder when it is stopped", async () => {
    const server = await keep(await startMariadb(own));
    const pid = server.pid!;
    expect(existsSync(server.folder)).toBe(true);
    await server.stop();
    expect([isRunning(pid), existsSync(server.folder)]).toEqual([false, false]);
  });
});

describe.runIf(await available("nats"))("NATS", () => {
  it("answers on the same port after an orderly restart", async () => {
    const server = await keep(await startNats(own));
    for (let round = 0; round < 2; round++) {
      const connection = await connect({ servers: server.url });
      const messages = connection.subscribe("ping", { callback: (_, message) => message.respond(message.data) });
      const reply = await connection.request("ping", "hello");
      expect(reply.string()).toBe("hello");
      messages.unsubscribe();
      await connection.close();
      await server.restart();
    }
  });

  it("refuses a wrong user when its configuration asks for one", async () => {
    const server = await keep(await startNats({ own: true, config: "authorization { user: a, password: b }" }));
    await expect(connect({ servers: server.url, user: "a", pass: "wrong" })).rejects.toThrow(/Authorization/);
    const connection = await connect({ servers: server.url, user: "a", pass: "b" });
    await connection.close();
  });
});

describe.runIf(await available("redis"))("Redis", () => {
  it("can be killed, found to be down, and started again", async () => {
    const server = await keep(await startRedis(own));
    server.kill("SIGKILL");
    await waitUntil("redis is down", () => server.pid === undefined);
    await server.start();
    const client = new Redis(server.url);
    expect(await client.ping()).toBe("PONG");
    client.disconnect();
  });
});

describe.runIf(await available("postgres"))("Postgres", () => {
  it("takes prepared transactions and keeps them over a restart", async () => {
    const server = await keep(await startPostgres(own));
    const before = new Client({ connectionString: server.url });
    await before.connect();
    await before.query("CREATE TABLE t (a INT)");
    await before.query("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'x'");
    await before.end();
    await server.restart("SIGINT");
    const after = new Client({ connectionString: server.url });
    await after.connect();
    await after.query("COMMIT PREPARED 'x'");
    expect((await after.query("SELECT a FROM t")).rows).toEqual([{ a: 1 }]);
    await after.end();
  });
});

describe.runIf(await available("redis"))("a test process that dies", () => {
  it("takes its servers and their folders with it, even by kill -9", async () => {
    const script = `
      import { startRedis } from ${JSON.stringify(new URL("../servers.ts", import.meta.url).href)};
      const server = await startRedis({ own: true });
      console.log(JSON.stringify([server.pid, server.folder]));
      setInterval(() => {}, 1000);`;
    const args = ["--import", "tsx", "--input-type=module", "-e", script];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    const line = await new Promise<string>((resolve) => createInterface(child.stdout).once("line", resolve));
    const [pid, folder]: [number, string] = JSON.parse(line);
    expect(isRunning(pid)).toBe(true);
    child.kill("SIGKILL");
    await waitUntil("server and folder are gone", () => !isRunning(pid) && !existsSync(folder));
  });
});
