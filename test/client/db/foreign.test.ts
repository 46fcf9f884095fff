// DTM's Go and Python clients and our barrier on one table of one MariaDB: each compensates, repeats and suspends what
// the other did for the same branch. The foreign clients are fetched and built in a folder of their own.
import { execFile } from "node:child_process";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { createPool, type Pool, type RowDataPacket } from "mysql2/promise";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { barrierFrom } from "../../../src/client/barrier/delivery.js";
import { type MysqlBarrier, mysqlBarrier } from "../../../src/client/barrier/mysql2.js";
import { findProgram } from "../../servers/binaries.js";
import { available, type Server, startMariadb } from "../../servers.js";

const run = promisify(execFile);
const sources = "test/client/foreign";

/** Builds a participant in `folder`; resolves to the command of one delivery. */
type Build = (folder: string) => Promise<readonly string[]>;

const builds: Readonly<Record<string, { readonly program: string; readonly build: Build }>> = {
  "DTM's Go client": {
    program: "go",
    async build(folder) {
      const env = { ...process.env, GOFLAGS: "-mod=mod" };
      await cp(join(sources, "go"), folder, { recursive: true });
      await run("go", ["build", "-buildvcs=false", "-o", "participant", "."], { cwd: folder, env });
      return [join(folder, "participant")];
    },
  },
  "DTM's Python client": {
    program: "python3",
    async build(folder) {
      await cp(join(sources, "python"), folder, { recursive: true });
      await run("python3", ["-m", "venv", "venv"], { cwd: folder });
      await run("venv/bin/pip", ["install", "-q", "-r", "requirements.txt"], { cwd: folder });
      return [join(folder, "venv/bin/python"), join(folder, "participant.py")];
    },
  },
};

const hasDatabase = await available("mysql");
const here: Record<string, boolean> = {};
for (const [name, { program }] of Object.entries(builds)) {
  here[name] = hasDatabase && (await findProgram(program)) !== undefined;
  if (!here[name])
    process.stderr.write(`\n*** SKIPPED: ${name} beside our barrier: no ${program}, or no MariaDB ***\n`);
}

let server: Server;
let pool: Pool;
let guard: MysqlBarrier;
const folders: string[] = [];

beforeAll(async () => {
  if (!hasDatabase) return;
  // DTM's Python client knows one table only, so this server is nobody else's.
  server = await startMariadb({ own: true });
  pool = createPool({ uri: server.url });
  guard = mysqlBarrier(pool);
  await guard.migrate();
  const columns = "id bigint primary key auto_increment, gid varchar(128), op text, who text";
  await pool.query(`create table dtm_barrier.effects (${columns})`);
});

afterAll(async () => {
  await pool?.end();
  await server?.stop();
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

async function effects(gid: string): Promise<readonly string[]> {
  const [rows] = await pool.execute<RowDataPacket[]>(
    "select who, op from dtm_barrier.effects where gid = ? order by id",
    [gid],
  );
  return rows.map(({ who, op }) => `${who} ${op}`);
}

const pairs = [
  ["saga", "action", "compensate"],
  ["tcc", "try", "cancel"],
] as const;

describe.each(Object.entries(builds))("our barrier beside %s", (name, { build }) => {
  describe.runIf(here[name])("on one table", () => {
    let command: readonly string[];
    beforeAll(async () => {
      const folder = await mkdtemp(join(tmpdir(), "tandem-foreign-"));
      folders.push(folder);
      command = await build(folder);
    }, 300_000);

    const theirs = async (type: string, gid: string, op: string) => {
      const [program, ...first] = command;
      await run(program!, [...first, String(server.port), type, gid, "01", op]);
    };
    const ours = async (type: string, gid: string, op: string) => {
      const delivery = barrierFrom({ gid, trans_type: type, branch_id: "01", op });
      const result = await guard.run(delivery, async (tx) => {
        await tx.execute("insert into dtm_barrier.effects (gid, op, who) values (?, ?, 'ours')", [gid, op]);
      });
      return result.kind;
    };
    const who = name.includes("Go") ? "go" : "python";

    it.each(pairs)("%s: we undo what it did, once, and it does not do it again", async (type, origin, undo) => {
      const gid = `${who}-first-${type}`;
      await theirs(type, gid, origin);
      expect(await ours(type, gid, origin)).toBe("duplicate");
      expect(await ours(type, gid, undo)).toBe("executed");
      await theirs(type, gid, undo);
      await theirs(type, gid, origin);
      expect(await effects(gid)).toEqual([`${who} ${origin}`, `ours ${undo}`]);
    });

    it.each(pairs)("%s: it undoes what we did, once, and we do not do it again", async (type, origin, undo) => {
      const gid = `${who}-second-${type}`;
      expect(await ours(type, gid, origin)).toBe("executed");
      await theirs(type, gid, origin);
      await theirs(type, gid, undo);
      expect(await ours(type, gid, undo)).toBe("duplicate");
      expect(await ours(type, gid, origin)).toBe("duplicate");
      expect(await effects(gid)).toEqual([`ours ${origin}`, `${who} ${undo}`]);
    });

    it.each(pairs)("%s: what either undid before it was done stays undone for both", async (type, origin, undo) => {
      const [byThem, byUs] = [`${who}-null-${type}`, `${who}-null-by-us-${type}`];
      await theirs(type, byThem, undo);
      expect(await ours(type, byThem, origin)).toBe("suspended");
      expect(await ours(type, byUs, undo)).toBe("null-compensation");
      await theirs(type, byUs, origin);
      expect([await effects(byThem), await effects(byUs)]).toEqual([[], []]);
    });
  });
});
