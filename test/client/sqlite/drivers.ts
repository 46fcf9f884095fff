// SQLite drivers that users have, as far as this Node has them: libsql always, node:sqlite from Node 22.13 on, and
// better-sqlite3, which wants a newer Node than the oldest supported, where TANDEM_TEST_BETTER_SQLITE3 names its folder
// (`npm run test:nodes` does). Each is used as it is, through its own prepare() and exec().

import { createRequire } from "node:module";
import Libsql from "libsql";
import type { SqlTx } from "../../../src/client/barrier/sql.js";
import type { SqliteDatabase } from "../../../src/client/barrier/sqlite.js";

/** A driver's connection, with what the tests use beside the barrier. */
export interface Opened extends SqliteDatabase {
  close(): unknown;
}

/** One driver. */
export interface Driver {
  readonly name: string;
  open(file: string): Opened;
}

type Constructor = new (file: string) => Opened;

/** The drivers there are; says of the others that they are not tested. */
export function drivers(): readonly Driver[] {
  const require = createRequire(import.meta.url);
  const found: Driver[] = [{ name: "libsql", open: (file) => new Libsql(file) }];
  // Vite takes a literal import of a module it does not know amiss.
  const builtin = process.getBuiltinModule?.("node:sqlite") as { readonly DatabaseSync: Constructor } | undefined;
  if (builtin !== undefined) found.push({ name: "node:sqlite", open: (file) => new builtin.DatabaseSync(file) });
  const folder = process.env.TANDEM_TEST_BETTER_SQLITE3;
  if (folder !== undefined) {
    const Better = require(folder) as Constructor;
    found.push({ name: "better-sqlite3", open: (file) => new Better(file) });
  }
  for (const name of ["node:sqlite", "better-sqlite3"]) {
    if (found.every((driver) => driver.name !== name)) process.stderr.write(`SKIPPED: barrier on SQLite by ${name}\n`);
  }
  return found;
}

/** The same connection as an asynchronous driver has it: other code runs before and after each statement. */
export function slowly(database: SqliteDatabase): SqlTx {
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  return {
    async exec(sql, params) {
      await turn();
      const { changes } = database.prepare(sql).run(...(params as string[]));
      await turn();
      return { affected: Number(changes) };
    },
    async query(sql, params) {
      await turn();
      const rows = database.prepare(sql).all(...(params as string[])) as readonly Record<string, unknown>[];
      await turn();
      return rows;
    },
  };
}
