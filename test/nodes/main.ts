// `npm run test:nodes [22 24 …]`: the client's tests under other versions of Node, with its drivers on real servers and
// the examples, and the packed package in an empty folder. Each version comes as an npm package with the binary in it,
// unpacked into a temporary folder.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testPacked } from "./packed.js";

/** Newest supported line and the one before. */
const defaults = ["22", "24"];
/** Files for vitest by its projects; what needs a server that cannot be had is skipped, and says so. */
const files = {
  unit: ["test/client", "test/wire"],
  integration: ["test/client/db", "test/client/nats", "test/client/examples"],
} as const;

/** A driver that the oldest supported Node cannot load; its binaries are in the package. */
const betterSqlite = "better-sqlite3@13";

/** Unpacks a Node of this platform; resolves to its program. */
function unpack(version: string, folder: string): string {
  const name = `node-${process.platform === "win32" ? "win" : process.platform}-${process.arch}`;
  writeFileSync(join(folder, "package.json"), "{}");
  const args = ["install", "--ignore-scripts", "--no-audit", "--no-fund", `${name}@${version}`, betterSqlite];
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
    // Programs that tests start are to run under this version as well.
    const env = {
      ...process.env,
      PATH: `${join(node, "..")}:${process.env.PATH}`,
      TANDEM_TEST_BETTER_SQLITE3: join(folder, "node_modules", "better-sqlite3"),
    };
    const ends = Object.entries(files).map(([project, chosen]) => {
      const args = [vitest, "run", "--project", project, "--maxWorkers=2", ...chosen];
      return spawnSync(node, args, { stdio: "inherit", env }).status;
    });
    const wrong = testPacked(node);
    process.stdout.write(
      wrong.length === 0 ? "the packed package runs\n" : `the packed package: ${wrong.join("; ")}\n`,
    );
    return wrong.length === 0 && ends.every((status) => status === 0);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const asked = process.argv.slice(2);
const versions = asked.length === 0 ? defaults : asked;
const failed = versions.filter((version) => !testUnder(version));
process.stdout.write(failed.length === 0 ? `\nall of Node ${versions.join(", ")} passed\n` : `\nfailed: ${failed}\n`);
process.exit(failed.length === 0 ? 0 : 1);
