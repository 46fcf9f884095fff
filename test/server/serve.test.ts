// The program as the system runs it: its ready line, signals, exit codes, and a restart that goes on where it stopped.
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { afterAll, afterEach, describe, expect, it } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "tandem-serve-"));
const children = new Set<ChildProcessByStdio<null, Readable, Readable>>();
afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The program with its arguments, and what it says. */
function start(args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const program = ["--import", "tsx", join(import.meta.dirname, "..", "..", "src", "cli", "main.ts"), ...args];
  const env = { PATH: process.env.PATH, HOME: folder, TMPDIR: folder, ...environment };
  const child = spawn(process.execPath, program, { stdio: ["ignore", "pipe", "pipe"], env });
  children.add(child);
  const said = { out: "", err: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said.out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said.err += text;
  });
  const ended = new Promise<number | null>((resolve) => {
    child.once("close", (code) => {
      children.delete(child);
      resolve(code);
    });
  });
  return { child, said, ended };
}

type Running = ReturnType<typeof start>;

/** The address in the ready line. Fails with what the program said when it ends before. */
async function ready({ child, said, ended }: Running): Promise<string> {
  let over = false;
  void ended.then(() => {
    over = true;
  });
  for (;;) {
    const [, http] = /^tandem ready http=(\S+) /m.exec(said.out) ?? [];
    if (http !== undefined) return http;
    if (over) throw new Error(`ended before it was ready: ${said.out}${said.err}`);
    await new Promise((resolve) => child.stdout.once("data", resolve).once("close", resolve));
  }
}

const serve = (store: string, ...more: string[]) =>
  start(["serve", "--store", `lmdb:${join(folder, store)}`, "--http-port", "0", "--grpc-port", "0", ...more]);

/** A participant that answers when it is told to, and counts. */
async function participant() {
  let release: () => void = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  let called: () => void = () => {};
  const firstCall = new Promise<void>((resolve) => {
    called = resolve;
  });
  const calls: string[] = [];
  const server: Server = createServer((request, response) => {
    calls.push(request.url ?? "");
    called();
    void released.then(() => response.end("{}"));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, calls, firstCall, release, close: () => server.closeAllConnections() ?? server.close() };
}

async function submit(http: string, gid: string, action: string): Promise<number> {
  const body = { gid, trans_type: "saga", steps: [{ action, compensate: "" }], payloads: ["{}"], retry_interval: 1 };
  const response = await fetch(`${http}/api/dtmsvr/submit`, { method: "POST", body: JSON.stringify(body) });
  return response.status;
}

async function statusOf(http: string, gid: string): Promise<string> {
  const response = await fetch(`${http}/api/dtmsvr/query?gid=${gid}`);
  const { transaction } = (await response.json()) as { transaction: { status: string } };
  return transaction.status;
}

describe("the program", () => {
  it("prints one line when it is ready, and ends with 0 on SIGTERM and on SIGINT", async () => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      const node = serve("signals");
      const http = await ready(node);
      expect((await fetch(`${http}/healthz`)).status).toBe(200);
      node.child.kill(signal);
      expect(await node.ended).toBe(0);
      expect(node.said.out.trim().split("\n")).toHaveLength(1);
    }
  });

  it("S-BUG-28: ends within 10 s although a participant hangs, and goes on with the transaction after the next start", async () => {
    const busy = await participant();
    const node = serve("drain");
    const http = await ready(node);
    expect(await submit(http, "hanging", `${busy.url}/a`)).toBe(200);
    await busy.firstCall;
    const begin = performance.now();
    node.child.kill("SIGTERM");
    expect(await node.ended).toBe(0);
    expect(performance.now() - begin).toBeLessThan(10_000);
    busy.release();
    const again = serve("drain");
    const address = await ready(again);
    for (const end = Date.now() + 20_000; (await statusOf(address, "hanging")) !== "succeed"; ) {
      if (Date.now() > end) throw new Error(`it did not go on: ${again.said.err}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(busy.calls.length).toBeGreaterThanOrEqual(2);
    again.child.kill("SIGTERM");
    expect(await again.ended).toBe(0);
    busy.close();
  });

  it("is not started twice on one folder: exit code 3, naming the process that has it", async () => {
    const node = serve("shared");
    await ready(node);
    const second = serve("shared");
    expect(await second.ended).toBe(3);
    expect(second.said.err).toMatch(`is in use by process ${node.child.pid}`);
    expect(second.said.out).toBe("");
    node.child.kill("SIGKILL");
    await node.ended;
    const third = serve("shared");
    await ready(third);
  });

  it("names a taken port, with exit code 9", async () => {
    const holder = await participant();
    const port = new URL(holder.url).port;
    const node = start(["serve", "--store", "memory:", "--http-port", port, "--grpc-port", "0"]);
    expect(await node.ended).toBe(9);
    expect(node.said.err).toMatch(new RegExp(`port ${port} on 127.0.0.1 is taken.*--http-port N`, "s"));
    holder.close();
  });

  it.each(["/proc/tandem", "/dev/null/tandem", join(import.meta.filename)])(
    "says of a folder that cannot be one why, with exit code 5: %s",
    async (dir) => {
      const node = start(["serve", "--store", `lmdb:${dir}`, "--http-port", "0", "--grpc-port", "0"]);
      expect(await node.ended).toBe(5);
      expect(node.said.err).toMatch(/folder .* cannot be used|cannot write to folder/);
    },
  );

  it("lists every mistake of its configuration, with exit code 2, and starts nothing", async () => {
    const node = start(["--log-level", "loud"], { TANDEM_HTTP_PORT: "x" });
    expect(await node.ended).toBe(2);
    expect(node.said.err).toMatch(/environment TANDEM_HTTP_PORT: is 'x'.*\n.*flag --log-level: is 'loud'/);
    expect(node.said.out).toBe("");
  });

  it("shows the demo without colour where nobody looks, and leaves nothing behind", async () => {
    const demo = start(["demo", "--pace", "0"]);
    expect(await demo.ended).toBe(0);
    expect(demo.said.out).toMatch(/✓ 30 moved.*✓ as before/s);
    expect(demo.said.out).not.toMatch("\x1b");
    expect(demo.said.err).toBe("");
    expect(readdirSync(folder).filter((name) => name.startsWith("tandem-demo-"))).toEqual([]);
  });

  it("keeps the demo running when asked, lines to try included, until it is told to stop", async () => {
    const demo = start(["demo", "--pace", "0", "--keep"]);
    while (!demo.said.out.includes("Ctrl-C")) await new Promise((resolve) => demo.child.stdout.once("data", resolve));
    const [, line] = /(curl -s (\S+)\/api\/dtmsvr\/submit -d '.*')$/m.exec(demo.said.out) ?? [];
    const [, url, body] = /curl -s (\S+) -d '(.*)'/.exec(line ?? "") ?? [];
    const response = await fetch(url ?? "", { method: "POST", body: body ?? "" });
    expect({ status: response.status, body: await response.json() }).toEqual({
      status: 200,
      body: { dtm_result: "SUCCESS" },
    });
    demo.child.kill("SIGINT");
    expect(await demo.ended).toBe(0);
    expect(readdirSync(folder).filter((name) => name.startsWith("tandem-demo-"))).toEqual([]);
  });
});
