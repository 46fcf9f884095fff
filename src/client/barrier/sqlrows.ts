// The barrier's rows in one open SQL transaction: under a lock timeout, with errors that say what to do. Shared by the
// barrier and by XA branches, whose guard row stands in the branch's own transaction.

import { TandemError } from "../errors.js";
import type { BarrierRow, BarrierRows } from "./core.js";
import type { SqlDialect, SqlLibrary, SqlTx } from "./sql.js";

/** Runs statements on the barrier's rows that wait for locks at most `seconds`; their errors are the barrier's own. */
export function guardedRows<T>(
  dialect: SqlDialect,
  sql: SqlTx,
  seconds: number,
  statements: (rows: BarrierRows) => Promise<T>,
): Promise<T> {
  return explained(dialect, () => dialect.underLockTimeout(sql, seconds, () => statements(dialect.rows(sql, seconds))));
}

/** Insert-ignores a row in a transaction of its own; resolves to the reason that is there then. */
export function takeRow<Tx>(
  library: SqlLibrary<Tx>,
  dialect: SqlDialect,
  seconds: number,
  row: BarrierRow,
): Promise<string | undefined> {
  return library.transaction((tx) =>
    guardedRows(dialect, library.statements(tx), seconds, async (rows) => {
      await rows.insertIgnore(row);
      return rows.reason(row);
    }),
  );
}

/** What `work` gives, or its error in the barrier's words; `table` is the barrier's own unless another was used. */
export async function explained<T>(dialect: SqlDialect, work: () => Promise<T>, table?: string): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof TandemError ? error : dialect.explain(error, table);
  }
}
