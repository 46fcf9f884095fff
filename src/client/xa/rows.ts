// The guard row of an XA branch: inserted in the branch's own transaction, which a second delivery must not wait for.

import type { BarrierRows } from "../barrier/core.js";
import type { SqlDialect, SqlTx } from "../barrier/sql.js";
import { TandemError } from "../errors.js";

/** Rows whose insertion waits three seconds at most for another delivery of the branch: then it is `Ongoing`. */
export function hastyRows(dialect: SqlDialect, tx: SqlTx): Pick<BarrierRows, "insertIgnore"> {
  return {
    async insertIgnore(row) {
      try {
        return await dialect.underLockTimeout(tx, 3, () => dialect.rows(tx).insertIgnore(row));
      } catch (error) {
        throw error instanceof TandemError ? error : dialect.explain(error);
      }
    },
  };
}
