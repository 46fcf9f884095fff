/**
 * What a node makes of its configuration at the start: it logs it with secrets masked, and calls participants by the
 * certificates that it names.
 */
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { loadConfig } from "../../src/config/config.js";
import { paths } from "../../src/config/keys.js";
import { startNode } from "../../src/node.js";
import { createAuthority } from "../caller/certificates.js";

const folder = mkdtempSync(join(tmpdir(), "tandem-settings-"));
afterAll(() => rmSync(folder, { recursive: true }));

const free = { HttpPort: "0", GrpcPort: "0", "Store.Url": "memory:" };

it("S-CFG-3: logs every key with its value at the start, secrets masked", async () => {
  const file = join(folder, "tandem.log");
  const { config, shown } = loadConfig({
    environment: { TANDEM_STORE_PASSWORD: "geheim-1" },
    flags: { ...free, "Log.Outputs": file, AlertWebHook: "http://u:geheim-2@127.0.0.1:1/hook" },
    readFile: () => "",
  });
  const node = await startNode(config, shown);
  await node.close(500);
  const text = readFileSync(file, "utf8");
  expect(text).not.toContain("geheim");
  const line = text.split("\n").find((one) => one.includes('"configuration"'));
  const said = JSON.parse(line ?? "{}") as Record<string, unknown>;
  for (const path of paths) expect(said).toHaveProperty([path]);
  expect(said).toMatchObject({ "Store.Url": "memory:", "Store.Password": "***", RetryInterval: "10" });
  expect(said.AlertWebHook).toBe("http://u:***@127.0.0.1:1/hook");
});

it("trusts for one participant the authority that Participants.TargetsFile names for it, and for nobody else", async () => {
  const authority = createAuthority("Bank CA");
  const server = createServer(authority.issue(["127.0.0.1", "localhost"]), (request, response) => {
    request.resume();
    response.end("well");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const [pem, targets] = [join(folder, "bank.pem"), join(folder, "targets.yml")];
  writeFileSync(pem, authority.cert);
  writeFileSync(targets, `127.0.0.1:${port}:\n  CaFile: ${pem}\n`);
  const flags = { ...free, LogLevel: "error", "Participants.TargetsFile": targets, WaitResultTimeout: "1" };
  const { config } = loadConfig({ environment: {}, flags, readFile: (name) => readFileSync(name, "utf8") });
  const node = await startNode(config);
  const submit = async (gid: string, host: string) => {
    const steps = [{ action: `https://${host}:${port}/pay` }];
    const body = { gid, trans_type: "saga", steps, payloads: ["{}"], wait_result: true };
    const answer = await fetch(`${node.addresses.http}/api/dtmsvr/submit`, {
      method: "POST",
      body: JSON.stringify(body),
    });
    return { status: answer.status, text: await answer.text() };
  };
  expect(await submit("trusted", "127.0.0.1")).toMatchObject({ status: 200 });
  const other = await submit("unknown", "localhost");
  expect(other.status).toBe(425);
  expect(other.text).toMatch(/certificate/i);
  await node.close(500);
  server.closeAllConnections();
  server.close();
});
