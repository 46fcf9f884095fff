// The guard row of an XA branch: inserted in the branch's own transaction, which a second delivery must not wait for.

import type { BarrierRow } from "../barrier/core.js";
import type { SqlDialect, SqlLibrary } from "../barrier/sql.js";
import { guardedRows, takeRow } from "../barrier/sqlrows.js";
import type { XaDatabase, XaSession } from "./branch.js";

/** Less than the three seconds after which a coordinator gives a call up. */
const waitSeconds = 2;

/** What an XaDatabase does with guard rows, and its sessions. */
export interface GuardRows<Tx> extends Pick<XaDatabase<Tx>, "take" | "reason"> {
  /** Rows of a session's transaction. */
  of(tx: Tx): XaSession<Tx>["rows"];
  /** Insert-ignores a row in a transaction of its own. */
  add(row: BarrierRow): Promise<void>;
}

/** Guard rows whose statements wait for another session of the branch for two seconds at most: then it is `Ongoing`. */
export function guardRows<Tx>(library: SqlLibrary<Tx>, dialect: SqlDialect): GuardRows<Tx> {
  const rowsOf = (tx: Tx) => library.statements(tx);
  return {
    of: (tx) => ({
      insertIgnore: (row) => guardedRows(dialect, rowsOf(tx), waitSeconds, (rows) => rows.insertIgnore(row)),
    }),
    add: (row) =>
      library.transaction(async (tx) => {
        await guardedRows(dialect, rowsOf(tx), waitSeconds, (rows) => rows.insertIgnore(row));
      }),
    take: (row) => takeRow(library, dialect, waitSeconds, row),
    reason: (key) =>
      library.transaction((tx) => guardedRows(dialect, rowsOf(tx), waitSeconds, (rows) => rows.reason(key))),
  };
}
