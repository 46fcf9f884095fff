// The errors of a barrier whose table is not there, or not as it must be: what is wrong, and the command that mends it;
// the same for all SQL dialects.

import { BarrierError } from "../errors.js";
import type { SqlDatabase } from "./sql.js";

/** Where a statement failed: `table` as it was configured, `met` as the statement has it. */
export interface MetTable {
  readonly database: SqlDatabase;
  readonly table: string;
  readonly met: string;
  readonly cause: unknown;
}

/** A table that is missing, or lacks columns: what `migrate()` would mend. */
export class UnfitTable extends BarrierError {}

const plain = (quoted: string) => quoted.replace(/[`"]/g, "");

/** For a table, schema or database that does not exist. */
export function missingTable({ database, table, met, cause }: MetTable): UnfitTable {
  const remember = met.endsWith(`${plain(table).split(".").at(-1)}_result${met.at(-1)}`) ? " --remember" : "";
  const where = database === "sqlite" ? "sqlite:FILE" : `${database}://USER@HOST/DB`;
  const command = `\`tandem barrier migrate --database ${where} --table ${plain(table)}${remember}\` or `;
  return new UnfitTable(`the barrier table ${met} is missing`, {
    cause,
    // The tool has no driver for SQL Server.
    hint: `create it with ${database === "sqlserver" ? "" : command}migrate(), or name yours with the option \`table\``,
  });
}

/** For a table that lacks a column; `migrate()` leaves tables that exist as they are. */
export const otherColumns = ({ met, cause }: MetTable): UnfitTable =>
  new UnfitTable(`the barrier table ${met} has other columns`, {
    cause,
    hint: "rename it and make a new one with migrate(), or name another with the option `table`",
  });

/** For a table in which the same row can be inserted twice. */
export const noUniqueKey = (table: string, cause?: unknown, database?: SqlDatabase): BarrierError =>
  new BarrierError(`the barrier table ${table} has no unique key: repeated deliveries would run again`, {
    cause,
    hint: keyRemedy(plain(table), database),
  });

function keyRemedy(table: string, database: SqlDatabase | undefined): string {
  const key = "(gid, branch_id, op, barrier_id)";
  if (database === "sqlite") return `create unique index uniq_barrier on ${table} ${key}`;
  if (database === "sqlserver") return `alter table ${table} add unique ${key} with (ignore_dup_key = on)`;
  // In Postgres a schema has a constraint of one name once.
  const unless = database === "postgres" ? "; where the schema has one of that name, under another" : "";
  return `alter table ${table} add constraint uniq_barrier unique ${key}${unless}`;
}
