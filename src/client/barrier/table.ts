// Names of tables are the only text that reaches SQL unbound; they come from configuration and are checked here.

import { invalidInput } from "../errors.js";
import type { SqlDatabase } from "./sql.js";

/** DTM's: schema and table. A schema of SQLite is a file of its own, so there the table stands alone. */
export function defaultTable(database: SqlDatabase): string {
  if (database === "sqlite") return "barrier";
  return database === "sqlserver" ? "dbo.barrier" : "dtm_barrier.barrier";
}

/**
 * `name` or `schema.name`, each part quoted. Letters, digits, `_` and `$` only; anything else throws
 * DTX_INVALID_INPUT.
 */
export function quotedTable(name: string, quote: "`" | '"'): string {
  if (/^[A-Za-z0-9_$]{1,63}(\.[A-Za-z0-9_$]{1,63})?$/.test(name)) {
    return name
      .split(".")
      .map((part) => `${quote}${part}${quote}`)
      .join(".");
  }
  throw invalidInput(`not a table name: ${JSON.stringify(name)}`, {
    hint: "write table or schema.table with letters, digits, _ and $",
  });
}
