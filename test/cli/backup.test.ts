// `tandem backup` of a node on its embedded store: the copy is a store on which a node can start.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connect } from "../../src/cli/api.js";
import type { RunningNode } from "../../src/cli/serve.js";
import { loadConfig } from "../../src/config/config.js";
import { startNode } from "../../src/node.js";
import { tandem } from "./recorder.js";

const folder = mkdtempSync(join(tmpdir(), "tandem-backup-"));
let node: RunningNode;

function start(dir: string): Promise<RunningNode> {
  const flags = { "Store.Url": `lmdb:${dir}`, HttpPort: "0", GrpcPort: "0", LogLevel: "error" } as const;
  return startNode(loadConfig({ environment: {}, flags, readFile: () => "" }).config);
}

/** A saga without anything to call ends at once. */
const saga = (gid: string) => ({
  gid,
  trans_type: "saga",
  steps: [{ action: "" }],
  payloads: ["{}"],
  wait_result: true,
});

beforeAll(async () => {
  node = await start(join(folder, "store"));
  await connect(node.addresses.http).send("POST", "/api/dtmsvr/submit", saga("kept"));
});
afterAll(async () => {
  await node?.close(500);
  rmSync(folder, { recursive: true, force: true });
});

describe("tandem backup", () => {
  const backup = (dir: string) => tandem(["backup", dir, "--url", node.addresses.http]);

  it("copies what is stored into a folder on which a node starts, while the first one goes on", async () => {
    const copy = join(folder, "copy");
    expect(await backup(copy)).toMatchObject({ code: 0, out: `${copy}: 1 transactions` });
    await connect(node.addresses.http).send("POST", "/api/dtmsvr/submit", saga("later"));
    const second = await start(copy);
    const { out } = await tandem(["tx", "list", "--json", "--url", second.addresses.http]);
    await second.close(500);
    expect(JSON.parse(out).map(({ gid, status }: { gid: string; status: string }) => [gid, status])).toEqual([
      ["kept", "succeed"],
    ]);
  });

  it("refuses a folder that holds something, here and at the server, and one that cannot be made", async () => {
    const full = join(folder, "full");
    mkdirSync(full);
    writeFileSync(join(full, "file"), "");
    expect((await backup(full)).err).toMatch(/full is not empty/);
    const api = connect(node.addresses.http);
    await expect(api.send("POST", "/api/v1/backup", { dir: full })).rejects.toThrow(/dir: folder .*full is not empty/);
    await expect(api.send("POST", "/api/v1/backup", { dir: "relative" })).rejects.toThrow(/dir: no absolute path/);
    await expect(api.send("POST", "/api/v1/backup", {})).rejects.toThrow(/dir: /);
    expect(await backup(join(full, "file", "below"))).toMatchObject({ code: 2 });
  });
});
