// `npm run test:prisma`: the barrier in transactions of Prisma on a real Postgres. Prisma is too large to be installed
// for everybody, so it comes into a folder of its own, with a client generated there. Its queries need no engine; its
// command line would download one that generating does not use, so it is told that there is one.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const packages = ["prisma@7", "@prisma/client@7", "@prisma/adapter-pg@7"];
const schema = `generator client {
  provider     = "prisma-client"
  output       = "generated"
  moduleFormat = "esm"
}
datasource db {
  provider = "postgresql"
}
model Stock {
  sku String @id @db.VarChar(40)
  n   Int
  @@map("stock")
}
`;
/** The printed adapter with a generated client: compiled, not run. */
const check = `import { prismaBarrier } from "${process.cwd()}/examples/orm/prisma.js";
import type { PrismaClient } from "./generated/client.js";
export const take = (db: PrismaClient, sku: string) =>
  prismaBarrier(db).run({ url: "?" }, (tx) => tx.stock.update({ where: { sku }, data: { n: { decrement: 1 } } }));
`;

function run(
  command: string,
  args: readonly string[],
  cwd: string,
  extra: Readonly<Record<string, string>> = {},
): void {
  const { status } = spawnSync(command, args, { cwd, stdio: "inherit", env: { ...process.env, ...extra } });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed`);
}

const folder = mkdtempSync(join(tmpdir(), "tandem-prisma-"));
try {
  writeFileSync(join(folder, "package.json"), '{"private":true,"type":"module"}');
  writeFileSync(join(folder, "schema.prisma"), schema);
  writeFileSync(join(folder, "check.ts"), check);
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({
      extends: join(process.cwd(), "tsconfig.json"),
      compilerOptions: { rootDir: "/", typeRoots: [join(process.cwd(), "node_modules/@types")], skipLibCheck: true },
      files: ["check.ts"],
      include: [],
    }),
  );
  run("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", ...packages], folder);
  const engine = { PRISMA_SCHEMA_ENGINE_BINARY: process.execPath };
  run("npx", ["prisma", "generate", "--schema", "schema.prisma"], folder, engine);
  run(process.execPath, [join("node_modules", "typescript", "bin", "tsc"), "-p", folder], process.cwd());
  const vitest = join("node_modules", "vitest", "vitest.mjs");
  const args = [vitest, "run", "--project", "integration", "--maxWorkers=1", "test/client/db/prisma.test.ts"];
  run(process.execPath, args, process.cwd(), { TANDEM_TEST_PRISMA: folder });
} finally {
  rmSync(folder, { recursive: true, force: true });
}
