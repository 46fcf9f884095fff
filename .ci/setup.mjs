// Installs the packages of the lockfile unless they are there already. Plain JavaScript, for it runs before anything is installed.
import { spawnSync } from "node:child_process";
import { lstatSync, readFileSync } from "node:fs";

function packagesOf(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8")).packages ?? {};
  } catch {
    return {};
  }
}

const wanted = Object.entries(packagesOf("package-lock.json")).filter(
  ([path, entry]) => path !== "" && !entry.optional,
);
const installed = packagesOf("node_modules/.package-lock.json");
const missing = wanted.filter(([path, { version }]) => installed[path]?.version !== version).map(([path]) => path);
if (missing.length > 0) {
  // A linked folder belongs to another checkout, which npm ci would empty.
  if (lstatSync("node_modules", { throwIfNoEntry: false })?.isSymbolicLink()) {
    throw new Error(`node_modules is a link and lacks ${missing.slice(0, 5).join(", ")}: install where it points to`);
  }
  process.stdout.write(`installing: ${missing.length} packages are missing or of another version\n`);
  const { status } = spawnSync("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], { stdio: "inherit" });
  process.exitCode = status ?? 1;
}
