// A participant's SQLite file for tools, by the driver that is there: node:sqlite of newer Nodes, or one that the user
// has installed.

import { existsSync } from "node:fs";
import { type SqlBarrierOptions, sqlDialect } from "../barrier/sql.js";
import { type SqliteDatabase, sqliteBarrier } from "../barrier/sqlite.js";
import { invalidInput } from "../errors.js";
import type { ParticipantDatabase } from "./open.js";
import { columns, type StoredRow, shown } from "./rows.js";

/** Opens the file, which must exist: a name that is mistyped is not to become an empty database. */
export async function openSqlite(file: string, options: SqlBarrierOptions): Promise<ParticipantDatabase> {
  if (!existsSync(file)) throw invalidInput(`there is no database file ${file}`, { hint: "write sqlite:FILE" });
  const database = new (await driver())(file);
  const barrier = sqliteBarrier(database, options);
  const { table } = sqlDialect("sqlite", options);
  return {
    migrate: () => barrier.migrate(),
    clean: (olderMs) => barrier.clean({ older: olderMs }),
    async rows(gid) {
      const found = database.prepare(`select ${columns} from ${table} where gid = ? order by id`).all(gid);
      return (found as StoredRow[]).map(shown);
    },
    end: async () => void database.close(),
  };
}

type Driver = new (file: string) => SqliteDatabase & { close(): unknown };

/** In the order in which they are looked for. */
const drivers: readonly (readonly [name: string, pick: (module: Readonly<Record<string, unknown>>) => unknown])[] = [
  ["node:sqlite", ({ DatabaseSync }) => DatabaseSync],
  ["better-sqlite3", (module) => module.default],
  ["libsql", (module) => module.default],
];

async function driver(): Promise<Driver> {
  for (const [name, pick] of drivers) {
    const module = await import(name).catch(() => undefined);
    if (module !== undefined) return pick(module) as Driver;
  }
  throw invalidInput("no driver for SQLite is there", {
    hint: "use Node 22.13 or newer, or install one beside tandem: npm install better-sqlite3",
  });
}
