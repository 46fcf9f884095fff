// `npm run test:nodes [22 24 …]`: the client's tests under other versions of Node. Each comes as an npm package with
// the binary in it, unpacked into a temporary folder.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Newest supported line and the one before. */
const defaults = ["22", "24"];
/** Files for vitest; what needs real servers is in them as well, and skipped where there are none. */
const files = ["test/client", "test/wire"];

/** Unpacks a Node of this platform; resolves to its program. */
function unpack(version: string, folder: string): string {
  const name = `node-${process.platform === "win32" ? "win" : process.platform}-${process.arch}`;
  writeFileSync(join(folder, "package.json"), "{}");
  const args = ["install", "--ignore-scripts", "--no-audit", "--no-fund", `${name}@${version}`];
  const { status } = spawnSync("npm", args, { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
  if (status !== 0) throw new Error(`${name}@${version} could not be had`);
  return join(folder, "node_modules", name, "bin", "node");
}

function testUnder(version: string): boolean {
  const folder = mkdtempSync(join(tmpdir(), "tandem-node-"));
  try {
    const node = unpack(version, folder);
    const { stdout } = spawnSync(node, ["--version"], { encoding: "utf8" });
    process.stdout.write(`\n*** Node ${stdout.trim()} ***\n`);
    const vitest = join("node_modules", "vitest", "vitest.mjs");
    const args = [vitest, "run", "--project", "unit", "--maxWorkers=2", ...files];
    // Programs that tests start are to run under this version as well.
    const env = { ...process.env, PATH: `${join(node, "..")}:${process.env.PATH}` };
    return spawnSync(node, args, { stdio: "inherit", env }).status === 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const asked = process.argv.slice(2);
const versions = asked.length === 0 ? defaults : asked;
const failed = versions.filter((version) => !testUnder(version));
process.stdout.write(failed.length === 0 ? `\nall of Node ${versions.join(", ")} passed\n` : `\nfailed: ${failed}\n`);
process.exit(failed.length === 0 ? 0 : 1);
