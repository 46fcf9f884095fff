// The guard row of an XA branch: inserted in the branch's own transaction, which a second delivery must not wait for.

import type { BarrierRows } from "../barrier/core.js";
import type { SqlDialect, SqlTx } from "../barrier/sql.js";
import { TandemError } from "../errors.js";

/** Less than the three seconds after which a coordinator gives a call up. */
const waitSeconds = 2;

/** Rows whose statements wait for another session of the branch for two seconds at most: then it is `Ongoing`. */
export function hastyRows(dialect: SqlDialect, tx: SqlTx): BarrierRows {
  const rows = dialect.rows(tx);
  const hasty = async <T>(statement: () => Promise<T>): Promise<T> => {
    try {
      return await dialect.underLockTimeout(tx, waitSeconds, statement);
    } catch (error) {
      throw error instanceof TandemError ? error : dialect.explain(error);
    }
  };
  return {
    insertIgnore: (row) => hasty(() => rows.insertIgnore(row)),
    reason: (key) => hasty(() => rows.reason(key)),
  };
}
