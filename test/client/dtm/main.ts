// `npm run test:dtm`: the client's suite against DTM's own server. The server is built from its Go module in a folder
// of its own, which takes about two minutes and needs Go; TANDEM_TEST_DTM names a program that is there already.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const module = "github.com/dtm-labs/dtm";
const version = "v1.19.0";

/** Resolves to the program. The module asks for the version, for its list of versions cannot be had everywhere. */
function build(folder: string): string {
  writeFileSync(join(folder, "go.mod"), `module scratch\n\ngo 1.21\n\nrequire ${module} ${version}\n`);
  writeFileSync(join(folder, "scratch.go"), "package main\n\nfunc main() {}\n");
  const program = join(folder, "dtm");
  const env = { ...process.env, GOFLAGS: "-mod=mod" };
  const { status } = spawnSync("go", ["build", "-o", program, module], { cwd: folder, env, stdio: "inherit" });
  if (status !== 0) throw new Error(`${module} ${version} could not be built`);
  return program;
}

const folder = mkdtempSync(join(tmpdir(), "tandem-dtm-"));
try {
  const program = process.env.TANDEM_TEST_DTM ?? build(folder);
  const vitest = join("node_modules", "vitest", "vitest.mjs");
  const args = [vitest, "run", "--project", "integration", "--maxWorkers=1", "test/client/dtm"];
  const env = { ...process.env, TANDEM_TEST_DTM: program };
  process.exitCode = spawnSync(process.execPath, args, { stdio: "inherit", env }).status ?? 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
